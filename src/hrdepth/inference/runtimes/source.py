"""What a runtime is made from: a network in memory or an exported file, and what is known about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint
from hrdepth.weights.find import weights_file

__all__ = ["SUFFIXES", "Description", "Source", "open_source"]

# Exported files and the runtime that each is for.
SUFFIXES = {".onnx": "onnxruntime", ".xml": "openvino", ".pt2": "pytorch"}
# Keys in the files' metadata, so that they do not meet another tool's.
PREFIX = "hrdepth_"


@dataclass(frozen=True)
class Description:
    """What an exported file says about itself.

    Attributes:
        network: name and options.
        size: (height, width) of the graph, or of training where it takes any size.
        fixed: the graph takes that size alone.
        stride: what height and width must be multiples of.
        min_depth: in network units, where disparity is 1.
        max_depth: in network units, where disparity is 0.
        metres_per_unit: metres = depth x metres_per_unit; None where depth is known up to scale only.
        canonical_focal: see `Checkpoint`.
        output: `disparity` in (0,1), or `depth`: metres where metres_per_unit is known, else network units.
        mean: None where the graph takes images in [0,1]; else what the caller subtracts first, and
        std: divides by.
        precision: of the file: `float32` or `int8`.
        licence: of the weights, as far as known.
        provenance: how the weights and the file came about.
    """

    network: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (192, 640)
    fixed: bool = False
    stride: int = 32
    min_depth: float = 0.1
    max_depth: float = 100.0
    metres_per_unit: float | None = None
    canonical_focal: float | None = None
    output: str = "disparity"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    precision: str = "float32"
    licence: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Description:
        """Describe a weights file."""
        config, network = checkpoint.network_config, checkpoint.network
        return cls(
            {"name": config.name, "options": {k: v for k, v in config.options.items() if k != "weights"}},
            checkpoint.size,
            stride=network.stride,
            min_depth=network.min_depth,
            max_depth=network.max_depth,
            metres_per_unit=checkpoint.metres_per_unit,
            canonical_focal=checkpoint.canonical_focal,
            licence=checkpoint.licence or checkpoint.provenance.get("licence"),
            provenance=checkpoint.provenance,
        )

    def metadata(self) -> dict[str, str]:
        """Return it as text for a file's metadata: JSON values."""
        return {PREFIX + name: json.dumps(value) for name, value in asdict(self).items()}

    @classmethod
    def read(cls, metadata: Mapping[str, str], path: Path) -> Description:
        """Read it from a file's metadata.

        Raises:
            InputError: the file was not exported by this package, or its metadata is damaged.
        """
        names = {one.name for one in fields(cls)}
        found = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
        if not found:
            raise InputError(f"{path} was not written by `hrdepth export`; export the weights again")
        try:
            values = {name: json.loads(value) for name, value in found.items() if name in names}
            for name in ("size", "mean", "std"):
                values[name] = tuple(values[name]) if values.get(name) is not None else None
            height, width = values.pop("size")
            return cls(size=(int(height), int(width)), **values)
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(f"the metadata of {path} is damaged ({error}); export the weights again") from error

    @property
    def depth_factor(self) -> float:
        """What an output of depth is in, network units times this."""
        return self.metres_per_unit if self.metres_per_unit is not None else 1.0

    def disparity(self, depth: Tensor) -> Tensor:
        """Turn an output of depth back to disparity in (0,1)."""
        low, high = 1 / self.max_depth, 1 / self.min_depth
        return (self.depth_factor / depth - low) / (high - low)


@dataclass(frozen=True)
class Source:
    """A network in memory, or an exported file.

    Attributes:
        description: what is known about it.
        network: the depth network, or None for an exported file.
        path: of the file; None for a network that came from none.
        suffix: of an exported file; "" for a network.
    """

    description: Description
    network: nn.Module | None = None
    path: Path | None = None
    suffix: str = ""


def open_source(weights: str | Path | nn.Module) -> Source:
    """Open a weights file, an exported file, or take a network as it is.

    Raises:
        InputError: the file is missing, damaged, or of another kind.
    """
    if isinstance(weights, nn.Module):
        described = Description(
            stride=int(getattr(weights, "stride", 32)),
            min_depth=float(getattr(weights, "min_depth", 0.1)),
            max_depth=float(getattr(weights, "max_depth", 100.0)),
        )
        return Source(described, weights)
    path = weights_file(weights)
    if path.suffix not in SUFFIXES:
        checkpoint = read_checkpoint(path)
        return Source(Description.of(checkpoint), checkpoint.network, path)
    return Source(Description.read(_read_metadata(path), path), None, path, path.suffix)


def _read_metadata(path: Path) -> dict[str, str]:
    from hrdepth.inference.runtimes import onnx, openvino, pytorch

    read = {".onnx": onnx.read_metadata, ".xml": openvino.read_metadata, ".pt2": pytorch.read_metadata}
    return read[path.suffix](path)
