"""How depth and motion are compared with the truth, and the scale of depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hrdepth.config.bounds import check_counts, check_numbers, check_resamples
from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.inference import DeviceConfig, FleetConfig, RuntimeConfig
from hrdepth.errors import InputError

__all__ = [
    "CalibrateScaleConfig",
    "CorruptionsConfig",
    "DepthProtocol",
    "EvaluateConfig",
    "OdometryConfig",
    "TableConfig",
    "TableFormat",
    "TabulateConfig",
]

TableFormat = Literal["text", "markdown", "latex"]


KITTI: Mapping[str, Any] = {"max_depth": 80.0, "crop": "garg"}


@dataclass(frozen=True)
class DepthProtocol:
    """How predicted depth is compared with the truth.

    Attributes:
        min_depth: the nearest depth, metres; nearer truth is left out, nearer predictions are set to it.
        max_depth: the farthest depth, metres; farther truth is left out, farther predictions are set to it. Null for
            that of the data's own protocol: 70 for `make3d`, else 80.
        crop: `garg` compares the image's middle (Garg et al. 2016), `none` all of it. Null for that of the data's
            own protocol: none for `make3d` and `cityscapes`, else garg.
        scaling: `median` brings each image's median depth to the true one; `affine` each image's disparity to the true
            one, by scale and shift with the least squares, as networks need whose shift is unknown; a number is a fixed
            factor from predicted depth to metres, such as 5.4 for stereo training with the paper's 0.1 baseline, or 1.
        post_process: also predict for the mirrored image, and blend the two.

    Raises:
        InputError: the range is empty or the factor is not positive.
    """

    min_depth: float = 1e-3
    max_depth: float | None = None
    crop: Literal["garg", "none"] | None = None
    scaling: Literal["median", "affine"] | float = "median"
    post_process: bool = False

    def __post_init__(self) -> None:
        low, high = self.depth_range
        if not 0 < low < high < float("inf"):
            raise InputError(f"the depth range {low:g} to {high:g} m is empty or not positive")
        if self.crop not in ("garg", "none", None):
            raise InputError(f"unknown crop '{self.crop}': give garg or none")
        if isinstance(self.scaling, str):
            if self.scaling not in ("median", "affine"):
                raise InputError(
                    f"unknown scaling '{self.scaling}': give median, affine, or a factor to metres, such as 5.4"
                )
        elif not 0 < self.scaling < float("inf"):
            raise InputError(f"the scaling factor {self.scaling:g} must be positive")

    @property
    def depth_range(self) -> tuple[float, float]:
        """The nearest and the farthest depth, metres; KITTI's farthest where none is given."""
        return self.min_depth, float(KITTI["max_depth"] if self.max_depth is None else self.max_depth)

    def complete(self, own: Mapping[str, Any] = KITTI) -> DepthProtocol:
        """Return the protocol with its null settings filled in, as for published numbers.

        Args:
            own: settings of the data's own protocol, see `GroundTruthSet.protocol`; the rest is KITTI's.

        Example:
            >>> DepthProtocol(scaling=5.4).complete({"max_depth": 70.0}).max_depth
            70.0
        """
        null = {name: value for name, value in {**KITTI, **own}.items() if getattr(self, name) is None}
        return replace(self, **null)


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """Where a table goes.

    Attributes:
        out: a file or folder for the results; null prints only.
        format: format of the printed table: `text`, `markdown` or `latex`.
        overwrite: replace what is in `out`.
    """

    out: str | None = None
    format: TableFormat = "text"
    overwrite: bool = False


@dataclass(frozen=True)
class EvaluateConfig(RuntimeConfig, TableConfig, FleetConfig):
    """An evaluation.

    Attributes:
        data: the frames and their depth.
        weights: a weights file of this package, or one that `hrdepth export` wrote; the name of bundled weights, or
            `hf://OWNER/REPO`; null for the bundled network, where no `disparities` are given.
        disparities: instead of weights, predictions of another program: an .npy array (N,h,w) of 1/depth in list order.
        protocol: how depth is compared; what is not given follows the data's own protocol.
        out: a folder for metrics.json and per_image.csv; null prints only.
        align: `lsq` also fits scale and shift of disparity by least squares, and gives its metrics beside the others.
        edges: require accuracy and completeness of depth edges and boundary F1, which need dense true depth and the
            extra `metrics`; otherwise they are measured where both are there.
        points: measure Chamfer distance and F-score of point clouds; needs intrinsics.
        points_threshold: metres within which a point counts for the F-score.
        bootstrap: resamples for 95 % intervals of every metric, such as 1000; 0 for none.
        workers: threads that compare; null for as many as there are cores.
        processes: compare in processes instead, for true depth that is slow to read.
    """

    data: GroundTruthConfig
    weights: str | None = None
    disparities: str | None = None
    protocol: DepthProtocol = field(default_factory=DepthProtocol)
    align: Literal["median", "lsq"] = "median"
    edges: bool = False
    points: bool = False
    points_threshold: float = 0.1
    bootstrap: int = 0
    workers: int | None = None
    processes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resamples(self.bootstrap)
        check_counts(self, 1, "workers")
        check_numbers(self, "points_threshold")


