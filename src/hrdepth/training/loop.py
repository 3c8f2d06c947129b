"""The LightningModule: one objective, one optimiser."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hrdepth.config import OptimiserConfig
from hrdepth.data.sample import Batch
from hrdepth.geometry import disparity_to_depth
from hrdepth.objectives import Objective, Output
from hrdepth.training.health import StepRecord
from hrdepth.training.holes import hole_share
from hrdepth.training.optimiser import build_optimiser, build_schedule

__all__ = ["DepthModule"]


class DepthModule(LightningModule):
    """Minimises an objective's `"loss"`.

    Args:
        objective: maps a `Batch` to an `Output`.
        optimiser: learning rate and schedule.
        average: decay of the weights' moving average, or None.
        seed: of the random numbers in a step.
        freeze_steps: for how many first steps a part of the objective (`network`, `cameras`) is frozen, statistics of
            batch norm included. The loss depends on depth and cameras through the motion that the pose network
            predicts; while that is wrong, it spoils good depth and K.

    Each batch's random numbers depend on seed, epoch, batch and process only. So a resumed run needs no random states,
    and nothing between two steps (a validation, a panel, a loader) can disturb them.
    """

    def __init__(
        self,
        objective: Objective,
        optimiser: OptimiserConfig,
        average: float | None = None,
        seed: int = 0,
        freeze_steps: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.objective = objective
        self.optimiser = optimiser
        self.seed = seed
        self.freeze_steps = dict(freeze_steps or {})
        self.average = None if average is None else _averaged(objective, average)
        self.step: StepRecord | None = None  # of the current batch, for the guard and the log

    @property
    def eval_objective(self) -> Objective:
        """The objective with the weights that are validated, drawn and written: the averaged ones, if enabled."""
        return self.objective if self.average is None else cast(Objective, self.average.module)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        self._set_batch_norms()
        seed_step(self.seed, self.current_epoch, batch_index, self.global_rank)
        output: Output = self.objective(batch)
        self.step = StepRecord(batch, output.map(Tensor.detach))
        return output.loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log loss and share of holes, with the same random numbers in every validation."""
        seed_step(self.seed, 0, batch_index, self.global_rank)
        output: Output = self.eval_objective(batch)
        self.step = StepRecord(batch, output)
        self.log("val/loss", output.loss, batch_size=len(batch["target"]), sync_dist=True)
        network = self.eval_objective.network
        depth = disparity_to_depth(output.disparities[0].float(), network.min_depth, network.max_depth)
        holes = hole_share(depth, batch.get("mask"))
        self.log("val/holes", holes, batch_size=len(batch["target"]), sync_dist=True)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Free the step's tensors, after all callbacks have seen them."""
        self.step = None

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Free the step's tensors."""
        self.step = None

    @torch.no_grad()
    def panels(self, batch: Batch) -> dict[str, Tensor]:
        """Return the validated objective's images of a batch, see `Objective.panels`."""
        self.eval()
        views = self.eval_objective.panels(self.eval_objective.predict(batch), batch)
        self.train()
        return views

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Remove the gradients of frozen parts, so that the optimiser does not change them."""
        for name, steps in self.freeze_steps.items():
            part = getattr(self.objective, name)
            if self.global_step < steps and part is not None:
                for parameter in part.parameters():
                    parameter.grad = None

    def _set_batch_norms(self) -> None:
        """Let batch norm use its statistics as they are in frozen parts, and those of the batch afterwards.

        Before each step, since `train()`, which follows a validation or a panel, changes all modules.
        """
        for name, steps in self.freeze_steps.items():
            part = getattr(self.objective, name)
            for module in () if part is None else part.modules():
                if isinstance(module, _BatchNorm):
                    module.train(self.global_step >= steps)

    def optimizer_step(self, epoch: int, batch_index: int, optimizer: Optimizer, closure: Any = None) -> None:
        """Step, and update the average."""
        super().optimizer_step(epoch, batch_index, optimizer, closure)
        if self.average is not None:
            self.average.update_parameters(self.objective)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip the norm of the gradient of all weights; Lightning's own clipping refuses fused optimisers."""
        if self.optimiser.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.objective.parameters(), self.optimiser.gradient_clip)

    def configure_optimizers(self) -> dict[str, Any]:
        """Build the optimiser and its schedule."""
        optimiser = build_optimiser(self.objective.parameters(), self.optimiser)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimiser, self.optimiser, steps, steps // self.trainer.max_epochs)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Seed the random numbers of torch (every device), numpy and python for one batch in one process."""
    high, low = map(int, np.random.SeedSequence((seed, epoch, batch, rank)).generate_state(2))
    torch.manual_seed(high << 32 | low)
    np.random.seed(low)  # noqa: NPY002  for code that uses numpy's global state
    random.seed(low)


def _averaged(objective: Objective, decay: float) -> AveragedModel:
    """Average the parameters; batch norm's statistics, which are averages already, are copied."""
    average = AveragedModel(objective, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
    return average.requires_grad_(False)
