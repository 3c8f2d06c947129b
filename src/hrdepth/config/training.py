"""One training run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from hrdepth.config.data import AugmentConfig, DatasetConfig
from hrdepth.config.names import rename_keys
from hrdepth.config.networks import IntrinsicsConfig, NetworkConfig
from hrdepth.errors import InputError

__all__ = [
    "PATH_OPTIONS",
    "DiagnoseConfig",
    "GuardConfig",
    "LogConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
    "TrainConfig",
    "check_values",
    "nested_options",
]

# Options of objectives that name files, which may lie in another place on another machine.
PATH_OPTIONS = ("teacher", "cache", "labels", "hints")


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimised.

    Attributes:
        name: the objective, a key of `objectives.OBJECTIVES`, such as `view_synthesis`, `distillation`, `supervised`.
        frames: the sources: integers are neighbours in time, `"s"` is the other image of a stereo pair. [-1, 1]
            is the paper's M, [-1, 1, s] its MS, [s] is stereo alone, [] the T of `distillation`, which needs none.
        options: arguments of the objective, such as `ssim_weight`, `smoothness`, `auto_mask`, `compile`; `teacher`,
            `norm`, `self_supervision` of `distillation`.
    """

    name: str = "view_synthesis"
    frames: list[int | str] = field(default_factory=lambda: [-1, 1])
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", rename_keys(self.options))