@dataclass(frozen=True)
class CorruptionsConfig(RuntimeConfig, TableConfig):
    """An evaluation on corrupted images, in KITTI-C's manner.

    Attributes:
        data: the frames and their depth.
        weights: a weights file of this package, or one that `hrdepth export` wrote.
        base: the reference of mCE: weights of a network `monodepth2`, or corruptions.json of an earlier evaluation of
            them on the same frames; null computes no mCE.
        protocol: how depth is compared; what is not given follows the data's own protocol.
        kinds: corruptions by KITTI-C's names, such as `[fog, snow]`; null for all of the library.
        severities: how severe the corruptions are, several of 1 to 5, one measurement each.
        out: a folder for corruptions.json and table.md, and until they are written for what is measured already: the
            same command resumes from there. Null prints only.
        overwrite: replace results in `out`, finished ones or those of another command.
    """

    data: GroundTruthConfig
    weights: str
    base: str | None = None
    protocol: DepthProtocol = field(default_factory=DepthProtocol)
    kinds: list[str] | None = None
    severities: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])


@dataclass(frozen=True)
class TabulateConfig(TableConfig):
    """A table over the results of several evaluations.

    Attributes:
        results: the table's rows: a folder that `hrdepth evaluate --out` wrote, or NAME=FOLDER,FOLDER,... with one
            folder a seed.
        metrics: the table's columns: `seven`, `lsq`, `log10`, `near_edges`, `edges`, `points`, or single ones by their
            names in metrics.json, such as `[abs_rel, edges]`. `lsq` and `points` need the matching options of `hrdepth
            evaluate`; `near_edges` is always measured, `edges` where true depth is dense, `log10` for Make3D.
        out: a file for the table, .md or .tex; null prints only.
    """

    results: list[str]
    metrics: list[str] = field(default_factory=lambda: ["seven"])


@dataclass(frozen=True)
class OdometryConfig(DeviceConfig):
    """A trajectory by the pose network.

    Attributes:
        input: a folder of images or a video, in the order of time.
        weights: a weights file of this package that holds a pose network.
        out: the folder to write into.
        poses: the true trajectory, 12 numbers a line (camera to world) for each frame, as KITTI has it; null writes the
            trajectory without errors.
        trained_on: record in the results that the network was trained on these frames.
        frames_per_second: frame rate of the input, for the times in the TUM file; null for the video's, or 10.
        size: (height, width) that the pose network works at, on the command line WIDTHxHEIGHT, such as 640x192; null
            for that of its training.
        overwrite: replace results in `out`.
        trust: has no effect here: a pose network is read from a weights file, which cannot run code.
    """

    input: str
    weights: str
    out: str
    poses: str | None = None
    trained_on: bool = False
    frames_per_second: float | None = None
    size: tuple[int, int] | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, "frames_per_second")
        check_counts(self, 1, "size", most=2**14)


@dataclass(frozen=True)
class CalibrateScaleConfig(DeviceConfig):
    """Known lengths, at least one kind; of several the one whose measurements scatter least is used.

    Attributes:
        weights: a weights file of this package.
        out: the weights file to write: the same network, with metres_per_unit and its spread.
        input: a folder of images or a video, in the order of time.
        intrinsics: fx, fy, cx, cy in pixels of these images; `camera_height` needs them, and so do weights with a
            `canonical_focal`.
        camera_height: metres of the camera above the road.
        poses: true poses of the frames, metres, 12 numbers a line as KITTI has them.
        speed: how fast the camera moves, metres a second.
        speeds: a text file of how fast the camera moves at each frame, metres a second, a number a line.
        gps: a text file of the frames' positions, `latitude longitude` in degrees a line.
        distances: a text file of known depths, `image x y metres` a line: the image's name without suffix, pixels.
        frames_per_second: frame rate of the input; null for the video's. `speed` and `speeds` need it.
        overwrite: replace `out`.
        trust: has no effect here: only weights files are read, which cannot run code.

    Raises:
        InputError: no length is given, or one is not positive.
    """

    weights: str
    out: str
    input: str
    intrinsics: tuple[float, float, float, float] | None = None
    camera_height: float | None = None
    poses: str | None = None
    speed: float | None = None
    speeds: str | None = None
    gps: str | None = None
    distances: str | None = None
    frames_per_second: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, "camera_height", "speed", "frames_per_second")
        known = (self.camera_height, self.poses, self.speed, self.speeds, self.gps, self.distances)
        if all(value is None for value in known):
            raise InputError(
                "give at least one of camera_height, poses, speed, speeds, gps, distances to know the scale"
            )
        if self.camera_height is not None and self.intrinsics is None:
            raise InputError("camera_height needs --intrinsics fx,fy,cx,cy, in pixels of the images")
