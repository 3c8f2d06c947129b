"""Train a depth network: `train(config)`."""

from __future__ import annotations

import logging
import signal
import warnings
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from hrdepth.check.scan import check_data
from hrdepth.config import TrainConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.io.locks import locked_folder
from hrdepth.machine import tune_malloc
from hrdepth.networks.backbones import initial_weights
from hrdepth.objectives import Objective, reads_depth
from hrdepth.training.cameras import find_learned_cameras
from hrdepth.training.checkpoint_file import CheckpointFile
from hrdepth.training.checkpoint_schedule import SIGNALS, RunEnd, TrainingCheckpoint
from hrdepth.training.guard import Guard
from hrdepth.training.identity import describe_data, refuse_changed_data
from hrdepth.training.log import MetricsFile, RunLog
from hrdepth.training.loop import DepthModule
from hrdepth.training.optimiser import scale_learning_rate
from hrdepth.training.setup import (
    build_loaders,
    build_training_objective,
    check_training,
    complete_settings,
    rejoin,
    with_launcher,
)
from hrdepth.training.state import (
    Start,
    find_start,
    is_first_process,
    make_folder,
    prepare_folder,
    read_about,
    with_resume,
)
from hrdepth.training.weight_files import WeightFiles

__all__ = ["build_trainer", "train"]

log = logging.getLogger(__name__)


def train(config: TrainConfig) -> Path:
    """Train, and write weights, logs and panels into the run's folder.

    Args:
        config: see `TrainConfig`.

    Returns:
        `OUTPUT/best.safetensors`, the weights with the lowest validation loss.

    Raises:
        InputError: invalid data, networks or settings.
        TrainingStopped: the guard found a fault; `last.safetensors` holds the last good weights.
        KeyboardInterrupt: the user stopped it; `last.safetensors` holds the current weights, `resume` continues.

    The folder then holds `best.safetensors`, `last.safetensors`, `last.ckpt` (from which a run is resumed),
    `config.yaml`, `run.json` (provenance, and what ended the run), `metrics.csv`, TensorBoard's event file, `panels/`.
    """
    config = with_resume(with_launcher(config))
    check_training(config)
    config = scale_learning_rate(config)
    data = check_data(config, reads_depth(config.objective))
    _quiet()
    tune_malloc()
    seed_everything(config.seed, workers=True, verbose=False)
    config, inputs = complete_settings(config, data)
    start = find_start(config)
    folder = Path(config.output)
    if start is not None and start.done and "ended" in read_about(folder / "run.json"):
        log.info("the run in %s has ended (%d epochs); there is nothing to resume", folder, start.epoch)
        return folder / "best.safetensors"
    cameras, data = find_learned_cameras(config, data)
    # A checkpoint has all weights, and the file that the run was started from may be gone.
    objective = build_training_objective(config if start is None else replace(config, init=None), cameras, inputs)
    loaders = build_loaders(config, data, objective)
    learned = describe_data(loaders, inputs)
    if start is not None:
        refuse_changed_data(start.data, learned, start.path)
    with ExitStack() as stack:
        if is_first_process():
            samples = {name: len(loader.dataset) for name, loader in loaders.items()}  # type: ignore[arg-type]
            networks = {"network": objective.network, "pose_network": objective.pose_network}
            origins = {name: one and initial_weights(one) for name, one in networks.items()}
            if config.resume is None:
                make_folder(folder)
            busy = f"another process trains in {folder}; wait until it has ended, or end it"
            stack.enter_context(locked_folder(folder, busy))
            prepare_folder(config, start, samples, {name: origin for name, origin in origins.items() if origin})
        return _train(config, start, objective, loaders, learned)


def _train(
    config: TrainConfig,
    start: Start | None,
    objective: Objective,
    loaders: dict[str, DataLoader[Batch]],
    learned: dict[str, Any],
) -> Path:
    folder = Path(config.output)
    if start is not None:
        loaders["train"].sampler.resume_at(start.epoch, start.batch * config.batch_size)  # type: ignore[attr-defined]
    frozen = {"cameras": config.intrinsics.freeze_steps}
    if config.init is not None:
        frozen["network"] = config.freeze_depth_steps
    rejoin(config)
    module = DepthModule(objective, config.optimiser, config.average, config.seed, frozen)
    trainer = build_trainer(config, folder, start, learned, loaders["validation"])
    _fit(trainer, module, loaders, start)
    if start is not None and start.done:  # killed between its last checkpoint and its end, which Lightning skips
        trainer.should_stop = start.stopped_early
        for callback in trainer.callbacks:
            callback.on_train_end(trainer, module)
    return folder / "best.safetensors"


def _fit(trainer: Trainer, module: DepthModule, loaders: dict[str, DataLoader[Batch]], start: Start | None) -> None:
    """Train, and restore the signal handlers, which Lightning and the checkpoint change."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    path = None if start is None else start.path
    try:
        trainer.fit(module, loaders["train"], loaders["validation"], ckpt_path=path, weights_only=True)
    except SystemExit as stop:  # Lightning's translation of Ctrl-C, after the callbacks have saved
        raise KeyboardInterrupt from stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def build_trainer(
    config: TrainConfig,
    folder: Path,
    start: Start | None = None,
    data: dict[str, Any] | None = None,
    validation: DataLoader[Batch] | None = None,
) -> Trainer:
    """Build Lightning's trainer of a run in `folder`, with the callbacks that save, check and log it.

    Args:
        config: see `TrainConfig`.
        folder: of the run.
        start: where a resumed run continues.
        data: what the run learns from, see `training.identity`.
        validation: of which panels show samples; None draws none.

    Raises:
        InputError: devices, nodes and strategy are not possible on this machine.
    """
    weights, checkpoint = WeightFiles(folder, config), TrainingCheckpoint(folder, config, data)
    callbacks: list[Callback] = [
        checkpoint,  # first: before the others log anything of the new batch
        LearningRateMonitor(),
        RunLog(config, folder / "panels", None if validation is None else validation.dataset),
        weights,
    ]
    if config.guard.enabled:
        callbacks.append(Guard(config, folder, weights))
    if config.early_stop is not None:
        # At validation, so that the checkpoint after the epoch contains its state.
        callbacks.append(EarlyStopping("val/loss", patience=config.early_stop, check_on_train_epoch_end=False))
    callbacks.append(RunEnd(checkpoint))
    step, rows = (0, 0) if start is None else (start.step, start.rows)
    loggers = [
        TensorBoardLogger(folder, name="", version=".", purge_step=None if config.resume is None else step),
        MetricsFile(folder / "metrics.csv", rows),
    ]
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
            max_epochs=start.epoch if start is not None and start.done else config.epochs,
            log_every_n_steps=config.log.every_steps,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            logger=loggers,
            plugins=[CheckpointFile()],
            callbacks=callbacks,
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"devices {config.devices}, nodes {config.nodes}, strategy '{config.strategy}' cannot work here: {error}"
        ) from error


def _quiet() -> None:
    """Silence Lightning's advice on loader workers and unused devices."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
