"""The weights files of a run: last, best, and those of a stopped run."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from hrdepth.config import TrainConfig
from hrdepth.errors import TrainingStopped
from hrdepth.io.files import atomic_path
from hrdepth.io.provenance import provenance
from hrdepth.io.run_folder import read_json_or_empty
from hrdepth.training.loop import DepthModule
from hrdepth.weights.checkpoint import save_checkpoint

__all__ = ["WeightFiles"]

log = logging.getLogger(__name__)


class WeightFiles(Callback):
    """Writes `last.safetensors` after each validation and on interruption, `best.safetensors` when the loss falls.

    A run that `max_minutes` ends within an epoch gets an extra validation. The best weights before it are kept in a
    hidden file, so that a resumed run gets the same files as an uninterrupted one.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        self.folder = folder
        self.best_file = folder / "best.safetensors"
        self.previous_best = folder / ".best-before-the-end.safetensors"
        self.config = config
        self.best = float("inf")
        self.last_step: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the loss of `best.safetensors`."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore it."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the best weights from before the extra validation of a resumed run."""
        if trainer.is_global_zero and self.previous_best.is_file():
            self.previous_best.replace(self.best_file)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the weights after each validation."""
        loss = float(trainer.callback_metrics["val/loss"])
        if not math.isfinite(loss):
            raise TrainingStopped(
                f"training stopped at step {trainer.global_step}: the validation loss of epoch {trainer.current_epoch} "
                f"is {loss}; set guard.enabled to true to find out why; earlier weights, if any, are in {self.folder}"
            )
        self.write("last", trainer, pl_module, loss)
        if loss < self.best:
            self.best = loss
            within = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
            if within and trainer.is_global_zero and self.best_file.is_file():
                with atomic_path(self.previous_best) as temporary:
                    shutil.copy(self.best_file, temporary)
            self.write("best", trainer, pl_module, loss)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write the weights if the user interrupts."""
        if isinstance(exception, KeyboardInterrupt):
            self.write("last", trainer, pl_module)

    def write(
        self, name: str, trainer: Trainer, module: LightningModule, loss: float | None = None, step: int | None = None
    ) -> bool:
        """Write the module's weights to `NAME.safetensors` unless they contain NaN or infinity; return whether it did.

        Args:
            name: of the file.
            trainer: with epoch and step.
            module: with the weights.
            loss: of the validation, if there was one.
            step: of the weights, if it is not the trainer's.
        """
        assert isinstance(module, DepthModule)
        if not trainer.is_global_zero:
            return False
        objective, config = module.eval_objective, self.config
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
            cameras=() if objective.cameras is None else objective.cameras.table(),
            provenance=provenance(
                config.seed,
                epoch=trainer.current_epoch,
                step=step,
                validation_loss=loss,
                frames=list(config.objective.frames),
                started_from=read_json_or_empty(self.folder / "run.json").get("started_from", {}),
                data=[f"{data.dataset}: {Path(data.root).name}, {data.split}" for data in config.train],
                **objective.about(),
            ),
        )
        return True
