"""ONNX Runtime, on the CPU, and through its provider TensorRT on a GPU."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.graphs import Graph, simplify, write_onnx
from hrdepth.inference.runtimes.runtime import Runtime
from hrdepth.inference.runtimes.source import Source

__all__ = ["OnnxRuntime", "TensorRT"]


class OnnxRuntime(Runtime):
    """A network in ONNX Runtime, on the CPU."""

    name = "onnxruntime"
    suffixes = ("", ".onnx")
    packages = ("onnxruntime", "onnx")
    extra = "export"

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        super().__init__(source, options)
        import onnxruntime

        session = onnxruntime.SessionOptions()
        session.log_severity_level = 3  # errors only
        if options.threads is not None:
            session.intra_op_num_threads = options.threads
        with tempfile.TemporaryDirectory() as folder:
            path = source.path if source.suffix else _converted(source, Path(folder) / "network.onnx")
            try:
                self.session = onnxruntime.InferenceSession(path, session, providers=self.providers(options))
            except Exception as error:  # no exception class is common to all versions of the library
                raise InputError(f"ONNX Runtime cannot load {path} ({error}); export the weights again") from error
        self.input = self.session.get_inputs()[0].name

    def providers(self, options: RuntimeConfig) -> list[Any]:
        """Return the providers, best first."""
        return ["CPUExecutionProvider"]

    def infer(self, image: Tensor) -> Tensor:
        """Run the graph."""
        array = np.ascontiguousarray(image.detach().cpu().numpy(), dtype=np.float32)
        return torch.from_numpy(self.session.run(None, {self.input: array})[0]).to(image.device)


class TensorRT(OnnxRuntime):
    """A network in TensorRT, through ONNX Runtime's provider; operations that TensorRT lacks run on CUDA."""

    name = "tensorrt"
    precisions = ("float32", "bfloat16")

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why it cannot be used here and what to do, or None."""
        if reason := super().unavailable():
            return reason
        if not torch.cuda.is_available():
            return "PyTorch finds no NVIDIA GPU; use openvino, onnxruntime or pytorch"
        import onnxruntime

        if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
            return "this ONNX Runtime was built without TensorRT; pip install onnxruntime-gpu tensorrt"
        return None

    def providers(self, options: RuntimeConfig) -> list[Any]:
        """Return the providers, best first."""
        tensorrt = {"trt_bf16_enable": options.precision == "bfloat16"}
        return [("TensorrtExecutionProvider", tensorrt), "CUDAExecutionProvider", "CPUExecutionProvider"]


def _converted(source: Source, path: Path) -> Path:
    assert source.network is not None
    write_onnx(Graph(simplify(source.network, static=True)), path, size=None, metadata={})
    return path
