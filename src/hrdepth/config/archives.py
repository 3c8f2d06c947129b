"""Published data sets, from their archives to training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hrdepth.config.training import TrainConfig
from hrdepth.errors import InputError

__all__ = ["PrepareCityscapesConfig", "PrepareKittiConfig", "PrepareOdometryConfig", "PublishedDataConfig"]


@dataclass(frozen=True)
class PublishedDataConfig:
    """A published data set to look over and to prepare. Without any of the steps it is only looked over.

    Attributes:
        root: the folder that its archives were unpacked to.
        verify: decode every image, and read every calibration and laser scan.
        splits: write lists of the frames that are there with both neighbours.
        jpeg: write a JPEG of each PNG.
        quality: of the JPEGs.
        width: of the JPEGs, pixels; wider images are made smaller, and K is that of their size. Null keeps the size.
        out: the folder for what is written; null writes beside the originals.
        delete_originals: delete the PNGs once each has a JPEG that shows the same; only where they lie side by side.
        cache: a folder for a cache of decoded and resized images of `config`, see `hrdepth prepare cache`.
        config: the training config whose images are cached.
        threads: that read and write; null takes one a core.
        overwrite: replace what is there and differs: lists, ground truth, JPEGs, copies of calibrations.

    Raises:
        InputError: settings that cannot go together.
    """

    root: str
    verify: bool = False
    splits: bool = False
    jpeg: bool = False
    quality: int = 92
    width: int | None = None
    out: str | None = None
    delete_originals: bool = False
    cache: str | None = None
    config: TrainConfig | None = None
    threads: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality {self.quality} must lie between 1 and 100; 92 suits")
        if self.width is not None and self.width < 32:
            raise InputError(f"width {self.width} is too small for an image; leave it out to keep the images' own")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads {self.threads} must be at least 1")
        if self.delete_originals and (self.out is not None or not self.jpeg):
            raise InputError("delete_originals goes with jpeg and without out: an original goes beside its JPEG")
        if self.delete_originals and self.width is not None:
            raise InputError("delete_originals would lose the images' size; leave out width, or give out")
        if (self.cache is None) != (self.config is None):
            raise InputError("a cache needs both cache, its folder, and config, the training it is for")


@dataclass(frozen=True)
class PrepareKittiConfig(PublishedDataConfig):
    """KITTI raw.

    Attributes:
        lists: the frames that are wanted: splits on board, or files.
        test: the list whose true depth is exported.
        ground_truth: write `gt_depths.npz`, the laser's depth of `test`, so that evaluation needs no scans.
        lidar_depth: `laser` takes the laser's forward coordinate as depth, as published numbers do, `camera` the
            camera's z.
    """

    lists: list[str] = field(default_factory=lambda: ["eigen_zhou/train", "eigen_zhou/val"])
    test: str = "eigen/test"
    ground_truth: bool = False
    lidar_depth: Literal["laser", "camera"] = "laser"


@dataclass(frozen=True)
class PrepareOdometryConfig(PublishedDataConfig):
    """KITTI odometry.

    Attributes:
        train: sequences to learn from, as in [00, 01]; the last tenth of each is for validation.
        test: sequences for trajectories.
        stereo: the right eye is wanted, for mode MS.
    """

    train: list[str | int] = field(default_factory=lambda: [f"{number:02d}" for number in range(9)])
    test: list[str | int] = field(default_factory=lambda: ["09", "10"])
    stereo: bool = False


@dataclass(frozen=True)
class PrepareCityscapesConfig(PublishedDataConfig):
    """CityScapes.

    Attributes:
        parts: which are wanted.
        stereo: the right eye is wanted, for mode MS.
    """

    parts: list[Literal["train", "val", "test"]] = field(default_factory=lambda: ["train", "val"])
    stereo: bool = False
