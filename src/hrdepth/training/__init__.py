"""Train a depth network: `train(config)`."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from hrdepth.checkpoints import read_checkpoint
from hrdepth.compilation import compiled
from hrdepth.config import NetworkConfig, TrainConfig
from hrdepth.data import build_mix
from hrdepth.data.batch import Batch
from hrdepth.data.cache import use_cache
from hrdepth.data.mixing import Mix, MixedSampler, SharedSampler
from hrdepth.data.scale import metres_per_unit
from hrdepth.data.scan import check_data
from hrdepth.errors import InputError
from hrdepth.memory import keep_memory
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training.callbacks import ImagePanels, ProgressReport, WeightFiles
from hrdepth.training.checkpointing import TrainingCheckpoint, ignore_signals
from hrdepth.training.folder import is_first_process, prepare_folder
from hrdepth.training.metrics import MetricsFile
from hrdepth.training.module import DepthModule
from hrdepth.training.optimiser import check_optimiser
from hrdepth.training.resume import Start, find_start

__all__ = ["DepthModule", "build_loaders", "build_training_objective", "train"]

log = logging.getLogger(__name__)

DEVICES: dict[str, Callable[[], bool]] = {
    "auto": lambda: True,
    "cpu": lambda: True,
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
}


def train(config: TrainConfig) -> Path:
    """Train, and leave weights, logs and panels in the run's folder.

    Args:
        config: see `TrainConfig`.

    Returns:
        `OUTPUT/best.safetensors`, the weights with the lowest validation loss.

    Raises:
        InputError: data, networks or settings that cannot work.
        KeyboardInterrupt: the user stopped it; `last.safetensors` holds what was reached, `resume` goes on from there.

    The folder then holds `best.safetensors`, `last.safetensors`, `last.ckpt` (what a resumed run goes on from),
    `config.yaml`, `run.json` (how it came about), `metrics.csv`, TensorBoard's event file, and `panels/`.
    """
    _check(config)
    check_data(config)
    _quiet()
    keep_memory()
    seed_everything(config.seed, workers=True, verbose=False)
    loaders = build_loaders(config)
    config = _with_scale(config, loaders["train"].dataset)  # type: ignore[arg-type]
    start = find_start(config)
    # A checkpoint brings all weights; the file that the run was once started from may be gone.
    objective = build_training_objective(config if start is None else replace(config, init=None))
    folder = Path(config.output)
    if is_first_process():
        prepare_folder(config, start, {name: len(loader.dataset) for name, loader in loaders.items()})  # type: ignore[arg-type]
    if start is not None:
        if start.ended:
            log.info("the run in %s had stopped early; there is nothing to resume", folder)
            return folder / "best.safetensors"
        loaders["train"].sampler.resume_at(start.epoch, start.batch * config.batch_size)  # type: ignore[attr-defined]
    trainer = _trainer(config, folder, start)
    module = DepthModule(objective, config.optimiser, config.average, config.seed)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.fit(
            module,
            loaders["train"],
            loaders["validation"],
            ckpt_path=None if start is None else start.path,
            weights_only=True,
        )
    except SystemExit as stop:  # what Lightning makes of Ctrl-C, after its callbacks have saved what there is
        raise KeyboardInterrupt from stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Lightning leaves the first ignored
    return folder / "best.safetensors"


def build_training_objective(config: TrainConfig) -> ViewSynthesis:
    """Build networks and objective, started from `config.init` where it is given.

    Raises:
        InputError: unknown names or options, or an init checkpoint of another network.
    """
    network = build_network(config.network)
    if config.initial_depth is not None:
        network.start_at(config.initial_depth)
    temporal = any(frame != "s" for frame in config.objective.frames)
    pose_network = build_pose_network(config.pose_network) if temporal else None
    if config.init is not None:
        start = read_checkpoint(config.init)
        _start_from(network, config.network, start.network, start.network_config, config.init)
        _check_canonical_focal(start.canonical_focal, config)
        ranges = [(module.min_depth, module.max_depth) for module in (start.network, network)]
        if ranges[0] != ranges[1]:
            raise InputError(
                f"the weights file {config.init} speaks of depths {ranges[0][0]:g} to {ranges[0][1]:g}, the run of "
                f"{ranges[1][0]:g} to {ranges[1][1]:g}; set min_depth and max_depth in network.options to the file's"
            )
        if pose_network is not None and start.pose_network is not None and start.pose_network_config is not None:
            _start_from(pose_network, config.pose_network, start.pose_network, start.pose_network_config, config.init)
    if config.channels_last:
        network.to(memory_format=torch.channels_last)
        if pose_network is not None:
            pose_network.to(memory_format=torch.channels_last)
    if config.compile_networks:
        _compile(network, "the depth network")
        if pose_network is not None:
            _compile(pose_network, "the pose network")
    return build_objective(config.objective, network, pose_network, config.canonical_focal)


def _compile(network: nn.Module, name: str) -> None:
    network.forward = compiled(network.forward, name)


def _check_canonical_focal(start: float | None, config: TrainConfig) -> None:
    # A file without one may start any run: it holds for whatever camera it was trained with.
    if start is not None and start != config.canonical_focal:
        wanted = "none" if config.canonical_focal is None else config.canonical_focal
        raise InputError(
            f"the depth of the weights file {config.init} holds for canonical_focal {start}, the run has {wanted}; "
            f"set canonical_focal to {start}"
        )


def _start_from(
    network: nn.Module, config: NetworkConfig, start: nn.Module, start_config: NetworkConfig, path: str
) -> None:
    try:
        if start_config.name != config.name:
            raise RuntimeError
        network.load_state_dict(start.state_dict())
    except RuntimeError as error:
        raise InputError(
            f"the weights file {path} holds {start_config.name} {start_config.options or ''}, the run wants "
            f"{config.name} {config.options or ''}; set network or pose_network to that"
        ) from error


def build_loaders(config: TrainConfig) -> dict[str, DataLoader[Batch]]:
    """Build the loaders `train` and `validation`."""
    frames = config.objective.frames
    check = config.scan == "off"  # else the scan has looked already
    training = build_mix(config.train, frames, config.size, config.augment, config.seed, check=check)
    validation = build_mix(config.validation, frames, config.size, check=check)
    if config.cache is not None:
        use_cache(config.cache, config, [training, validation])
    sampler = MixedSampler(
        [len(part) for part in training.datasets], [data.weight for data in config.train], config.seed
    )
    processes = config.devices * config.nodes
    if len(sampler) < config.batch_size * processes:
        raise InputError(
            f"{len(sampler)} training samples do not fill one batch of {config.batch_size}"
            + (f" in each of {processes} processes" if processes > 1 else "")
        )
    if len(validation) < processes:
        raise InputError(f"{len(validation)} validation samples are too few for {processes} processes")
    shared = {
        "batch_size": config.batch_size,
        "num_workers": config.workers,
        "persistent_workers": config.workers > 0,
        "worker_init_fn": ignore_signals,
        # From pinned memory the copy to the GPU runs beside the computation; Lightning then asks for it.
        "pin_memory": config.device in ("auto", "cuda") and torch.cuda.is_available(),
    }
    return {
        "train": DataLoader(training, sampler=sampler, drop_last=True, **shared),  # type: ignore[arg-type]
        "validation": DataLoader(validation, sampler=SharedSampler(len(validation)), **shared),  # type: ignore[arg-type]
    }


def _with_scale(config: TrainConfig, training: Mix) -> TrainConfig:
    """Fill in the metres of a unit where stereo fixes them and the config does not say."""
    if "s" not in config.objective.frames:
        return config
    try:
        derived = metres_per_unit(training.datasets)
    except InputError as reason:
        if config.metres_per_unit is None:
            log.info("depth will have no unit: %s", reason)
        return config
    if config.metres_per_unit is None:
        log.info("a unit of depth is %g m, by the rigs' baselines", derived)
        return replace(config, metres_per_unit=derived)
    if not 0.98 < config.metres_per_unit / derived < 1.02:
        log.warning("warning: metres_per_unit is %g, but %g by the rigs' baselines", config.metres_per_unit, derived)
    return config


def _trainer(config: TrainConfig, folder: Path, start: Start | None = None) -> Trainer:
    callbacks: list[Callback] = [
        TrainingCheckpoint(folder, config),  # first: before the others log anything of the batch that begins
        LearningRateMonitor(),
        ProgressReport(config.batch_size * config.devices * config.nodes, config.max_minutes),
        WeightFiles(folder, config),
    ]
    if config.early_stop is not None:
        # In the validation, so that the checkpoint after the epoch knows.
        callbacks.append(EarlyStopping("val/loss", patience=config.early_stop, check_on_train_epoch_end=False))
    if config.log.panels_every_steps:
        callbacks.append(ImagePanels(folder / "panels", config.log.panels_every_steps, config.log.panels))
    step, rows = (0, 0) if start is None else (start.step, start.rows)
    try:
        return Trainer(
            accelerator=config.device,
            devices=config.devices,
            num_nodes=config.nodes,
            strategy=config.strategy,
            sync_batchnorm=config.sync_batch_norm,
            accumulate_grad_batches=config.accumulate,
            deterministic="warn" if config.deterministic else None,
            precision=config.precision,
            max_epochs=config.epochs,
            log_every_n_steps=config.log.every_steps,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=[
                TensorBoardLogger(folder, name="", version=".", purge_step=step or None),
                MetricsFile(folder / "metrics.csv", rows),
            ],
            callbacks=callbacks,
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"devices {config.devices}, nodes {config.nodes}, strategy '{config.strategy}' cannot work here: {error}"
        ) from error


def _check(config: TrainConfig) -> None:
    height, width = config.size
    if height < 64 or width < 64 or height % 32 or width % 32:
        raise InputError(f"size {height}x{width} (height x width): both must be multiples of 32, at least 64")
    counts = {
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "accumulate": config.accumulate,
        "devices": config.devices,
        "nodes": config.nodes,
        "log.every_steps": config.log.every_steps,
        "log.panels": config.log.panels,
    }
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} {count} must be at least 1")
    check_optimiser(config.optimiser)
    if config.average is not None and not 0 < config.average < 1:
        raise InputError(f"average {config.average:g} must lie between 0 and 1, such as 0.999; null averages nothing")
    if config.early_stop is not None and config.early_stop < 1:
        raise InputError(f"early_stop {config.early_stop} must be at least 1; null never stops early")
    if not config.checkpoint_minutes >= 0:
        raise InputError(f"checkpoint_minutes {config.checkpoint_minutes:g} must be 0 or more")
    if config.workers < 0:
        raise InputError(f"workers {config.workers} must be 0 or more")
    if not 0 <= config.augment.hue <= 0.5:
        raise InputError(f"augment.hue {config.augment.hue:g} must lie between 0 and 0.5")
    if config.canonical_focal is not None and not 0.1 < config.canonical_focal < 20:
        raise InputError(
            f"canonical_focal {config.canonical_focal:g} must lie between 0.1 and 20: "
            "a focal length in picture widths, such as 0.58 for KITTI"
        )
    if config.augment.zoom > 1 and config.canonical_focal is None:
        log.warning(
            "augment.zoom without canonical_focal unties the size of things from their depth; "
            "set canonical_focal to your camera's fx / width"
        )
    if config.device not in DEVICES:
        raise InputError(f"device '{config.device}': give one of {', '.join(DEVICES)}")
    if not DEVICES[config.device]():
        raise InputError(f"device '{config.device}' is not there; take auto or cpu")
    if config.sync_batch_norm and (config.device not in ("auto", "cuda") or not torch.cuda.is_available()):
        raise InputError("sync_batch_norm needs CUDA devices; set it to false")
    if config.precision not in ("32-true", "bf16-mixed"):
        raise InputError(f"precision '{config.precision}': give '32-true' or 'bf16-mixed'")


def _quiet() -> None:
    """Silence advice that does not concern the user: more workers than cores, devices that are not there."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