def nested_options(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an objective's options, then those of an objective within them, such as the `other` of `supervised`."""
    yield options
    for value in options.values():
        if isinstance(value, dict):
            yield from nested_options(value)


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam and its learning-rate schedule.

    Attributes:
        learning_rate: learning rate of all networks.
        schedule: `step` multiplies the learning rate by `decay` after every `decay_after` epochs (paper,
            "Implementation Details"), `cosine` lowers it along half a cosine over all epochs to `floor` times its
            value, `constant` keeps it.
        decay_after: with the schedule `step`, the epochs after which the learning rate is multiplied by `decay`.
        decay: with the schedule `step`, what the learning rate is multiplied by.
        floor: with the schedule `cosine`, the share of the learning rate that is left at the end.
        warmup_steps: steps over which the learning rate first rises linearly; 0 for none.
        gradient_clip: the largest norm of all gradients together; larger ones are scaled to it. Null clips nothing.
        weight_decay: decoupled weight decay; above 0 the optimiser is AdamW.
        reference_batch: the samples a step, of all processes together, for which `learning_rate` holds; that of the
            run is in proportion to its own, and the log says so. Null changes nothing, however many there are.

    Note:
        The paper's 1e-3 is a mistake, according to its authors, who trained with 1e-4.
    """

    learning_rate: float = 1e-4
    decay_after: int = 15
    decay: float = 0.1
    weight_decay: float = 0.0
    schedule: Literal["step", "cosine", "constant"] = "step"
    floor: float = 0.01
    warmup_steps: int = 0
    gradient_clip: float | None = None
    reference_batch: int | None = None


@dataclass(frozen=True)
class LogConfig:
    """What a run logs.

    Attributes:
        every_steps: steps between two rows of the log.
        panels_every_steps: steps between two image panels; 0 writes none.
        panels: samples on an image panel.
    """

    every_steps: int = 10
    panels_every_steps: int = 500
    panels: int = 2


@dataclass(frozen=True)
class GuardConfig:
    """When a run is stopped because it fails.

    Attributes:
        enabled: check the steps of the training. NaN and infinity then always stop a run.
        every_steps: steps between two checks. Each waits for the device once; with 1 no NaN reaches the weights.
        min_spread: a disparity has collapsed if 1/depth varies by less than this share of its mean within every
            image of a batch (standard deviation by mean); trained networks are at 0.3 and above. 0 disables the check.
        warmup_steps: before this step only a disparity that has varied ten times as much before counts as collapsed,
            since an untrained network is nearly constant.
        max_motion: a pose explodes if the length of the translation is more than this many times the predicted
            depth, averaged over a batch; the motion between two frames is below 0.1 in most recordings. `.inf` disables
            the check.
        max_rotation: a pose also explodes if the angle of the rotation, in radians, is above this.
        patience: steps in a row with a collapsed disparity or an exploded pose, after which the run is stopped.
        keep_every_steps: steps between two copies of the good state in memory, which a stopped run restores.
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
        validation: the data sets whose loss selects the best weights.
        output: the run's folder; created, never overwritten.
        resume: continue the run in `output` exactly: `last` reads its `last.ckpt`, a path another training checkpoint
            of it; `auto` is `last` where `output` holds a run and null where it does not, for launchers that start the
            same command again. Null starts a new run.
        network: the depth network.
        pose_network: the pose network; not used if `objective.frames` names no neighbours in time ([s] or []).
        objective: what is minimised.
        optimiser: optimiser and learning rate.
        augment: random changes of the training samples.
        intrinsics: which cameras are learned.
        log: what is logged.
        guard: when a failing run is stopped.
        size: (height, width) of the samples in pixels, multiples of 32; on the command line WIDTHxHEIGHT, such as
            640x192.
        sizes: further sizes: each training batch has one of these or `size`, at random; validation and the weights file
            have `size`. On the command line such as 512x256,448x320. With `augment.crop` the network learns several
            aspect ratios.
        batch_size: samples a batch, in each process.
        accumulate: batches a step, whose gradients are averaged.
        average: keep a moving average of the weights with this decay a step, such as 0.999; validation, panels and
            weights files then use it. Null averages nothing.
        epochs: passes over the training samples.
        early_stop: stop after so many epochs without a lower validation loss; null never stops early.
        max_minutes: stop after so many minutes, within an epoch too; null for no limit. A resumed run counts from 0.
        checkpoint_minutes: minutes between two training checkpoints (`last.ckpt`) within an epoch; 0 writes one after
            each step. There is always one after each epoch and on Ctrl-C or SIGTERM.
        precision: `32-true` or `bf16-mixed` (geometry and losses stay in float32).
        channels_last: keep feature maps in NHWC order, faster for ResNets.
        compile_networks: compile both networks, which takes minutes in the first step.
        workers: processes that load samples; 0 loads in the main one.
        cache: a folder of decoded and resized images that `hrdepth prepare cache` made; changes only the speed. Missing
            images are read from the source.
        seed: seed of weights, order, augmentation and noise.
        deterministic: use deterministic operations of torch, and warn about those that have none; slower on CUDA.
        init: a checkpoint of this package to start from (depth and, if it has one, pose).
        freeze_depth_steps: steps at first in which the depth network of `init` is frozen, while a pose
            network from scratch learns from it; 200 suits weights that come without one. Without `init`
            nothing is frozen.
        initial_depth: the depth, in network units, that an untrained network predicts everywhere; null for the median
            of a teacher's depth, without a teacher twice `min_depth`. 3 speeds up training from scratch with stereo.
            Without stereo leave it near: the pose network begins at motions near 0, and where depth is 3 it takes so
            long to reach the true ones that depth collapses first. Not used with `init`.
        metres_per_unit: metres of one unit of predicted depth, if stereo determines it; stored with the weights. Null
            computes it from the baselines of the training sets, if they agree, or uses the teacher's.
        canonical_focal: the focal length fx, in image widths, for which the network's depth holds as it is, such as
            0.58 for KITTI; the depth of a sample is fx / (canonical_focal x width) times it, in the loss and wherever
            the weights are used. Makes random zoom and cameras of different focal length agree on the size of things;
            stored with the weights. Null uses the network's depth unchanged for any camera.
        scan: what is checked in the data before training begins: `quick` missing files, wrong cameras and images
            of another shape, by their headers; `full` decodes every image too; `off` missing files and wrong
            cameras alone.
        device: what the training runs on: `auto` (the best that is available), `cpu`, `cuda` or `mps`.
        devices: processes on this machine, one for each device; under torchrun or SLURM's srun theirs.
        nodes: machines that train together; under torchrun or SLURM's srun theirs.
        strategy: how several processes share the work, one of Lightning's names; `auto` is `ddp`.
        sync_batch_norm: batch norm sees the samples of all processes (CUDA only), not its own alone.
    """

    train: list[DatasetConfig]
    validation: list[DatasetConfig]
    output: str
    resume: str | None = None
    network: NetworkConfig = field(default_factory=NetworkConfig)
    pose_network: NetworkConfig = field(default_factory=lambda: NetworkConfig("posenet"))
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    intrinsics: IntrinsicsConfig = field(default_factory=IntrinsicsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)
    size: tuple[int, int] = (192, 640)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    batch_size: int = 12
    accumulate: int = 1
    average: float | None = None
    epochs: int = 20
    early_stop: int | None = None
    max_minutes: float | None = None
    checkpoint_minutes: float = 10.0
    precision: str = "32-true"
    channels_last: bool = False
    compile_networks: bool = False
    workers: int = 1
    cache: str | None = None
    seed: int = 0
    deterministic: bool = False
    init: str | None = None
    freeze_depth_steps: int = 0
    initial_depth: float | None = None
    metres_per_unit: float | None = None
    canonical_focal: float | None = None
    scan: Literal["off", "quick", "full"] = "quick"
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    sync_batch_norm: bool = False


@dataclass(frozen=True)
class DiagnoseConfig:
    """A run to diagnose.

    Attributes:
        run: its folder, as `hrdepth train` wrote it; the data must be where they were.
    """

    run: str


COUNTS = ("batch_size", "epochs", "accumulate", "devices", "nodes", "early_stop", "log.every_steps", "log.panels",
          "guard.every_steps", "guard.patience", "guard.keep_every_steps", "optimiser.decay_after",
          "optimiser.reference_batch")  # fmt: skip
POSITIVE = ("optimiser.learning_rate", "optimiser.gradient_clip", "guard.max_motion", "guard.max_rotation",
            "max_minutes", "initial_depth", "metres_per_unit")  # fmt: skip
NOT_NEGATIVE = ("optimiser.weight_decay", "optimiser.warmup_steps", "intrinsics.freeze_steps",
                "log.panels_every_steps", "guard.min_spread", "guard.warmup_steps", "checkpoint_minutes",
                "freeze_depth_steps", "workers", "seed")  # fmt: skip
ENDLESS = ("guard.max_motion",)  # whose infinity disables a check
# Greatest values of what is 0 at the least.
SHARES = {"optimiser.decay": 1.0, "optimiser.floor": 1.0, "augment.brightness": 1.0, "augment.contrast": 1.0,
          "augment.saturation": 1.0, "augment.hue": 0.5}  # fmt: skip


def check_values(config: TrainConfig) -> None:
    """Check the values of settings that depend on nothing else.

    Raises:
        InputError: the first invalid one.
    """
    for name, (height, width) in [("size", config.size), *(("sizes", size) for size in config.sizes)]:
        if height < 64 or width < 64 or height % 32 or width % 32:
            raise InputError(f"{name} {height}x{width} (height x width): both must be multiples of 32, at least 64")
    for name in COUNTS:
        if (count := attrgetter(name)(config)) is not None and count < 1:
            raise InputError(f"{name} {count} must be at least 1")
    if config.average is not None and not 0 < config.average < 1:
        raise InputError(f"average {config.average:g} must lie between 0 and 1, such as 0.999; null averages nothing")
    numbers = {name: attrgetter(name)(config) for name in POSITIVE + NOT_NEGATIVE}
    numbers |= {f"min_motion of {part.root}": part.min_motion for part in (*config.train, *config.validation)}
    for name, number in numbers.items():
        least = "positive" if name in POSITIVE else "0 or more"
        if name not in ENDLESS:
            least += ", and finite"
        if number is None or (name in ENDLESS and number == math.inf):
            continue
        if not (number >= 0 and math.isfinite(number) and (number or name not in POSITIVE)):
            raise InputError(f"{name} {number:g} must be {least}")
    for name, maximum in SHARES.items():
        if not 0 <= (value := attrgetter(name)(config)) <= maximum:
            raise InputError(f"{name} {value:g} must lie between 0 and {maximum:g}")
    if config.seed >= 2**32:
        raise InputError(f"seed {config.seed} must be below 2^32")
    if config.canonical_focal is not None and not 0.1 < config.canonical_focal < 20:
        raise InputError(
            f"canonical_focal {config.canonical_focal:g} must lie between 0.1 and 20: "
            "a focal length in image widths, such as 0.58 for KITTI"
        )
    if config.precision not in ("32-true", "bf16-mixed"):
        raise InputError(f"precision '{config.precision}': give '32-true' or 'bf16-mixed'")
    if config.optimiser.schedule not in ("step", "cosine", "constant"):
        raise InputError(f"optimiser.schedule '{config.optimiser.schedule}': give step, cosine or constant")
