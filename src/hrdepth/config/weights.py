"""Files of weights: exported, packed, imported."""

from __future__ import annotations

from dataclasses import dataclass, field

from hrdepth.config.bounds import check_numbers
from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.evaluation import DepthProtocol
from hrdepth.errors import InputError

__all__ = ["FORMATS", "STORED_DTYPES", "ExportConfig", "ImportConfig", "Int8Config", "PackConfig"]


# Formats and what their files' names end in.
FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
# Of kernels in a packed weights file.
STORED_DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Int8Config:
    """How a network is brought to int8.

    Attributes:
        images: how many images of the calibration folder are used, evenly spread over it.
        keep: regular expressions over names of layers that stay in float; null for the gates of fSE and
            squeeze-and-excitation, and the first layers of mobile backbones.

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
        size: (height, width) of the images that the graph takes, on the command line WIDTHxHEIGHT, such as 640x192;
            null for that of training.
        dynamic: the graph takes images of any size that fits the network, and batches.
        normalisation: the graph normalises the image, given in [0,1]; false leaves it to the caller.
        depth: the graph gives depth, in metres where the weights have their scale, instead of disparity.
        int8: quantise to eight bits (OpenVINO).
        calibration: for int8: a folder of images such as the network will see.
        quantisation: how the network is brought to int8.
        tolerance: the largest difference to PyTorch's disparity; null for 1e-4; for int8 the mean relative one,
            null for 0.05.
        data: frames with true depth, for Abs Rel before and after; null skips that.
        protocol: how depth is compared.
        max_loss: the largest rise of Abs Rel.
        licence: licence of the weights, for the file's metadata; null takes that in the weights.
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
    protocol: DepthProtocol = field(default_factory=DepthProtocol)
    max_loss: float = 0.005
    licence: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, "tolerance")


@dataclass(frozen=True)
class PackConfig:
    """Weights to pack.

    Attributes:
        weights: a weights file of this package; for `web` also an ONNX file of `hrdepth export`.
        out: the file to write, ends in .safetensors; the card is written beside it, as .md.
        web: a folder to write as a static page that runs the network in a browser, beside or instead of `out`.
        runtime: for `web`: the npm package onnxruntime-web as a file (.tgz); null fetches it once, into the cache.
        name: name of the weights; null takes that of `out`.
        licence: licence of the weights, SPDX, such as CC-BY-NC-SA-3.0; null takes that in the weights.
        card: a YAML file of what the card contains: title, summary, data, terms, recipe, limits, notes; null takes that
            in the weights.
        results: a JSON file of metrics for the card: `results` by set and row, or metrics.json of `hrdepth evaluate`.
        pose: keep the pose network, which trajectories and further training need.
        dtype: type of the stored kernels: `float16` or `float32`.
        images: an image or a folder, on which packed and given network are compared; null takes rendered streets.
        tolerance: the largest mean relative difference of 1/depth between the packed and the given network.
        megabytes: the largest file (10^6 bytes); null for any.
        overwrite: replace `out` and its card, and the files of `web`.

    Raises:
        InputError: a bound is not positive, or neither `out` nor `web` is given.
    """

    weights: str
    out: str | None = None
    name: str | None = None
    licence: str | None = None
    card: str | None = None
    results: str | None = None
    pose: bool = False
    dtype: str = "float16"
    images: str | None = None
    tolerance: float = 0.01
    megabytes: float | None = None
    overwrite: bool = False
    web: str | None = None
    runtime: str | None = None

    def __post_init__(self) -> None:
        if self.out is None and self.web is None:
            raise InputError("name the file to write with --out, or a folder for a page with --web")
        check_numbers(self, "tolerance", "megabytes")


PUBLISHED = ("hrdepth", "lite_hrdepth", "monodepth2")
"""The networks of which there are published weight files."""


@dataclass(frozen=True)
class ImportConfig:
    """Published weight files to convert.

    Attributes:
        network: which network the files are of: `hrdepth`, `lite_hrdepth` or `monodepth2`.
        encoder: the published encoder.pth.
        depth: the published depth.pth.
        out: the file to write, ends in .safetensors.
        pose_encoder: the published pose_encoder.pth, together with `pose`.
        pose: the published pose.pth.
        size: (height, width) of training, on the command line WIDTHxHEIGHT, such as 640x192, where the encoder file
            does not carry it.
        overwrite: replace `out`.
    """

    network: str
    encoder: str
    depth: str
    out: str
    pose_encoder: str | None = None
    pose: str | None = None
    size: tuple[int, int] = (192, 640)
    overwrite: bool = False
