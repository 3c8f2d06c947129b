"""The ONNX files beside the bundled weights: `python -m hrdepth.inference.bundle`, or `make bundle`.

They hold the tensors of the weights files as they are, kernels in float16, and what the network is; ONNX Runtime and
OpenVINO predict with them without PyTorch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from hrdepth.errors import InputError
from hrdepth.inference.runtimes import load_runtime
from hrdepth.inference.runtimes.graphs import Graph, simplify, write_onnx
from hrdepth.inference.runtimes.source import TENSORS, Description
from hrdepth.io.files import atomic_path
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint
from hrdepth.weights.find import bundled

__all__ = ["bundle", "write_graph"]

TOLERANCE = 1e-4
"""Largest difference of disparity to PyTorch's."""


def bundle(weights: Path) -> Path:
    """Write the ONNX file of a weights file beside it, once it is compared with PyTorch; return its path.

    Raises:
        InputError: the file is missing or damaged, or the written one predicts something else.
    """
    path = weights.with_suffix(".onnx")
    write_graph(read_checkpoint(weights), path)
    return path


def write_graph(checkpoint: Checkpoint, path: Path) -> None:
    """Write a network as an ONNX file for images of any size, once it is compared with PyTorch.

    Raises:
        InputError: the written file predicts something else.
    """
    metadata = Description.of(checkpoint).metadata() | {TENSORS: json.dumps(checkpoint.sha256)}
    graph = Graph(simplify(checkpoint.network, static=True, fold=False)).eval()
    with atomic_path(path) as staged:
        write_onnx(graph, staged, size=None, metadata=metadata, half=True)
        image = torch.rand(1, 3, *checkpoint.size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = checkpoint.network(image)[0].numpy()
        difference = float(np.abs(load_runtime(staged, "onnxruntime")(image.numpy()) - expected).max())
        if not difference <= TOLERANCE:
            raise InputError(f"{path} was not written: its disparity differs from PyTorch's by {difference:.1e}")


def main(arguments: list[str]) -> None:
    """Write the files of the named weights files; without names, of all that are bundled."""
    for weights in map(Path, arguments or map(str, bundled().values())):
        path = bundle(weights)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
