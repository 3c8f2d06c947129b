"""One OpenVINO core for the whole process, and signals that survive the others.

OpenVINO's plugin for processors gives the thread that loads it a stack for signals. When it is unloaded, it takes that
stack away and puts back the one that it had found; of two that are unloaded in the order in which they were loaded, the
second puts back the first one's, which is gone. The next signal (the end of a child process, Ctrl-C) then silently
kills the process. So there is one core, never unloaded, and libraries that load cores of their own are kept from
leaving such a stack behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
from collections.abc import Iterator
from typing import Any

__all__ = ["shared_core", "signal_stack_kept"]


@functools.cache
def shared_core() -> Any:
    """The shared core."""
    import openvino

    return openvino.Core()


class _Stack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Restore the thread's signal stack on Linux, where the plugin sets one."""
    if platform.system() != "Linux":
        yield
        return
    library = ctypes.CDLL(None)
    before = _Stack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        # Plugins that are unloaded later find another stack, and do not touch it.
        library.sigaltstack(ctypes.byref(before), None)
