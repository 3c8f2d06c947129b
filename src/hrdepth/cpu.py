"""Settings of a process that computes on a CPU: OpenMP's spin-wait and glibc's malloc.

PyTorch is not imported here, since it reads these settings when it is imported.
"""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["limit_openmp_spin", "tune_malloc"]

# Loops of libgomp's spin-wait. Its default is 300,000, and 1,000 where threads outnumber cores, which slows PyTorch's
# own networks down.
SPIN_COUNT = 10_000

# glibc's mallopt: when to return memory, how much to request at once, how many blocks may be mapped on their own.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
MEBIBYTE = 2**20


def limit_openmp_spin() -> None:
    """Shorten libgomp's spin-wait; call before PyTorch is imported.

    PyTorch's threads (of GNU's libgomp, in its builds for Linux) spin after each piece of work, in case more follows.
    If the network runs in OpenVINO or ONNX Runtime, whose own threads need the cores, that costs milliseconds per
    image. `GOMP_SPINCOUNT` or `OMP_WAIT_POLICY` of the user have precedence.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


def tune_malloc() -> bool:
    """Keep freed memory in the process (glibc's mallopt); call before the first large tensor is made.

    A training step on a CPU allocates and frees about a hundred tensors of 10 to 50 MB. By default the kernel maps,
    clears and unmaps each: 10 to 20 % of the step, and of a prediction in PyTorch. The price is that the process stays
    as large as its peak. Huge pages (if the kernel allows them) save TLB misses too.

    Returns:
        Whether it took effect, which needs Linux with glibc.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by PyTorch at its first allocation
    if platform.system() != "Linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = {MMAP_MAX: 0, TOP_PAD: 64 * MEBIBYTE, TRIM_THRESHOLD: 2**31 - 1}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
