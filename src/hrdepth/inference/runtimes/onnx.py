"""ONNX Runtime, on the CPU, and through its provider TensorRT on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.device import has_nvidia_driver
from hrdepth.inference.runtimes.runtime import Runtime
from hrdepth.inference.runtimes.source import Source

__all__ = ["OnnxRuntime", "TensorRT", "onnx_graph"]


class OnnxRuntime(Runtime):
    """A network in ONNX Runtime, on the CPU."""

    name = "onnxruntime"
    suffixes = ("", ".onnx")
    packages = ("onnxruntime",)

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        super().__init__(source, options)
        import onnxruntime

        session = onnxruntime.SessionOptions()
        session.log_severity_level = 3  # errors only
        if options.threads is not None:
            session.intra_op_num_threads = options.threads
        try:
            self.session = onnxruntime.InferenceSession(onnx_graph(source), session, providers=self.providers(options))
        except InputError:
            raise
        except Exception as error:  # no exception class is common to all versions of the library
            raise InputError(f"ONNX Runtime cannot load {source.path} ({error}); export the weights again") from error
        self.input = self.session.get_inputs()[0].name

    def providers(self, options: RuntimeConfig) -> list[Any]:
        """Return the providers, best first."""
        return ["CPUExecutionProvider"]

    def infer(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph."""
        try:
            return np.asarray(self.session.run(None, {self.input: image})[0])
        except Exception as error:  # no exception class is common to all versions of the library
            height, width = image.shape[2:]
            raise InputError(f"ONNX Runtime cannot run the graph at {width}x{height} ({str(error)[:200]})") from error


class TensorRT(OnnxRuntime):
    """A network in TensorRT, through ONNX Runtime's provider; operations that TensorRT lacks run on CUDA."""

    name = "tensorrt"
    precisions = ("float32", "bfloat16")

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why it cannot be used here and what to do, or None."""
        if reason := super().unavailable():
            return reason
        if not has_nvidia_driver():
            return "no NVIDIA GPU with a driver is found; use openvino, onnxruntime or pytorch"
        import onnxruntime

        if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
            return "this ONNX Runtime was built without TensorRT; pip install onnxruntime-gpu tensorrt"
        return None

    def providers(self, options: RuntimeConfig) -> list[Any]:
        """Return the providers, best first."""
        tensorrt = {"trt_bf16_enable": options.precision == "bfloat16"}
        return [("TensorrtExecutionProvider", tensorrt), "CUDAExecutionProvider", "CPUExecutionProvider"]


def onnx_graph(source: Source) -> str | bytes:
    """Return the path of an ONNX file of the network, or the content of one that is made now, by PyTorch."""
    if source.graph is not None:
        return str(source.graph)
    from hrdepth.inference.runtimes import graphs

    return graphs.onnx_content(source.load_network())
