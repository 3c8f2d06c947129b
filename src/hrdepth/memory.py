"""Large tensors from memory that the process keeps, instead of fresh pages at every step."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["keep_memory"]

# glibc's mallopt: when to give memory back, how much to take at once, how many blocks may be mapped on their own.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
MEBIBYTE = 2**20


def keep_memory() -> bool:
    """Let freed tensors' memory be used again; call before the first large tensor is made.

    A step on a CPU makes and frees some hundred tensors of 10 to 50 MB. By default each is mapped and unmapped by the
    kernel, which clears every page of it: 10 to 20 % of a training step. The price is that the process holds on to
    its peak. Huge pages (where the kernel allows them) save lookups besides.

    Returns:
        Whether it took effect: on Linux with glibc. Elsewhere nothing happens.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by PyTorch at its first allocation
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = {MMAP_MAX: 0, TOP_PAD: 64 * MEBIBYTE, TRIM_THRESHOLD: 2**31 - 1}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
