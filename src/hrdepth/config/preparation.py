"""Training sets: prepared, examined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hrdepth.config.bounds import check_counts, check_numbers
from hrdepth.config.inference import FleetConfig
from hrdepth.config.training import TrainConfig
from hrdepth.errors import InputError

__all__ = [
    "DoctorConfig",
    "PrepareCityscapesConfig",
    "PrepareConfig",
    "PrepareHintsConfig",
    "PrepareKittiConfig",
    "PrepareLabelsConfig",
    "PrepareOdometryConfig",
    "PrepareShardsConfig",
    "PrepareVideoConfig",
    "PublishedDataConfig",
]


@dataclass(frozen=True)
class PrepareConfig:
    """A cache of decoded and resized images.

    Attributes:
        config: the training config whose images are wanted.
        cache: the folder to make or to complete; null for the config's `cache`.
        verify: compare what the folder holds with its checksums and sources instead; needs no config.
        threads: threads that decode and resize; null for one a core.
    """

    config: TrainConfig | None = None
    cache: str | None = None
    verify: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class PrepareHintsConfig:
    """Depth hints from several views, by geometry alone.

    Attributes:
        config: the training config whose images get hints, of its `size`; those of validation too.
        out: the folder to make or to complete.
        weights: a weights file, a name or `hf://OWNER/REPO`, whose network gives the scale of monocular recordings,
            and the hints' units. Null for the bundled one.
        every: in a monocular recording every n-th frame gets a hint; all frames are used to make them.
        offsets: the neighbours that a frame is compared with, by their distances in frames.
        planes: how many depths are tried.
        nearest: the nearest of the depths that are tried, in network units.

    Raises:
        InputError: numbers that cannot work.
    """

    config: TrainConfig
    out: str
    weights: str | None = None
    every: int = 2
    offsets: list[int] = field(default_factory=lambda: [-4, -1, 2, 4])
    planes: int = 88
    nearest: float = 0.65

    def __post_init__(self) -> None:
        check_counts(self, 1, "every")
        if not self.offsets or 0 in self.offsets:
            raise InputError(f"offsets {self.offsets}: give some, none of them 0, such as [-4, -1, 2, 4]")
        if not 8 <= self.planes <= 1000:
            raise InputError(f"planes {self.planes}: give 8 to 1000 to separate depths; 88 suits")
        check_numbers(self, "nearest")


@dataclass(frozen=True)
class PrepareShardsConfig:
    """A training set in few large files.

    Attributes:
        out: the folder or URL to make or to complete.
        config: the training config whose data sets are packed: images, cameras, masks, and what its objective reads.
        images: `source` packs the files as they are; `decoded` packs pixels at the size of the training, as a
            cache has them: larger, and faster to read.
        megabytes: the size of a shard, about, in megabytes.
        verify: compare the shards with their checksums instead, and remove damaged ones.
        threads: threads that read and write; null for one a core.

    Raises:
        InputError: numbers that cannot work.
    """

    out: str
    config: TrainConfig | None = None
    images: Literal["source", "decoded"] = "source"
    megabytes: float = 128.0
    verify: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        check_numbers(self, "megabytes")
        check_counts(self, 1, "threads")


@dataclass(frozen=True)
class PrepareLabelsConfig(FleetConfig):
    """Labels of a training set by a teacher: any depth model.

    Attributes:
        teacher: a weights file by path, name or `hf://` address; an ONNX file with its facts beside it; or a depth
            model of the transformers library, by name on the Hugging Face Hub or folder.
        data: a folder of drives on disk, or of images; or give `config`.
        config: a training config whose target images are labelled, those of validation too.
        out: the folder to make or to complete; null for DATA/labels-TEACHER, with `config` ./labels-TEACHER.
        size: (height, width) of the labels, on the command line WIDTHxHEIGHT, such as 640x192; each has about as many
            pixels and its image's aspect ratio.
        confidence: write also how far the teacher agrees with itself about the mirrored and the zoomed image.
        verify: read all labels instead, and remove damaged ones.
        device: `auto` (the best that is available), `cpu`, `cuda` or `mps`.

    Raises:
        InputError: no teacher, no images, or a size that cannot be.
    """

    teacher: str = ""
    data: str | None = None
    config: TrainConfig | None = None
    out: str | None = None
    size: tuple[int, int] = (192, 640)
    confidence: bool = False
    verify: bool = False
    device: str | None = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.teacher:
            raise InputError("no teacher is given: pass --teacher NAME, see docs/teachers.md")
        if self.config is None and self.data is None:
            raise InputError("no images are given: pass --data FOLDER, or --config TRAIN.yaml")
        if min(self.size) < 64:
            raise InputError(f"size {self.size[0]}x{self.size[1]} (height x width) is too small; give at least 64")


@dataclass(frozen=True)
class PrepareVideoConfig(FleetConfig):
    """Videos, or folders of frames, to turn into a training set.

    Attributes:
        inputs: videos or folders of frames, all of one camera. Another camera: call again with the same `out`.
        out: the folder of the training set; recordings that it holds already stay.
        size: (height, width) of the written frames, multiples of 32, on the command line WIDTHxHEIGHT, such as 640x192;
            null for the same aspect, 640 pixels on the longer side or less if the images are smaller.
        fit: `crop` cuts around the centre, `letterbox` adds masked bars.
        fps: frames a second to select; null chooses from the measured motion. Needs a video.
        stride: use every n-th frame; null follows `fps`.
        intrinsics: a calibration file (KITTI, COLMAP cameras.txt, OpenCV YAML, ROS camera_info YAML, or a camera.yaml
            of this package), whose lens distortion is removed; `exif` for the focal length in the files; `learn`
            starts from `fov` and marks the camera to be learned; `auto` uses EXIF if there is any, else learns. Unused
            if `fov` alone is given.
        camera: the camera, where the calibration file has several: COLMAP's camera number, KITTI's 0 to 3.
        fov: horizontal field of view in degrees; with `--intrinsics learn` only where learning starts.
        validation: the share of each recording, at its end, that is held out for validation.
        gap: frames between training and validation that belong to neither.
        mask: find overlays and the car's hood, and mask them.
        format: the format of the written frames; `png` is without loss and five times as large.
        verify: compare the recordings in `out` with their manifests instead.
        overwrite: replace recordings of the same name that were made with other settings or from another video.
    """

    out: str
    inputs: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None
    fit: Literal["crop", "letterbox"] = "crop"
    fps: float | None = None
    stride: int | None = None
    intrinsics: str = "auto"
    camera: str | None = None
    fov: float | None = None
    validation: float = 0.1
    gap: int = 10
    mask: bool = True
    format: Literal["jpg", "png"] = "jpg"
    verify: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class DoctorConfig:
    """A training set to examine.

    Attributes:
        data: the folder of drives on disk, as `hrdepth prepare` or `hrdepth render` write it.
        page: the file of the page; null writes DATA/doctor.html.
        ignore: kinds of finding that do not count: `missing`, `duplicate`, `still`, `cut`, `fast`, `camera`,
            `stereo`, `baseline`, `exposure`, `mask`. The page shows them nevertheless.
        overwrite: replace an earlier file `page`; DATA/doctor.html is always replaced.
    """

    data: str
    page: str | None = None
    ignore: list[str] = field(default_factory=list)
    overwrite: bool = False


@dataclass(frozen=True)
class PublishedDataConfig:
    """A published data set to check and to prepare. Without any of the steps it is only checked.

    Attributes:
        root: the folder that its archives were unpacked to.
        verify: decode every image, and read every calibration and laser scan.
        splits: write lists of the frames that are there with both neighbours.
        jpeg: write a JPEG of each PNG.
        quality: quality of the JPEGs, 1 to 100.
        width: width of the JPEGs in pixels; wider images are made smaller, and K is that of their size. Null keeps the
            size.
        out: the folder for what is written; null writes beside the originals.
        delete_originals: delete the PNGs once each has a JPEG that shows the same; only where they lie side by side.
        cache: a folder for a cache of decoded and resized images of `config`, see `hrdepth prepare cache`.
        config: the training config whose images are cached.
        threads: threads that read and write; null for one a core.
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
        check_counts(self, 1, "threads")
        if self.delete_originals and (self.out is not None or not self.jpeg):
            raise InputError("delete_originals needs jpeg and no out: it deletes originals beside their JPEGs")
        if self.delete_originals and self.width is not None:
            raise InputError("delete_originals would lose the images' size; leave out width, or give out")
        if (self.cache is None) != (self.config is None):
            raise InputError("a cache needs both cache, its folder, and config, the training it is for")


@dataclass(frozen=True)
class PrepareKittiConfig(PublishedDataConfig):
    """KITTI raw.

    Attributes:
        lists: the frames that are wanted: bundled splits, or files.
        test: the list whose true depth is exported: a bundled split, or a file; each of its frames needs its scan.
        ground_truth: write `gt_depths.npz`, the laser's depth of `test`, so that evaluation needs no scans.
        lidar_depth: `laser` for the laser's forward coordinate as depth, as published numbers have it, `camera` the
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
        stereo: right images are wanted, for mode MS.
    """

    train: list[str | int] = field(default_factory=lambda: [f"{number:02d}" for number in range(9)])
    test: list[str | int] = field(default_factory=lambda: ["09", "10"])
    stereo: bool = False


@dataclass(frozen=True)
class PrepareCityscapesConfig(PublishedDataConfig):
    """CityScapes.

    Attributes:
        parts: the parts that are wanted.
        stereo: right images are wanted, for mode MS.
    """

    parts: list[Literal["train", "val", "test"]] = field(default_factory=lambda: ["train", "val"])
    stereo: bool = False
