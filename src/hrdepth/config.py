"""Every setting of the package: frozen dataclasses with defaults and units, one per YAML section."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "AugmentConfig",
    "DatasetConfig",
    "LogConfig",
    "NetworkConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
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
        split: a split file, or the name of one on board, such as `eigen_zhou/train`.
        weight: how often an epoch sees each of its samples; 0.5 sees half of them, 2 each twice.
        options: arguments of that data set, such as `intrinsics: paper` for KITTI raw.
    """

    dataset: str
    root: str
    split: str
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
        metres_per_unit: metres that one unit of predicted depth stands for, where stereo fixes it; stored with the weights.
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
    metres_per_unit: float | None = None
    device: str = "auto"
