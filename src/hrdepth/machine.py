"""The machine and this process: settings for computing on a CPU, the processor's name, memory.

PyTorch is not imported here, since it reads these settings when it is imported.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = [
    "available_memory",
    "limit_openmp_spin",
    "peak_memory",
    "processor",
    "reset_peak_memory",
    "resident_memory",
    "total_memory",
    "tune_malloc",
]

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


def processor() -> str:
    """Return the processor's name, such as "AMD EPYC 9R14"."""
    name = ""
    if platform.system() == "Linux":
        name = _field(Path("/proc/cpuinfo"), "model name")
    elif platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return name or platform.processor() or platform.machine()


def total_memory() -> float | None:
    """Return the machine's memory, MiB; None where that is unknown."""
    if (total := _mebibytes(Path("/proc/meminfo"), "MemTotal")) is not None:
        return total
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def available_memory() -> float | None:
    """Return what a process can allocate without swapping, MiB; None where that is unknown, outside Linux."""
    return _mebibytes(Path("/proc/meminfo"), "MemAvailable")


def resident_memory() -> float | None:
    """Return the resident memory of this process now, MiB; the peak outside Linux, None where that is unknown."""
    now = _mebibytes(Path("/proc/self/status"), "VmRSS")
    return peak_memory() if now is None else now


def peak_memory(*, children: bool = False) -> float | None:
    """Return the most resident memory that this process has had, in MiB; None where that is unknown.

    Args:
        children: of the largest process that it started and that has ended, instead.
    """
    # Linux counts in getrusage's number the pages of the process that started this one, too.
    if not children and (peak := _mebibytes(Path("/proc/self/status"), "VmHWM")) is not None:
        return peak
    try:
        resource = importlib.import_module("resource")
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (2**20 if platform.system() == "Darwin" else 2**10)  # bytes there, KiB elsewhere


def reset_peak_memory() -> None:
    """Let `peak_memory` begin again, where the kernel allows it; else it includes what was before."""
    path = Path("/proc/self/clear_refs")
    with suppress(OSError):
        if os.access(path, os.W_OK):
            path.write_text("5", encoding="ascii")


def _mebibytes(path: Path, field: str) -> float | None:
    """Return a field that Linux states in kB; None where there is none."""
    number = _field(path, field).removesuffix(" kB")
    return int(number) / 2**10 if number else None


def _field(path: Path, field: str) -> str:
    """Return what follows `field:` in one of Linux's files of such lines; "" where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in found if name.strip() == field), "")
