"""Write what a run needs to go on as if it had never stopped; stop it by the clock or by a signal."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hrdepth.config import TrainConfig
from hrdepth.io.files import atomic_path
from hrdepth.training.folder import note_end
from hrdepth.training.metrics import MetricsFile
from hrdepth.training.resume import LAST, plain_settings

__all__ = ["TrainingCheckpoint", "ignore_signals"]

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingCheckpoint(Callback):
    """Keep `last.ckpt`: weights, average, optimiser, schedule, the place in the epoch, and the callbacks' states.

    It is written between two optimiser steps only, when everything of the last one is done and logged: every
    `checkpoint_minutes`, after each epoch, and on Ctrl-C or SIGTERM, which wait for that place (a second one does
    not). So a run that goes on from it repeats the rest exactly. A state that is not finite is never written.

    Args:
        folder: of the run.
        config: the run's settings, kept in the file.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self.path = folder / LAST
        self.config = config
        self._settings = plain_settings(config)
        self._position = (0, 0)
        self._loss: Tensor | None = None
        self._stop = False
        self._time_is_over = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks and listen for signals."""
        self._start = self._written = monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._on_signal)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Write where it is time or a signal came: here the batches before are done and logged, this one is not."""
        if batch_idx == 0 or batch_idx % self.config.accumulate:
            return
        due = monotonic() - self._written >= 60 * self.config.checkpoint_minutes
        if trainer.strategy.reduce_boolean_decision(due or self._stop, all=False):
            self._write(trainer, pl_module, trainer.current_epoch, batch_idx)
            self._stop_if_asked(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run when its time is over, between two steps."""
        self._loss = outputs["loss"].detach()
        if self.config.max_minutes is None or (batch_idx + 1) % self.config.accumulate:
            return
        over = monotonic() - self._start >= 60 * self.config.max_minutes
        if trainer.strategy.reduce_boolean_decision(over, all=False):
            trainer.should_stop = self._time_is_over = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write before the validation of a run that ends within an epoch, which an undisturbed run does not make."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        done = progress.current.completed
        if trainer.should_stop and not progress.is_last_batch and done % self.config.accumulate == 0:
            self._write(trainer, pl_module, trainer.current_epoch, done)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after a whole epoch and its validation."""
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._write(trainer, pl_module, trainer.current_epoch + 1, 0)
            self._stop_if_asked(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note why the run is over; Lightning does not come here where it is broken off."""
        if trainer.is_global_zero and (self.path.parent / "run.json").is_file():
            early = "early_stop" if trainer.should_stop else "epochs"
            note_end(self.path.parent, "max_minutes" if self._time_is_over else early)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add settings and position; bring Lightning's counters to the end of the last batch."""
        epoch, batch = self._position
        rows = sum(logger.rows for logger in trainer.loggers if isinstance(logger, MetricsFile))
        checkpoint["hrdepth"] = {"settings": self._settings, "epoch": epoch, "batch": batch, "rows": rows}
        loops = checkpoint["loops"]["fit_loop"]
        for counters in ("total", "current"):
            counts = loops["epoch_loop.batch_progress"][counters]
            counts["ready"] = counts["started"] = counts["processed"] = counts["completed"]
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] = trainer.global_step

    def _write(self, trainer: Trainer, module: LightningModule, epoch: int, batch: int) -> None:
        if not trainer.strategy.reduce_boolean_decision(self._is_finite(module), all=True):
            log.warning("step %d: loss or weights are not finite; %s is left as it was", trainer.global_step, self.path)
            return
        self._position = (epoch, batch)
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero:
            with atomic_path(self.path) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            trainer.save_checkpoint(self.path)  # takes part, writes nothing
        self._written = monotonic()

    def _is_finite(self, module: LightningModule) -> bool:
        tensors = [value for value in module.state_dict().values() if value.is_floating_point()]
        tensors += [] if self._loss is None else [self._loss]
        return bool(torch.stack([value.isfinite().all() for value in tensors]).all())

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        log.info("stopping after this step, or after the validation that runs; once more stops at once")

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._stop, all=False):
            raise KeyboardInterrupt


def ignore_signals() -> None:
    """Let a loader's process outlive a Ctrl-C, so that the main one can reach the end of its step."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
