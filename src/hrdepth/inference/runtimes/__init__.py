"""Runtimes by name: each runs a depth network behind contract 1. Another one costs a file and a line here."""

from __future__ import annotations

import platform
from pathlib import Path

from torch import nn

from hrdepth.compute import choose_device
from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.onnx import OnnxRuntime, TensorRT
from hrdepth.inference.runtimes.openvino import OpenVINO
from hrdepth.inference.runtimes.pytorch import PyTorch
from hrdepth.inference.runtimes.runtime import PRECISIONS, Runtime
from hrdepth.inference.runtimes.source import SUFFIXES, open_source
from hrdepth.registry import lookup

__all__ = [
    "PRECISIONS",
    "RUNTIMES",
    "SUFFIXES",
    "Runtime",
    "default_runtime",
    "load_runtime",
    "unavailable",
]

RUNTIMES: dict[str, type[Runtime]] = {
    "pytorch": PyTorch,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVINO,
    "tensorrt": TensorRT,
}


def load_runtime(
    weights: str | Path | nn.Module,
    name: str | None = None,
    precision: str | None = None,
    *,
    threads: int | None = None,
    compile: bool = False,
    device: str | None = "auto",
    calibration: str | Path | None = None,
    size: tuple[int, int] | None = None,
    trust: bool = False,
) -> Runtime:
    """Load a network into a runtime.

    Args:
        weights: a weights file of this package, an exported file (.onnx, .xml, .pt2), or a depth network.
        name: a key of `RUNTIMES`; by default the one that an exported file is for, else `default_runtime`.
        precision: `float32`, `bfloat16` or `int8`; by default float32. An exported int8 file is int8 as it is.
        threads: cores to compute with; None for all. For PyTorch the number holds for the whole process.
        compile: for PyTorch: compile; the first call of each size takes a minute.
        device: for PyTorch: `auto`, `cuda`, `mps` or `cpu`; the others have their own.
        calibration: for int8: a folder of images such as the network will see.
        size: (height, width) that int8 is calibrated at; by default that of training.
        trust: also open a .pt2 file, which can run code.

    Returns:
        A callable, `image (B,3,H,W) in [0,1] -> {0: disparity (B,1,H,W)}`, with what `Predictor` asks of a network.

    Raises:
        InputError: an unknown runtime, one that is not available, a precision that it does not support, or a bad file.

    Example:
        >>> import torch
        >>> from hrdepth.config import NetworkConfig
        >>> from hrdepth.networks import build_network
        >>> network = load_runtime(build_network(NetworkConfig("lite_hrdepth")), "pytorch")
        >>> network(torch.rand(1, 3, 64, 96))[0].shape
        torch.Size([1, 1, 64, 96])
    """
    if name is not None:
        lookup(RUNTIMES, name, "runtime")
    chosen = choose_device(device)
    source = open_source(weights, trust=trust)
    name = name or SUFFIXES.get(source.suffix) or default_runtime(chosen.type)
    kind = RUNTIMES[name]
    if reason := unavailable(name):
        raise InputError(f"the runtime '{name}' is not available: {reason}")
    if source.suffix not in kind.suffixes:
        raise InputError(f"the runtime '{name}' does not read {source.path}; it reads {', '.join(kind.suffixes)}")
    if precision is not None and precision not in kind.precisions:
        lookup(dict.fromkeys(PRECISIONS), precision, "precision")
        raise InputError(f"the runtime '{name}' has no {precision}; it has {', '.join(kind.precisions)}")
    if threads is not None and threads < 1:
        raise InputError(f"{threads} threads: give at least one, or none for all")
    options = RuntimeConfig(
        size=size,
        device=str(chosen),
        runtime=name,
        precision=precision,
        threads=threads,
        calibration=None if calibration is None else str(calibration),
        compile=compile,
    )
    return kind(source, options)


def unavailable(name: str) -> str | None:
    """Return why a runtime cannot be used here and what to do, or None if it can.

    Raises:
        InputError: there is no such runtime.
    """
    return lookup(RUNTIMES, name, "runtime").unavailable()


def default_runtime(device: str | None = None) -> str:
    """Return the fastest available runtime: "openvino" on an x86 processor if it is installed, else "pytorch".

    Args:
        device: that PyTorch would use; with any other than the CPU, the runtime is PyTorch.
    """
    x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
    return "openvino" if x86 and device in (None, "cpu") and unavailable("openvino") is None else "pytorch"
