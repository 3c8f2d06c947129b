"""Train a depth network: `train(config)`."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import torch
import yaml
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from hrdepth.checkpoints import read_checkpoint
from hrdepth.config import NetworkConfig, TrainConfig
from hrdepth.data import build_mix
from hrdepth.data.batch import Batch
from hrdepth.data.mixing import MixedSampler
from hrdepth.errors import InputError
from hrdepth.files import output_folder, write_json
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.provenance import provenance
from hrdepth.training.callbacks import ImagePanels, ProgressReport, WeightFiles
from hrdepth.training.guard import Guard
from hrdepth.training.module import DepthModule

__all__ = ["DepthModule", "build_training_objective", "train"]

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
        TrainingStopped: the guard found a fault; `last.safetensors` holds the last good weights.
        KeyboardInterrupt: the user stopped it; `last.safetensors` holds what was reached.

    The folder then holds `best.safetensors`, `last.safetensors`, `config.yaml`, `run.json` (how it came about),
    `metrics.csv`, TensorBoard's event file, and `panels/`.
    """
    _check(config)
    _quiet()
    seed_everything(config.seed, workers=True, verbose=False)
    loaders = _loaders(config)
    objective = build_training_objective(config)
    folder = output_folder(config.output)
    (folder / "panels").mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(_plain(asdict(config)), sort_keys=False), encoding="utf-8")
    samples = {name: len(loader.dataset) for name, loader in loaders.items()}  # type: ignore[arg-type]
    write_json(folder / "run.json", provenance(config.seed, samples=samples))
    log.info(
        "training %s on %d samples, validating on %d, into %s",
        config.network.name, samples["train"], samples["validation"], folder,
    )  # fmt: skip
    trainer = _trainer(config, folder)
    module = DepthModule(objective, config.optimiser)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, loaders["train"], loaders["validation"])
    except SystemExit as stop:  # what Lightning makes of Ctrl-C, after its callbacks have saved what there is
        raise KeyboardInterrupt from stop
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # Lightning leaves it ignored
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
    return build_objective(config.objective, network, pose_network)


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


def _loaders(config: TrainConfig) -> dict[str, DataLoader[Batch]]:
    frames = config.objective.frames
    training = build_mix(config.train, frames, config.size, config.augment, config.seed)
    validation = build_mix(config.validation, frames, config.size)
    sampler = MixedSampler(
        [len(part) for part in training.datasets], [data.weight for data in config.train], config.seed
    )
    if len(sampler) < config.batch_size:
        raise InputError(f"{len(sampler)} training samples do not fill one batch of {config.batch_size}")
    workers = {"num_workers": config.workers, "persistent_workers": config.workers > 0}
    return {
        "train": DataLoader(training, sampler=sampler, batch_size=config.batch_size, drop_last=True, **workers),  # type: ignore[arg-type]
        "validation": DataLoader(validation, batch_size=config.batch_size, **workers),  # type: ignore[arg-type]
    }


def _trainer(config: TrainConfig, folder: Path) -> Trainer:
    weights = WeightFiles(folder, config)
    callbacks: list[Callback] = [
        LearningRateMonitor(),
        ProgressReport(config.batch_size, config.max_minutes),
        weights,
    ]
    if config.guard.enabled:
        callbacks.append(Guard(config.guard, folder, weights))
    if config.log.panels_every_steps:
        callbacks.append(ImagePanels(folder / "panels", config.log.panels_every_steps, config.log.panels))
    return Trainer(
        accelerator=config.device,
        devices=1,
        precision=config.precision,
        max_epochs=config.epochs,
        max_time=None if config.max_minutes is None else timedelta(minutes=config.max_minutes),
        log_every_n_steps=config.log.every_steps,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=[TensorBoardLogger(folder, name="", version="."), CSVLogger(folder, name="", version=".")],
        callbacks=callbacks,
    )


def _check(config: TrainConfig) -> None:
    height, width = config.size
    if height < 64 or width < 64 or height % 32 or width % 32:
        raise InputError(f"size {height}x{width} (height x width): both must be multiples of 32, at least 64")
    counts = {
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "optimiser.decay_after": config.optimiser.decay_after,
        "log.every_steps": config.log.every_steps,
        "log.panels": config.log.panels,
        "guard.every_steps": config.guard.every_steps,
        "guard.patience": config.guard.patience,
        "guard.keep_every_steps": config.guard.keep_every_steps,
    }
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} {count} must be at least 1")
    if config.workers < 0:
        raise InputError(f"workers {config.workers} must be 0 or more")
    if not 0 <= config.augment.hue <= 0.5:
        raise InputError(f"augment.hue {config.augment.hue:g} must lie between 0 and 0.5")
    if config.device not in DEVICES:
        raise InputError(f"device '{config.device}': give one of {', '.join(DEVICES)}")
    if not DEVICES[config.device]():
        raise InputError(f"device '{config.device}' is not there; take auto or cpu")
    if config.precision not in ("32-true", "bf16-mixed"):
        raise InputError(f"precision '{config.precision}': give '32-true' or 'bf16-mixed'")


def _plain(value: object) -> object:
    """Turn tuples into lists, so that the written YAML can be read back."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _quiet() -> None:
    """Silence advice that does not concern the user: more workers than cores, devices that are not there."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
