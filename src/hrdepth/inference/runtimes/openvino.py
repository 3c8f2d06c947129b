"""OpenVINO on the CPU: float32, bfloat16, or int8 through NNCF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.graphs import Graph, openvino_model, simplify
from hrdepth.inference.runtimes.openvino_core import shared_core
from hrdepth.inference.runtimes.quantisation import quantise
from hrdepth.inference.runtimes.runtime import Runtime
from hrdepth.inference.runtimes.source import Source

__all__ = ["OpenVINO"]

HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVINO(Runtime):
    """A network in OpenVINO; compiled for each image size at its first use."""

    name = "openvino"
    precisions = ("float32", "bfloat16", "int8")
    suffixes = ("", ".xml", ".onnx")
    packages = ("openvino", "onnx")
    extra = "openvino"

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        super().__init__(source, options)
        self.properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        # Layers that int8 does not quantise stay in float32.
        self.properties["INFERENCE_PRECISION_HINT"] = HINTS.get(self.precision, "f32")
        if options.threads is not None:
            self.properties["INFERENCE_NUM_THREADS"] = options.threads
        self.model = self._model(source, options)
        self.requests: dict[tuple[int, ...], Any] = {}

    def infer(self, image: Tensor) -> Tensor:
        """Run the graph."""
        array = np.ascontiguousarray(image.detach().cpu().numpy(), dtype=np.float32)
        if array.shape not in self.requests:
            self.requests[array.shape] = self._request(array.shape)
        request = self.requests[array.shape]
        request.infer([array], share_inputs=True)
        return torch.from_numpy(request.get_output_tensor(0).data.copy()).to(image.device)

    def _request(self, shape: tuple[int, ...]) -> Any:
        """Compile for one shape: a graph of fixed sizes is faster than one for any size."""
        model = self.model
        if model.input(0).partial_shape.is_dynamic:
            model = model.clone()
            model.reshape(list(shape))
        return shared_core().compile_model(model, "CPU", self.properties).create_infer_request()

    def _model(self, source: Source, options: RuntimeConfig) -> Any:
        if source.network is None:
            model = shared_core().read_model(source.path) if source.program is None else source.program
            if self.precision == "int8" and source.description.precision != "int8":
                raise InputError(f"{source.path} is not an int8 file; export it with --int8 --calibration FOLDER")
            return model
        model = openvino_model(Graph(simplify(source.network, static=True)))
        if self.precision != "int8":
            return model
        if options.calibration is None:
            raise InputError("int8 needs images for calibration; give their folder as calibration")
        return quantise(model, Path(options.calibration), options.size or source.description.size)
