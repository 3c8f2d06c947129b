"""Which frames, and how they change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hrdepth.config.bounds import check_counts
from hrdepth.config.names import current_name, rename_keys
from hrdepth.errors import InputError

__all__ = ["AugmentConfig", "DatasetConfig", "GroundTruthConfig", "RenderConfig"]


@dataclass(frozen=True)
class DatasetConfig:
    """One data set of a training mix.

    Attributes:
        dataset: a key of `data.DATASETS`: `kitti_raw`, `kitti_odometry`, `cityscapes`, `folder`, `images`, or
            `shards`, what `hrdepth prepare shards` packed of any of them.
        root: the folder that holds it; of `shards` it may be a URL, from which shards are fetched as they are needed.
        split: a split file, or the name of a bundled one, such as `eigen_zhou/train`. A `folder` can do without: null
            uses every left frame that has both neighbours. So can `images`, whose split lists images: null uses all.
        weight: how often an epoch contains each of its samples; 0.5 contains half of them, 2 each twice.
        options: arguments of that data set, such as `intrinsics: paper` for KITTI raw.
        distances: how far neighbours lie, in frames: a neighbour in `frames` is multiplied by one of these, drawn again
            each time a sample is; validation takes the smallest. Beyond 1 a neighbour must be a frame of the split.
        missing: `error` stops if a neighbour at the smallest distance is missing; `skip` trains without it, and leaves
            out frames that have no source, unless the objective learns from their true depth.
        min_motion: leave out frames whose image differs from a neighbour's by less than this (a share of the
            brightness range, see `data.neighbours.motion`), since the camera stood still; 0.012 is usual. Null keeps
            all.
    """

    dataset: str
    root: str
    split: str | None = None
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    distances: list[int] = field(default_factory=lambda: [1])
    missing: Literal["error", "skip"] = "error"
    min_motion: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataset", current_name(self.dataset))
        object.__setattr__(self, "options", rename_keys(self.options))


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of a training sample; all frames of a sample change alike.

    Colours, blur and noise change what the networks see, never the images that the loss compares.

    Attributes:
        flip: probability of mirroring left to right.
        zoom: largest factor of a random zoom into a random part of the image; 1 never zooms. Set `canonical_focal` with
            it, so that the size of things still determines their depth; without, there is a warning.
        crop: cut a random part of the sample's aspect ratio out of the image, instead of squashing the image to it; for
            cameras of several aspect ratios. Set `canonical_focal` with it, as with `zoom`.
        jitter: probability of changing the colours.
        brightness: brightness changes by a factor drawn from 1 -/+ this.
        contrast: contrast changes by a factor drawn from 1 -/+ this.
        saturation: saturation changes by a factor drawn from 1 -/+ this.
        hue: hue is shifted by a part of the colour circle drawn from -/+ this.
        grey: probability of removing the colours.
        blur: probability of a Gaussian blur.
        blur_sigma: smallest and largest standard deviation of the Gaussian blur, in pixels of the sample.
        noise: each sample's standard deviation of Gaussian noise is drawn from 0 to this, in units of [0,1] images.

    Raises:
        InputError: a factor, probability or range is invalid.
    """

    flip: float = 0.5
    zoom: float = 1.0
    crop: bool = False
    jitter: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1
    grey: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.3, 1.5)
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.zoom <= 10:
            raise InputError(f"augment.zoom {self.zoom:g} must lie between 1, the whole image, and 10")
        for name in ("flip", "jitter", "grey", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment.{name} {getattr(self, name):g} is a probability; give 0 to 1")
        low, high = self.blur_sigma
        if not 0 < low <= high <= 10:
            raise InputError(f"augment.blur_sigma {low:g} to {high:g}: give two numbers up to 10, the smaller first")
        if not 0 <= self.noise <= 1:
            raise InputError(f"augment.noise {self.noise:g} must lie between 0 and 1, the range of an image's values")


@dataclass(frozen=True)
class GroundTruthConfig:
    """Images and their true depth, for evaluation.

    Attributes:
        kind: what true depth it is, a key of `truth.GROUND_TRUTHS`: `kitti_lidar`, `kitti_improved`, `cityscapes`,
            `make3d`, `folder`, `gt_depths` or `drive`.
        root: the folder that holds the data. The kind `gt_depths` needs it for the images alone.
        split: a split file, or the name of a bundled one. By default `eigen/test` for `kitti_lidar`,
            `val` for `cityscapes` and `ROOT/val.txt` for `drive`; `gt_depths` needs it for the images alone;
            `folder` has none.
        depths: for the kind `gt_depths` the file gt_depths.npz, for `kitti_improved` the folder of
            data_depth_annotated.zip.
        lidar_depth: `laser` uses the laser's forward coordinate as depth, as published KITTI numbers do,
            `camera` the camera's z; both in metres.
    """

    kind: str = "kitti_lidar"
    root: str | None = None
    split: str | None = None
    depths: str | None = None
    lidar_depth: Literal["laser", "camera"] = "laser"


@dataclass(frozen=True)
class RenderConfig:
    """A synthetic drive to render.

    Attributes:
        root: the folder to make.
        name: the drive's name, a folder below `root`.
        frames: number of images.
        size: (height, width) of the images in pixels; on the command line WIDTHxHEIGHT, such as 640x192.
        seed: seed of street and drive.
        count: render this many drives, NAME_SEED with consecutive seeds; null renders one, NAME.
        validation: how many of the last frames are held out in val.txt: 0, or at least 3; the 3 frames before them are
            then left out of train.txt, where at least 3 must remain.
        stereo: render the right images too.
        samples_per_pixel: rays a pixel; more is smoother and slower.
        car_ahead: metres from the camera to the middle of a car ahead that keeps the camera's speed; null for no car.
        variety: the seed also draws camera, light, weather, kind of road, traffic and what stands beside it.
        overwrite: replace drives that were rendered with other settings; those of the same settings are resumed.
    """

    root: str
    name: str = "drive"
    frames: int = 60
    size: tuple[int, int] = (192, 640)
    seed: int = 0
    count: int | None = None
    validation: int = 0
    stereo: bool = True
    samples_per_pixel: int = 8
    car_ahead: float | None = None
    variety: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_counts(self, 1, "count")
        check_counts(self, 3, "frames")  # so that one has both neighbours
        check_counts(self, 1, "samples_per_pixel", most=4096)

    def drives(self) -> list[dict[str, Any]]:
        """Return the settings of each drive, as `render_drive` takes them."""
        settings = asdict(self)
        if settings.pop("count") is None:
            return [settings]
        seeds = range(self.seed, self.seed + (self.count or 0))
        return [settings | {"name": f"{self.name}_{seed}", "seed": seed} for seed in seeds]
