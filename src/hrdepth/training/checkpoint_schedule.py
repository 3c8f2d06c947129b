"""When a run's training checkpoint is written: between two steps, by time, after an epoch, and after a signal."""

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
from hrdepth.config.setting_files import plain_settings
from hrdepth.io.files import write_json
from hrdepth.training.log import MetricsFile
from hrdepth.training.state import LAST, read_about

__all__ = ["SIGNALS", "RunEnd", "TrainingCheckpoint", "ignore_signals"]

log = logging.getLogger(__name__)

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class TrainingCheckpoint(Callback):
    """Writes `last.ckpt`: weights, average, optimiser, schedule, the position in the epoch, and the callbacks' states.

    It is written only between two optimiser steps, when the last one is done and logged: every `checkpoint_minutes`,
    after each epoch, and after Ctrl-C, SIGTERM or SIGHUP, which take effect then (a second one at once). So a resumed
    run gets exactly the same weights. A state with NaN or infinity is never written.

    Args:
        folder: of the run.
        config: the run's settings, which the file contains too.
        data: what the run learns from, which it contains too, see `training.identity`.
    """

    def __init__(self, folder: Path, config: TrainConfig, data: dict[str, Any] | None = None) -> None:
        self.path = folder / LAST
        self.config = config
        self._settings = plain_settings(config)
        self._data = {} if data is None else {"data": data}
        self._position = (0, 0)
        self._loss: Tensor | None = None
        self._stop = False
        self.time_is_over = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks and listen for signals."""
        self._start = self._written = monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP is by nohup
                    signal.signal(number, self._on_signal)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Write if it is time or a signal came: earlier batches are done and logged here, this one has not begun."""
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
            trainer.should_stop = self.time_is_over = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write before the extra validation of a run that ends within an epoch."""
        progress = trainer.fit_loop.epoch_loop.batch_progress
        done = progress.current.completed
        if trainer.should_stop and not progress.is_last_batch and done % self.config.accumulate == 0:
            self._write(trainer, pl_module, trainer.current_epoch, done)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after a whole epoch and its validation."""
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._write(trainer, pl_module, trainer.current_epoch + 1, 0)
            self._stop_if_asked(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add settings and position; set Lightning's counters to the end of the last batch."""
        epoch, batch = self._position
        rows = sum(logger.rows for logger in trainer.loggers if isinstance(logger, MetricsFile))
        checkpoint["hrdepth"] = {"settings": self._settings, "epoch": epoch, "batch": batch, "rows": rows, **self._data}
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
        trainer.save_checkpoint(self.path)  # by `CheckpointFile`, in the first process
        self._written = monotonic()

    def _is_finite(self, module: LightningModule) -> bool:
        tensors = [value for value in module.state_dict().values() if value.is_floating_point()]
        tensors += [] if self._loss is None else [self._loss]
        return bool(torch.stack([value.isfinite().all() for value in tensors]).all())

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        log.info("stopping after this step, or after the running validation; press Ctrl-C again to stop at once")

    def _stop_if_asked(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self._stop, all=False):
            raise KeyboardInterrupt


class RunEnd(Callback):
    """Records in run.json why a run ended; the last callback, as all others have done their part then.

    Args:
        checkpoint: of the run; it ends the run when its time is over.
    """

    def __init__(self, checkpoint: TrainingCheckpoint) -> None:
        self.checkpoint = checkpoint

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record it; Lightning does not call this if the run was interrupted."""
        path = self.checkpoint.path.parent / "run.json"
        if trainer.is_global_zero and path.is_file():
            early = "early_stop" if trainer.should_stop else "epochs"
            write_json(path, {**read_about(path), "ended": "max_minutes" if self.checkpoint.time_is_over else early})


def ignore_signals() -> None:
    """Ignore Ctrl-C in a loader's process, so that the main one can finish its step."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
