"""Logs of a run: metrics.csv, progress, image panels, learned cameras."""

from __future__ import annotations

import csv
import logging
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor
from torch.utils.data import default_collate

from hrdepth.camera import LearnedCamera
from hrdepth.config import TrainConfig
from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path
from hrdepth.io.images import write_image
from hrdepth.io.visualize import colorize_disparity, colorize_error
from hrdepth.training.loop import DepthModule, seed_step

__all__ = ["MetricsFile", "RunLog", "training_panel"]

log = logging.getLogger(__name__)

# Seconds between two writes of the file, and between two lines if there is no terminal for a progress bar.
INTERVAL = 30.0

# At most this many cameras are logged; the weights file has all.
LOGGED = 8


class MetricsFile(Logger):
    """Writes `metrics.csv`; Lightning's own logger deletes an existing file.

    Args:
        path: the file.
        rows: that a resumed run keeps; those written after its checkpoint will be written again.
    """

    def __init__(self, path: Path, rows: int = 0) -> None:
        super().__init__()
        self.path = path
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()
        self._unwritten = 0
        if rows and path.is_file():
            try:
                with path.open(newline="", encoding="utf-8") as file:
                    self._rows = list(csv.DictReader(file))[:rows]
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                raise InputError(f"{path} is damaged ({error}); delete it, and resume without its rows") from error

    @property
    def name(self) -> str:
        """Empty, since a run has one such file."""
        return ""

    @property
    def version(self) -> str:
        """Empty, as `name`."""
        return ""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._rows)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leave settings to config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add a row."""
        self._rows.append({name: float(value) for name, value in metrics.items()} | {"step": step})
        if "epoch" in metrics:
            self._rows[-1]["epoch"] = int(metrics["epoch"])
        self._unwritten += 1
        if time.monotonic() - self._written > INTERVAL:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the rows so far."""
        if not self._unwritten:
            return
        columns = sorted(set().union(*self._rows))
        with atomic_path(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows)
        self._written, self._unwritten = time.monotonic(), 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the remaining rows."""
        self.save()


def training_panel(views: dict[str, Tensor]) -> NDArray[np.uint8]:
    """Put samples side by side, and their views below each other.

    Args:
        views: from an objective's `panels`.

    Returns:
        (N H, B W, 3) uint8 for N views.
    """
    columns = []
    for sample in range(len(views["target"])):
        arrays = {name: view[sample].detach().float().cpu().numpy() for name, view in views.items()}
        columns.append(np.concatenate([_draw(name, array) for name, array in arrays.items()], axis=0))
    return np.concatenate(columns, axis=1)


def _draw(name: str, array: NDArray[np.float32]) -> NDArray[np.uint8]:
    if name in ("disparity", "depth", "teacher"):
        return colorize_disparity(array[0])
    if name == "error":
        return colorize_error(array[0], 0.0, 0.5)
    image = (255 * np.nan_to_num(array).clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    return np.broadcast_to(image, (*image.shape[:2], 3))


class RunLog(Callback):
    """Writes all that is logged of a step: losses, clocks, progress, learned cameras and image panels.

    Progress is a bar on a terminal, else a line every 30 seconds.

    Args:
        config: of the run.
        folder: of the panels.
        samples: of which panels show some; None draws none.
    """

    state_key = "ProgressReport"  # as in training checkpoints of earlier versions

    def __init__(self, config: TrainConfig, folder: Path, samples: Any = None) -> None:
        self.config = config
        self.folder = folder
        self._data = samples
        self.batch_size = config.batch_size * config.devices * config.nodes
        self._earlier = 0.0
        self._drawn = 0
        self._samples: Any = None

    @cached_property
    def _bar(self) -> Progress:
        # Made on first use, since it cannot be pickled.
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
        """Restore them."""
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
        """Log losses, clocks and cameras, show progress, and draw panels when they are due."""
        assert isinstance(pl_module, DepthModule)
        assert pl_module.step is not None
        now = time.monotonic()
        rate = self.batch_size / (now - self._tick)
        self._tick = now
        # The first steps compile and fill caches; then a moving average.
        done = trainer.global_step - self._first_step
        self._rate = rate if done < 5 else 0.95 * self._rate + 0.05 * rate
        values: dict[str, Any] = {f"train/{name}": value for name, value in pl_module.step.output.losses.items()}
        values |= {"samples_per_second": self._rate, "minutes": self._minutes(now)}
        if trainer.global_step % trainer.log_every_n_steps == 0:
            for camera in _cameras(pl_module):
                values |= {f"camera/{camera.name}/{name}": getattr(camera, name) for name in ("fx", "fy", "cx", "cy")}
        pl_module.log_dict(values)
        self._show(trainer, float(outputs["loss"]), now)
        due = self.config.log.panels_every_steps
        if due and trainer.global_step % due == 0 and trainer.global_step != self._drawn:
            self._draw(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the validation's metrics and the cameras, and leave its time out of the rate."""
        self._tick = time.monotonic()
        metrics = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        values = ", ".join(f"{name} {float(value):.4f}" for name, value in sorted(metrics.items()))
        line = f"epoch {trainer.current_epoch}: {values}"
        if self._bar.live.is_started:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            log.info(line)
        for camera in _cameras(pl_module):
            log.info(
                "camera %s: fx %.1f, fy %.1f, cx %.1f, cy %.1f pixels of %dx%d (initial fx %.1f)",
                camera.name, camera.fx, camera.fy, camera.cx, camera.cy, *camera.size[::-1], camera.start,
            )  # fmt: skip

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar, and draw the final state."""
        self._bar.stop()
        if self.config.log.panels_every_steps:
            self._draw(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that a message gets its own line."""
        self._bar.stop()

    def _show(self, trainer: Trainer, loss: float, now: float) -> None:
        epoch, left = trainer.current_epoch, self._left(trainer, now)
        if self._bar.live.is_started:
            self._bar.update(
                self._task, completed=trainer.global_step, epoch=epoch, loss=loss, rate=self._rate, left=left
            )
        elif now - self._line > INTERVAL:
            self._line = now
            log.info(
                "epoch %d, step %d of %d: loss %.4f, %.2f samples/s, %s left",
                epoch, trainer.global_step, int(trainer.estimated_stepping_batches), loss, self._rate, left,
            )  # fmt: skip

    def _minutes(self, now: float) -> float:
        return self._earlier + (now - self._start) / 60

    def _left(self, trainer: Trainer, now: float) -> str:
        steps = int(trainer.estimated_stepping_batches) - trainer.global_step
        seconds = steps * trainer.accumulate_grad_batches * self.batch_size / max(self._rate, 1e-9)
        if self.config.max_minutes is not None:
            seconds = min(seconds, 60 * self.config.max_minutes - (now - self._start))
        minutes, seconds = divmod(int(max(seconds, 0)), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"

    def _draw(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, DepthModule)
        self._drawn = trainer.global_step
        if not trainer.is_global_zero or self._data is None:
            return
        if self._samples is None:
            count, length = self.config.log.panels, len(self._data)
            self._samples = default_collate([self._data[i * length // count] for i in range(count)])
        seed_step(self.config.seed, trainer.global_step, 0, 0)  # a resumed run draws the same
        batch = {key: value.to(module.device) for key, value in self._samples.items()}
        image = training_panel(module.panels(batch))  # type: ignore[arg-type]
        write_image(self.folder / f"{trainer.global_step:06d}.png", image)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("panel", image, trainer.global_step, dataformats="HWC")


def _cameras(module: LightningModule) -> list[LearnedCamera]:
    """Return the first of the learned cameras."""
    assert isinstance(module, DepthModule)
    cameras = module.eval_objective.cameras
    return [] if cameras is None else cameras.table()[:LOGGED]
