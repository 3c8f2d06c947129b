"""OpenVINO on the CPU: float32, bfloat16, or int8 through NNCF."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.blob_cache import read_blob, write_blob
from hrdepth.inference.runtimes.onnx import onnx_graph
from hrdepth.inference.runtimes.openvino_core import shared_core
from hrdepth.inference.runtimes.runtime import Runtime
from hrdepth.inference.runtimes.source import Source
from hrdepth.io.files import file_sha256

__all__ = ["OpenVINO"]

HINTS = {"float32": "f32", "bfloat16": "bf16"}
MOST_SHAPES = 6
"""Shapes that stay compiled; images of many shapes would fill the memory."""


class OpenVINO(Runtime):
    """A network in OpenVINO; compiled for each image size at its first use."""

    name = "openvino"
    precisions = ("float32", "bfloat16", "int8")
    suffixes = ("", ".xml", ".onnx")
    packages = ("openvino",)
    extra = "openvino"

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        super().__init__(source, options)
        self.properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        # Layers that int8 does not quantise stay in float32.
        self.properties["INFERENCE_PRECISION_HINT"] = HINTS.get(self.precision, "f32")
        if options.threads is not None:
            self.properties["INFERENCE_NUM_THREADS"] = options.threads
        self._source, self._options = source, options
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._lock = Lock()  # a request serves one thread at a time
        if self.precision == "int8" and source.description.precision != "int8":
            if source.suffix:
                raise InputError(f"{source.path} is not an int8 file; export it with --int8 --calibration FOLDER")
            if options.calibration is None:
                raise InputError("int8 needs images for calibration; give their folder as calibration")
        # Only what is there as a file has compiled forms that are worth keeping.
        self._kept = options.cache and source.graph is not None and (source.suffix != "" or self.precision != "int8")
        if not self._kept:
            _ = self.model  # bad files are reported when they are loaded

    def infer(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the graph."""
        with self._lock:
            if image.shape not in self._requests:
                self._requests[image.shape] = self._compiled(image.shape).create_infer_request()
            self._requests.move_to_end(image.shape)
            while len(self._requests) > MOST_SHAPES:
                self._requests.popitem(last=False)
            request = self._requests[image.shape]
            try:
                request.infer([image], share_inputs=True)
            except Exception as error:  # as `_reported`
                height, width = image.shape[2:]
                raise InputError(f"OpenVINO cannot run the graph at {width}x{height} ({str(error)[:200]})") from error
            return np.array(request.get_output_tensor(0).data)

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        """Compile for one shape, or read what an earlier process compiled for it."""
        if not self._kept:
            return self._compile(shape)
        core, key = shared_core(), self._key(shape)
        if (blob := read_blob(key)) is not None:
            try:
                return core.import_model(blob, "CPU", self.properties)
            except RuntimeError:  # of a version or processor that the key does not tell apart
                pass
        compiled = self._compile(shape)
        content = compiled.export_model()
        write_blob(key, content if isinstance(content, bytes) else content.getvalue())
        return compiled

    def _compile(self, shape: tuple[int, ...]) -> Any:
        """Compile for one shape: a graph of fixed sizes is faster than one for any size."""
        model = self.model
        with _reported(f"compile {self._source.path} for {shape[-1]}x{shape[-2]}"):
            if model.input(0).partial_shape.is_dynamic:
                model = model.clone()
                model.reshape(list(shape))
            return shared_core().compile_model(model, "CPU", self.properties)

    def _key(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return all that decides on what is compiled."""
        import openvino

        core = shared_core()
        processor = [str(core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
        return {
            "graph": self._graph_sha256,
            "shape": shape,
            "properties": self.properties,
            "version": openvino.get_version(),
            "processor": processor,
        }

    @cached_property
    def _graph_sha256(self) -> str:
        assert self._source.graph is not None
        return file_sha256(self._source.graph)

    @cached_property
    def model(self) -> Any:
        """The graph, not compiled, as OpenVINO has read it."""
        source = self._source
        if source.program is not None:
            return source.program
        graph = onnx_graph(source)
        with _reported(f"read {source.path}"):
            model = shared_core().read_model(graph) if isinstance(graph, str) else shared_core().read_model(graph, b"")
        if self.precision != "int8" or source.description.precision == "int8":
            return model
        from hrdepth.inference.runtimes.quantisation import quantise

        calibration, size = self._options.calibration, self._options.size
        assert calibration is not None
        return quantise(model, Path(calibration), size or source.description.size)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Report in one sentence what OpenVINO cannot do with a file."""
    try:
        yield
    except Exception as error:  # no exception class is common to all that the library raises
        raise InputError(f"OpenVINO cannot {what} ({str(error)[:200]}); export the weights again") from error
