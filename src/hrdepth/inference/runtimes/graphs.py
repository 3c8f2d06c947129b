"""From a network to the graphs of ONNX, OpenVINO and `torch.export`, of a fixed size or for any."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hrdepth.inference.runtimes.inference import Graph
from hrdepth.inference.runtimes.openvino_core import shared_core

__all__ = ["openvino_model", "write_onnx", "write_openvino", "write_torch_export"]

STRIDE = 32
# Unlike each other and any number in the networks, so that no length is mistaken for a constant.
EXAMPLE = (128, 192)
OPSET = 18
_EXPORTING = threading.RLock()


def write_onnx(graph: Graph, path: Path, *, size: tuple[int, int] | None, metadata: dict[str, str]) -> None:
    """Write an ONNX file, input `image`, output `output`.

    Args:
        graph: what the file computes.
        path: the file.
        size: (height, width) of its only size; None for any, and any batch.
        metadata: goes into the file's metadata.
    """
    import onnx

    model = onnx.load_from_string(_onnx(graph, size))
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, path)


def write_torch_export(graph: Graph, path: Path, *, size: tuple[int, int] | None, metadata: dict[str, str]) -> None:
    """Write a file of `torch.export`; arguments as `write_onnx`."""
    with _quiet():
        torch.export.save(_exported(graph, size), path, extra_files={"hrdepth.json": json.dumps(metadata)})


def write_openvino(model: Any, path: Path, *, metadata: dict[str, str]) -> None:
    """Write `path`, an .xml, and the .bin beside it."""
    import openvino

    for key, value in metadata.items():
        model.set_rt_info(value, ["hrdepth", key])
    openvino.save_model(model, path, compress_to_fp16=False)


def openvino_model(graph: Graph, size: tuple[int, int] | None = None) -> Any:
    """Make an OpenVINO model, of one size or for any."""
    # By way of ONNX, which takes a tenth of the time of OpenVINO's own reader of PyTorch modules.
    return shared_core().read_model(_onnx(graph, size), b"")


def _onnx(graph: Graph, size: tuple[int, int] | None) -> bytes:
    """Make an ONNX file's content."""
    content = io.BytesIO()
    # By way of TorchScript: the exporter over torch.export takes a hundred times as long and finds the same graph.
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            graph,
            (torch.zeros(1, 3, *(size or EXAMPLE)),),
            content,  # type: ignore[arg-type]  # which the annotation does not know
            input_names=["image"],
            output_names=["output"],
            dynamic_axes=None
            if size
            else {name: {0: "batch", 2: "height", 3: "width"} for name in ("image", "output")},
            opset_version=OPSET,
            dynamo=False,
        )
    return content.getvalue()


def _exported(graph: Graph, size: tuple[int, int] | None) -> torch.export.ExportedProgram:
    shapes = None
    if size is None:
        height, width = STRIDE * torch.export.Dim("height_32"), STRIDE * torch.export.Dim("width_32")
        shapes = ({0: torch.export.Dim("batch"), 2: height, 3: width},)
    # Not 1: a batch of one would be taken for a constant.
    example = torch.zeros(1, 3, *size) if size else torch.zeros(2, 3, *EXAMPLE)
    return torch.export.export(graph, (example,), dynamic_shapes=shapes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporters say about themselves; what they fail at they raise.

    One thread at a time, as filters of warnings are the process's. Levels of loggers stay as they are: whoever reads
    one meanwhile, to put it back later, would leave it wrong for good.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "nncf", "root")]
    here = threading.get_ident()

    def grave(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or record.thread != here

    with _EXPORTING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.addFilter(grave)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(grave)
