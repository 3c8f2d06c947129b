"""Runtimes by name: each runs a depth network behind contract 4. Another one costs a file and a line here."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.device import find_device
from hrdepth.inference.runtimes.onnx import OnnxRuntime, TensorRT
from hrdepth.inference.runtimes.openvino import OpenVINO
from hrdepth.inference.runtimes.pytorch import PyTorch
from hrdepth.inference.runtimes.runtime import PRECISIONS, Runtime
from hrdepth.inference.runtimes.source import SUFFIXES, open_source
from hrdepth.registry import lookup

__all__ = ["PRECISIONS", "RUNTIMES", "SUFFIXES", "Runtime", "default_runtime", "load_runtime", "unavailable"]

# More are a mistake, and more than 2^31 no library takes.
MOST_THREADS = 4096

RUNTIMES: dict[str, type[Runtime]] = {
    "pytorch": PyTorch,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVINO,
    "tensorrt": TensorRT,
}


def load_runtime(
    weights: Any,
    name: str | None = None,
    precision: str | None = None,
    *,
    threads: int | None = None,
    compile: bool = False,
    device: str | None = "auto",
    calibration: str | Path | None = None,
    size: tuple[int, int] | None = None,
    trust: bool = False,
    cache: bool = True,
) -> Runtime:
    """Load a network into a runtime.

    Args:
        weights: the path of a weights file of this package or of an exported file (.onnx, .xml, .pt2), or a depth
            network (contract 1).
        name: a key of `RUNTIMES`; by default the one that an exported file is for, else `default_runtime`.
        precision: `float32`, `bfloat16` or `int8`; by default float32. An exported int8 file is int8 as it is.
        threads: cores to compute with; None for all. For PyTorch the number holds for the whole process.
        compile: for PyTorch: compile; the first call of each size takes a minute.
        device: for PyTorch: `auto`, `cuda`, `mps` or `cpu`; the others have their own.
        calibration: for int8: a folder of images such as the network will see.
        size: (height, width) that int8 is calibrated at; by default that of training.
        trust: also open a .pt2 file, which can run code.
        cache: for OpenVINO: keep what it compiles in the user's cache folder, so that the next process starts faster.

    Returns:
        A callable, `image (B,3,H,W) in [0,1] -> disparity (B,1,H,W)`, NumPy float32.

    Raises:
        InputError: an unknown runtime, one that is not available, a precision that it does not support, or a bad file.

    Example:
        >>> import numpy as np
        >>> from hrdepth.weights.find import locate_weights
        >>> network = load_runtime(locate_weights(), "onnxruntime")
        >>> network(np.zeros((1, 3, 64, 96), np.float32)).shape
        (1, 1, 64, 96)
    """
    if name is not None:
        lookup(RUNTIMES, name, "runtime")
    chosen = find_device(device)
    source = open_source(weights, trust=trust)
    name = name or SUFFIXES.get(source.suffix) or default_runtime(chosen, ready=source.graph is not None)
    kind = RUNTIMES[name]
    if reason := unavailable(name):
        raise InputError(f"the runtime '{name}' is not available: {reason}")
    if source.suffix not in kind.suffixes:
        raise InputError(f"the runtime '{name}' does not read {source.path}; it reads {', '.join(kind.suffixes)}")
    if precision is not None and precision not in kind.precisions:
        lookup(dict.fromkeys(PRECISIONS), precision, "precision")
        raise InputError(f"the runtime '{name}' has no {precision}; it has {', '.join(kind.precisions)}")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise InputError(f"{threads} threads: give 1 to {MOST_THREADS}, or none for all")
    options = RuntimeConfig(
        size=size,
        device=chosen,
        runtime=name,
        precision=precision,
        threads=threads,
        calibration=None if calibration is None else str(calibration),
        compile=compile,
        cache=cache,
    )
    return kind(source, options)


def unavailable(name: str) -> str | None:
    """Return why a runtime cannot be used here and what to do, or None if it can.

    Raises:
        InputError: there is no such runtime.
    """
    return lookup(RUNTIMES, name, "runtime").unavailable()


def default_runtime(device: str | None = None, *, ready: bool = True) -> str:
    """Return the fastest available runtime: "openvino" on an x86 processor if it is installed, else "onnxruntime".

    Args:
        device: that PyTorch would use; with any other than the CPU, the runtime is PyTorch.
        ready: whether there is an ONNX file of the network; otherwise PyTorch reads it, and is used instead of
            "onnxruntime".
    """
    if device not in (None, "cpu"):
        return "pytorch"
    x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
    if x86 and unavailable("openvino") is None:
        return "openvino"
    return "onnxruntime" if ready else "pytorch"
