"""Every setting of the package: frozen dataclasses with defaults and units, one per YAML section."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hrdepth.errors import InputError

__all__ = [
    "AugmentConfig",
    "DatasetConfig",
    "DepthProtocol",
    "EvaluateConfig",
    "GroundTruthConfig",
    "ImportConfig",
    "LogConfig",
    "NetworkConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
    "PredictConfig",
    "RenderConfig",
    "TrainConfig",
]


@dataclass(frozen=True)
class NetworkConfig:
    """A network by name.

    Attributes:
        name: a key of `networks.NETWORKS` (or of `POSE_NETWORKS`).
        options: arguments of that network, such as `backbone`, `weights`, `fse_reduction`, `min_depth`, `max_depth`.
    """

    name: str = "hrdepth"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetConfig:
    """One data set of a training mix.

    Attributes:
        dataset: a key of `data.DATASETS`: `kitti_raw`, `kitti_odometry`, `folder`.
        root: the folder that holds it.
        split: a split file, or the name of one on board, such as `eigen_zhou/train`. A `folder` can do without: null
            takes every left frame that has both neighbours.
        weight: how often an epoch sees each of its samples; 0.5 sees half of them, 2 each twice.
        options: arguments of that data set, such as `intrinsics: paper` for KITTI raw.
    """

    dataset: str
    root: str
    split: str | None = None
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of a training sample; all frames of a sample change alike.

    Attributes:
        flip: probability of mirroring left to right.
        jitter: probability of changing the colours.
        brightness: factor drawn from 1 -/+ this.
        contrast: factor drawn from 1 -/+ this.
        saturation: factor drawn from 1 -/+ this.
        hue: shift drawn from -/+ this, in turns of the colour circle.
    """

    flip: float = 0.5
    jitter: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimised.

    Attributes:
        name: a key of `objectives.OBJECTIVES`.
        frames: the sources: integers are neighbours in time, `"s"` is the other eye. [-1, 1] is the paper's M,
            [-1, 1, s] its MS, [s] is stereo alone.
        options: arguments of that objective, such as `ssim_weight`, `smoothness`, `auto_mask`, `compile`.
    """

    name: str = "view_synthesis"
    frames: list[int | str] = field(default_factory=lambda: [-1, 1])
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam with a step schedule (paper, "Implementation Details").

    Attributes:
        learning_rate: of all networks.
        decay_after: epochs after which the learning rate is multiplied by `decay`; it holds to the end.
        decay: that factor.
        weight_decay: decoupled weight decay (AdamW) where it is not 0.

    Note:
        The paper's 1e-3 is a mistake by its authors' word; they trained with 1e-4.
    """

    learning_rate: float = 1e-4
    decay_after: int = 15
    decay: float = 0.1
    weight_decay: float = 0.0


@dataclass(frozen=True)
class LogConfig:
    """What a run writes besides its weights.

    Attributes:
        every_steps: steps between two rows of the log.
        panels_every_steps: steps between two image panels; 0 writes none.
        panels: samples on a panel.
    """

    every_steps: int = 10
    panels_every_steps: int = 500
    panels: int = 2


@dataclass(frozen=True)
class GroundTruthConfig:
    """Pictures and their true depth, for evaluation.

    Attributes:
        kind: a key of `data.ground_truth.GROUND_TRUTHS`: `kitti_lidar`, `folder`, `gt_depths` or `drive`.
        root: the folder that holds the data. `gt_depths` needs it for the pictures alone.
        split: a split file, or the name of one on board. By default `eigen/test` for `kitti_lidar` and
            `ROOT/val.txt` for `drive`; `gt_depths` needs it for the pictures alone; `folder` has none.
        depths: the `gt_depths.npz` of `gt_depths`.
        lidar_depth: `laser` takes the laser's forward coordinate as depth, as published KITTI numbers do,
            `camera` the camera's z; both in metres.
    """

    kind: str = "kitti_lidar"
    root: str | None = None
    split: str | None = None
    depths: str | None = None
    lidar_depth: Literal["laser", "camera"] = "laser"


