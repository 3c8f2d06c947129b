"""Exporting a network for other runtimes."""

from __future__ import annotations

from dataclasses import dataclass, field

from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.evaluation import ProtocolSettings
from hrdepth.errors import InputError

__all__ = ["FORMATS", "ExportConfig", "Int8Config"]

# Formats and what their files' names end in.
FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}


@dataclass(frozen=True)
class Int8Config:
    """How a network is brought to int8.

    Attributes:
        images: from the calibration folder, evenly spread over it.
        keep: regular expressions over names of layers that stay in float; null keeps the gates.

    Raises:
        InputError: fewer than one image.
    """

    images: int = 64
    keep: list[str] | None = None

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"int8 needs at least one image to calibrate on, not {self.images}")


@dataclass(frozen=True)
class ExportConfig:
    """A network to export.

    Attributes:
        weights: a weights file of this package.
        out: the file to write: ends in .onnx, .xml or .pt2. OpenVINO writes a .bin beside its .xml.
        format: `onnx`, `openvino` or `torch-export`; null takes that of the name `out`.
        size: (height, width) of the images that the graph takes; null for that of training.
        dynamic: the graph takes images of any size that fits the network, and batches.
        normalisation: the graph normalises the image, given in [0,1]; false leaves it to the caller.
        depth: the graph gives depth, in metres where the weights know them, instead of disparity.
        int8: quantise to eight bits (OpenVINO).
        calibration: for int8: a folder of images such as the network will see.
        quantisation: how int8 is reached.
        tolerance: the largest difference to PyTorch's disparity; null for 1e-4; for int8 the mean relative one,
            null for 0.05.
        data: frames with true depth, for Abs Rel before and after; null skips that.
        protocol: how depth is compared.
        max_loss: the largest rise of Abs Rel.
        licence: of the weights, for the file's metadata; null takes what the weights say.
        overwrite: replace `out`.
    """

    weights: str
    out: str
    format: str | None = None
    size: tuple[int, int] | None = None
    dynamic: bool = False
    normalisation: bool = True
    depth: bool = False
    int8: bool = False
    calibration: str | None = None
    quantisation: Int8Config = field(default_factory=Int8Config)
    tolerance: float | None = None
    data: GroundTruthConfig | None = None
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    max_loss: float = 0.005
    licence: str | None = None
    overwrite: bool = False
