"""Which device PyTorch would compute on, asked without importing it where there is only a processor."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import platform
import re
from pathlib import Path

from hrdepth.errors import InputError, require

__all__ = ["check_device", "find_device", "has_nvidia_driver"]

# Devices of PyTorch that can run a network; others are mistyped.
KNOWN = re.compile(r"(cpu|cuda|mps|xpu|hpu|mtia)(:\d+)?")


def find_device(device: str | None = "auto") -> str:
    """Return the name of a device that is available; "auto" (or None) is the best one.

    Raises:
        InputError: the device is unknown or not available, or needs PyTorch, which is not installed.
    """
    if device == "cpu" or (device in (None, "auto") and not _may_have_accelerator()):
        return "cpu"
    if device is not None:
        check_device(device)
    return str(require("hrdepth.compute", "train", f"the device '{device}' needs").choose_device(device))


def check_device(device: str) -> None:
    """Raise `InputError` for the name of a device that there is nowhere."""
    if device != "auto" and not KNOWN.fullmatch(device):
        raise InputError(f"unknown device '{device}'; use auto, cuda, mps or cpu")


def _may_have_accelerator() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    return platform.system() == "Darwin" or has_nvidia_driver() or Path("/dev/kfd").exists()  # the last is AMD's


@functools.cache
def has_nvidia_driver() -> bool:
    """Return whether the driver of an NVIDIA GPU is installed and finds one."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1")
        count = ctypes.c_int()
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