@dataclass(frozen=True)
class DepthProtocol:
    """How predicted depth is compared with the truth; the defaults are those of published KITTI numbers.

    Attributes:
        min_depth: metres; nearer truth is left out, nearer predictions are set to it.
        max_depth: metres; farther truth is left out, farther predictions are set to it.
        crop: `garg` compares the picture's middle (Garg et al. 2016), `none` all of it.
        scaling: `median` brings each picture's median depth to the true one; a number is a fixed factor from
            predicted depth to metres, such as 5.4 for stereo training with the paper's 0.1 baseline, or 1.
        post_process: predict for the mirrored picture too and blend the two.

    Raises:
        InputError: the range is empty or the factor is not positive.
    """

    min_depth: float = 1e-3
    max_depth: float = 80.0
    crop: Literal["garg", "none"] = "garg"
    scaling: Literal["median"] | float = "median"
    post_process: bool = False

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
        weights: a weights file of this package.
        disparities: instead of weights, predictions made elsewhere: an .npy array (N,h,w) of 1/depth in list order.
        protocol: how depth is compared.
        out: a folder for metrics.json and per_image.csv; null prints only.
        size: (height, width) that the network works at; null for that of its training.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace results in `out`.
    """

    data: GroundTruthConfig
    weights: str | None = None
    disparities: str | None = None
    protocol: DepthProtocol = field(default_factory=DepthProtocol)
    out: str | None = None
    size: tuple[int, int] | None = None
    device: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class PredictConfig:
    """A prediction.

    Attributes:
        input: a picture, a folder of pictures or a video.
        weights: a weights file of this package.
        out: the folder to write into.
        size: (height, width) that the network works at; null for that of its training.
        flip: blend with the prediction for the mirrored picture.
        npz: write NAME.npz with disparity and depth; null means for pictures and folders, not for videos.
        depth_png: write NAME_depth.png, 16 bits, depth x 256.
        panel: put picture and disparity side by side in one more picture.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace results in `out`.
    """

    input: str
    weights: str
    out: str
    size: tuple[int, int] | None = None
    flip: bool = False
    npz: bool | None = None
    depth_png: bool = False
    panel: bool = True
    device: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class ImportConfig:
    """Published weight files to convert.

    Attributes:
        network: `hrdepth`, `lite_hrdepth` or `monodepth2`.
        encoder: encoder.pth.
        depth: depth.pth.
        out: the file to write, ends in .safetensors.
        pose_encoder: pose_encoder.pth, together with `pose`.
        pose: pose.pth.
        size: (height, width) of training, where the encoder file does not carry it.
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


@dataclass(frozen=True)
class RenderConfig:
    """A synthetic drive to render.

    Attributes:
        root: the folder to make.
        name: of the drive, a folder below `root`.
        frames: pictures along the drive.
        size: (height, width) in pixels.
        seed: of street and drive.
        validation: how many of the last frames are held out in val.txt.
        stereo: render the second eye.
        samples_per_pixel: rays a pixel; more is smoother and slower.
        overwrite: replace what `root` holds.
    """

    root: str
    name: str = "drive"
    frames: int = 60
    size: tuple[int, int] = (192, 640)
    seed: int = 0
    validation: int = 0
    stereo: bool = True
    samples_per_pixel: int = 8
    overwrite: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        train: the data sets to learn from, mixed.
        validation: the data sets whose loss picks the best checkpoint.
        output: the run's folder; made, never overwritten.
        network: the depth network.
        pose_network: the pose network; unused where `frames` is ["s"].
        objective: what is minimised.
        optimiser: how.
        augment: random changes of the training samples.
        log: what is written on the way.
        size: (height, width) in pixels, multiples of 32.
        batch_size: samples a step.
        epochs: passes over the mix.
        max_minutes: stop after so many minutes, whatever the epoch; null for none.
        precision: `32-true` or `bf16-mixed` (geometry and losses stay in float32).
        channels_last: keep feature maps in NHWC order, faster for ResNets.
        workers: processes that load samples; 0 loads in the main one.
        seed: of weights, order and augmentation.
        init: a checkpoint of this package to start from (depth and, if it has one, pose).
        initial_depth: the depth, in network units, that an untrained network guesses everywhere; null leaves it at
            twice `min_depth`. Speeds up training from scratch with stereo; not used with `init`.
        metres_per_unit: metres that one unit of predicted depth stands for, where stereo fixes it;
            stored with the weights.
        device: `auto`, `cpu`, `cuda` or `mps`.
    """

    train: list[DatasetConfig]
    validation: list[DatasetConfig]
    output: str
    network: NetworkConfig = field(default_factory=NetworkConfig)
    pose_network: NetworkConfig = field(default_factory=lambda: NetworkConfig("posenet"))
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    log: LogConfig = field(default_factory=LogConfig)
    size: tuple[int, int] = (192, 640)
    batch_size: int = 12
    epochs: int = 20
    max_minutes: float | None = None
    precision: str = "32-true"
    channels_last: bool = False
    workers: int = 1
    seed: int = 0
    init: str | None = None
    initial_depth: float | None = None
    metres_per_unit: float | None = None
    device: str = "auto"
