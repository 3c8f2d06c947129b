"""How depth is compared with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from hrdepth.config.data import GroundTruthConfig
from hrdepth.errors import InputError

__all__ = ["DepthProtocol", "EvaluateConfig", "ProtocolSettings"]


@dataclass(frozen=True)
class ProtocolSettings:
    """How predicted depth is compared with the truth, as far as it is given; see `DepthProtocol`.

    Attributes:
        min_depth: metres; nearer truth is left out, nearer predictions are set to it.
        max_depth: metres; farther truth is left out, farther predictions are set to it. Null for that of the data's
            own protocol: 70 for `make3d`, else 80.
        crop: `garg` compares the image's middle (Garg et al. 2016), `none` all of it. Null for that of the data's
            own protocol: none for `make3d` and `cityscapes`, else garg.
        scaling: `median` brings each image's median depth to the true one; a number is a fixed factor from
            predicted depth to metres, such as 5.4 for stereo training with the paper's 0.1 baseline, or 1.
        post_process: predict for the mirrored image too and blend the two.
    """

    min_depth: float = 1e-3
    max_depth: float | None = None
    crop: Literal["garg", "none"] | None = None
    scaling: Literal["median"] | float = "median"
    post_process: bool = False

    def complete(self, own: Mapping[str, Any]) -> DepthProtocol:
        """Return the whole protocol: what is not given is that of the data's `own`, else that of KITTI.

        Raises:
            InputError: as `DepthProtocol`.
        """
        given = {one.name: getattr(self, one.name) for one in fields(ProtocolSettings)}
        return DepthProtocol(**{**own, **{name: value for name, value in given.items() if value is not None}})


@dataclass(frozen=True)
class DepthProtocol(ProtocolSettings):
    """How predicted depth is compared with the truth; the defaults are those of published KITTI numbers.

    Attributes:
        min_depth: metres; nearer truth is left out, nearer predictions are set to it.
        max_depth: metres; farther truth is left out, farther predictions are set to it.
        crop: `garg` compares the image's middle (Garg et al. 2016), `none` all of it.
        scaling: `median` brings each image's median depth to the true one; a number is a fixed factor from
            predicted depth to metres, such as 5.4 for stereo training with the paper's 0.1 baseline, or 1.
        post_process: predict for the mirrored image too and blend the two.

    Raises:
        InputError: the range is empty or the factor is not positive.
    """

    max_depth: float = 80.0
    crop: Literal["garg", "none"] = "garg"

    def __post_init__(self) -> None:
        if not 0 < self.min_depth < self.max_depth < float("inf"):
            raise InputError(f"the depth range {self.min_depth:g} to {self.max_depth:g} m is empty or not positive")
        if self.crop not in ("garg", "none"):
            raise InputError(f"unknown crop '{self.crop}': give garg or none")
        if isinstance(self.scaling, str):
            if self.scaling != "median":
                raise InputError(f"unknown scaling '{self.scaling}': give median or a factor to metres, such as 5.4")
        elif not 0 < self.scaling < float("inf"):
            raise InputError(f"the scaling factor {self.scaling:g} must be positive")


@dataclass(frozen=True)
class EvaluateConfig:
    """An evaluation.

    Attributes:
        data: the frames and their depth.
        weights: a weights file of this package, or one that `hrdepth export` wrote; the name of a network on board, or
            `hf://OWNER/REPO`; null for the network on board, where no `disparities` are given.
        disparities: instead of weights, predictions made elsewhere: an .npy array (N,h,w) of 1/depth in list order.
        protocol: how depth is compared; what is not given follows the data's own protocol.
        out: a folder for metrics.json and per_image.csv; null prints only.
        size: (height, width) that the network works at; null for that of its training.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        runtime: `pytorch`, `onnxruntime`, `openvino` or `tensorrt`; null takes the fastest that is there.
        precision: `float32`, `bfloat16` or `int8`, as far as the runtime has it; null takes float32, or an exported
            file's own.
        threads: cores to compute with; null for all.
        calibration: for int8 from weights: a folder of images such as the network will see.
        overwrite: replace results in `out`.
        align: `lsq` also fits scale and shift of disparity by least squares, and gives its metrics beside the others.
        edges: measure accuracy and completeness of depth edges and boundary F1; needs dense true depth.
        points: measure Chamfer distance and F-score of point clouds; needs intrinsics.
        points_threshold: metres within which a point counts for the F-score.
        bootstrap: resamples for 95 % intervals of every metric, such as 1000; 0 for none.
        format: of the printed table: `text`, `markdown` or `latex`.
        workers: threads that compare; null for as many as there are cores.
        processes: compare in processes instead, for true depth that takes long to read.
    """

    data: GroundTruthConfig
    weights: str | None = None
    disparities: str | None = None
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    out: str | None = None
    size: tuple[int, int] | None = None
    device: str | None = None
    runtime: str | None = None
    precision: str | None = None
    threads: int | None = None
    calibration: str | None = None
    overwrite: bool = False
    align: Literal["median", "lsq"] = "median"
    edges: bool = False
    points: bool = False
    points_threshold: float = 0.1
    bootstrap: int = 0
    format: Literal["text", "markdown", "latex"] = "text"
    workers: int | None = None
    processes: bool = False
