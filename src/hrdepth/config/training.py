"""One training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hrdepth.config.data import AugmentConfig, DatasetConfig
from hrdepth.config.network import NetworkConfig

__all__ = ["GuardConfig", "LogConfig", "ObjectiveConfig", "OptimiserConfig", "TrainConfig"]


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
class GuardConfig:
    """When a run is stopped because it has gone wrong.

    Attributes:
        enabled: watch at all. NaN and infinity always stop a run then.
        every_steps: steps between two looks. Each waits for the device once; with 1 no NaN ever reaches the weights.
        min_spread: a disparity has collapsed where 1/depth varies by less than this share of its mean within every
            picture of a batch (standard deviation by mean); trained networks are at 0.3 and above. 0 lets it.
        warmup_steps: until then, a collapse is only that of a disparity that has varied ten times as much before,
            since an untrained network is nearly constant.
        max_motion: a pose explodes where the length of the translation is more than this many times the predicted
            depth, averaged over a batch; the motion between two frames is below 0.1 in most recordings. `.inf` lets it.
        max_rotation: likewise the angle of the rotation, in radians.
        patience: steps in a row with a collapsed disparity or an exploded pose, after which the run is stopped.
        keep_every_steps: steps between two copies of the good state in memory, which a stopped run is left with.
    """

    enabled: bool = True
    every_steps: int = 1
    min_spread: float = 0.002
    warmup_steps: int = 500
    max_motion: float = 3.0
    max_rotation: float = 1.0
    patience: int = 50
    keep_every_steps: int = 100


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
        guard: when a run that goes wrong is stopped.
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
    guard: GuardConfig = field(default_factory=GuardConfig)
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
