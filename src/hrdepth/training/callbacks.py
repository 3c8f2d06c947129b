"""What a run shows and keeps: progress, weights, image panels."""

from __future__ import annotations

import logging
import math
import shutil
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hrdepth.config import TrainConfig
from hrdepth.errors import TrainingStopped
from hrdepth.io.files import atomic_path
from hrdepth.io.images import write_image
from hrdepth.io.provenance import provenance
from hrdepth.training.module import DepthModule
from hrdepth.training.panels import training_panel
from hrdepth.weights.checkpoint import save_checkpoint

__all__ = ["ImagePanels", "ProgressReport", "WeightFiles"]

log = logging.getLogger(__name__)

# Seconds between two lines where there is no terminal to draw a bar on.
LINE_INTERVAL = 30.0


class ProgressReport(Callback):
    """Samples per second and time left: a bar on a terminal, a line now and then elsewhere; logged either way."""

    def __init__(self, batch_size: int, max_minutes: float | None) -> None:
        self.batch_size = batch_size
        self._earlier = 0.0
        self.max_seconds = None if max_minutes is None else 60 * max_minutes

    @cached_property
    def _bar(self) -> Progress:
        # Made on first use: it cannot be sent to another process.
        return Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  {task.fields[rate]:.2f} samples/s  {task.fields[left]} left"),
            TimeElapsedColumn(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the minutes used so far."""
        return {"minutes": self._minutes(time.monotonic())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on from there."""
        self._earlier = state_dict["minutes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self._start = self._tick = self._line = time.monotonic()
        self._rate = 0.0
        self._first_step = trainer.global_step
        total = int(trainer.estimated_stepping_batches)
        if self._bar.console.is_terminal and trainer.is_global_zero:
            self._task = self._bar.add_task(
                "train", total=total, completed=trainer.global_step, epoch=0, loss=0.0, rate=0.0, left="?"
            )
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update rate and time left."""
        now = time.monotonic()
        rate = self.batch_size / (now - self._tick)
        self._tick = now
        # The first steps compile and fill caches; then a slow average, since steps differ.
        done = trainer.global_step - self._first_step
        self._rate = rate if done < 5 else 0.95 * self._rate + 0.05 * rate
        pl_module.log("samples_per_second", self._rate)
        pl_module.log("minutes", self._minutes(now))
        loss = float(outputs["loss"])
        shown = {"epoch": trainer.current_epoch, "loss": loss, "rate": self._rate, "left": self._left(trainer, now)}
        if self._bar.live.is_started:
            self._bar.update(self._task, completed=trainer.global_step, **shown)
        elif now - self._line > LINE_INTERVAL:
            self._line = now
            log.info(
                "epoch %d, step %d of %d: loss %.4f, %.2f samples/s, %s left",
                shown["epoch"], trainer.global_step, int(trainer.estimated_stepping_batches),
                loss, self._rate, shown["left"],
            )  # fmt: skip

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say the validation's figures, and leave its time out of the rate."""
        self._tick = time.monotonic()
        figures = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        said = ", ".join(f"{name} {float(value):.4f}" for name, value in sorted(figures.items()))
        line = f"epoch {trainer.current_epoch}: {said}"
        if self._bar.live.is_started:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            log.info(line)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that a message stands on a line of its own."""
        self._bar.stop()

    def _minutes(self, now: float) -> float:
        return self._earlier + (now - self._start) / 60

    def _left(self, trainer: Trainer, now: float) -> str:
        steps = int(trainer.estimated_stepping_batches) - trainer.global_step
        seconds = steps * trainer.accumulate_grad_batches * self.batch_size / max(self._rate, 1e-9)
        if self.max_seconds is not None:
            seconds = min(seconds, self.max_seconds - (now - self._start))
        minutes, seconds = divmod(int(max(seconds, 0)), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


class WeightFiles(Callback):
    """Write `last.safetensors` after each validation and when interrupted, `best.safetensors` when the loss falls.

    A run that its time ends within an epoch is validated once more than an undisturbed one. What was best before that
    is kept beside it, so that a run that goes on knows nothing of it.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self.folder = folder
        self.best_file = folder / "best.safetensors"
        self.kept_file = folder / ".best-before-the-end.safetensors"
        self.config = config
        self.best = float("inf")
        self.last_step: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the loss of `best.safetensors`."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring back what a run that goes on kept from before its end."""
        if trainer.is_global_zero and self.kept_file.is_file():
            self.kept_file.replace(self.best_file)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what the epoch reached."""
        loss = float(trainer.callback_metrics["val/loss"])
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"training stopped at step {trainer.global_step}: the validation loss of epoch {trainer.current_epoch} "
                f"is {loss}; set guard.enabled to true, which says why; earlier weights, if any, are kept in "
                f"{self.folder}"
            )
        self.write("last", trainer, pl_module, loss)
        if loss < self.best:
            self.best = loss
            within = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
            if within and trainer.is_global_zero and self.best_file.is_file():
                with atomic_path(self.kept_file) as temporary:
                    shutil.copy(self.best_file, temporary)
            self.write("best", trainer, pl_module, loss)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keep what there is when the user interrupts."""
        if isinstance(exception, KeyboardInterrupt):
            self.write("last", trainer, pl_module)

    def write(
        self,
        name: str,
        trainer: Trainer,
        module: LightningModule,
        loss: float | None = None,
        step: int | None = None,
    ) -> bool:
        """Write the module's weights to `NAME.safetensors`, unless they hold NaN or infinity; tell whether it did.

        Args:
            name: of the file.
            trainer: knows epoch and step.
            module: holds the weights.
            loss: of the validation, where there was one.
            step: of the weights, where it is not the trainer's.
        """
        assert isinstance(module, DepthModule)
        if not trainer.is_global_zero:
            return False
        objective, config = module.kept, self.config
        step = trainer.global_step if step is None else step
        if not all(bool(value.isfinite().all()) for value in objective.state_dict().values()):
            log.warning("the weights of step %d are not finite; %s.safetensors is left as it was", step, name)
            return False
        if name == "last":
            self.last_step = step
        save_checkpoint(
            self.folder / f"{name}.safetensors",
            objective.network,
            config.network,
            size=config.size,
            pose_network=objective.pose_network,
            pose_network_config=config.pose_network,
            metres_per_unit=config.metres_per_unit,
            canonical_focal=config.canonical_focal,
            cameras=() if objective.cameras is None else objective.cameras.table(),
            provenance=provenance(
                config.seed,
                epoch=trainer.current_epoch,
                step=step,
                validation_loss=loss,
                frames=list(config.objective.frames),
                data=[f"{data.dataset}: {Path(data.root).name}, {data.split}" for data in config.train],
                **objective.about(),
            ),
        )
        return True


class ImagePanels(Callback):
    """Draw what the objective shows of the first validation samples: image, disparity, error and more."""

    def __init__(self, folder: Path, every_steps: int, samples: int) -> None:
        self.folder = folder
        self.every_steps = every_steps
        self.samples = samples
        self._drawn = 0
        self._batch: Any = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw now and then."""
        if trainer.global_step % self.every_steps == 0 and trainer.global_step != self._drawn:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what was reached."""
        self._draw(trainer, pl_module)

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, DepthModule)
        self._drawn = trainer.global_step
        if not trainer.is_global_zero:
            return
        if self._batch is None:
            loader = trainer.val_dataloaders
            samples = [loader.dataset[i * len(loader.dataset) // self.samples] for i in range(self.samples)]
            self._batch = torch.utils.data.default_collate(samples)
        batch = {key: value.to(module.device) for key, value in self._batch.items()}
        image = training_panel(module.panels(batch))  # type: ignore[arg-type]
        write_image(self.folder / f"{trainer.global_step:06d}.png", image)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("panel", image, trainer.global_step, dataformats="HWC")
