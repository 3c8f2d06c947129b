"""What Lightning runs: one objective, one optimiser."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import StepLR

from hrdepth.config import OptimiserConfig
from hrdepth.data.batch import Batch
from hrdepth.objectives.view_synthesis import ViewSynthesis

__all__ = ["DepthModule", "build_optimiser"]


class DepthModule(LightningModule):
    """Minimise an objective's `"loss"` and log whatever else it gives.

    Args:
        objective: maps a `Batch` to `{name: scalar}`.
        optimiser: learning rate and schedule.
    """

    def __init__(self, objective: ViewSynthesis, optimiser: OptimiserConfig) -> None:
        super().__init__()
        self.objective = objective
        self.optimiser = optimiser

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        losses: dict[str, Tensor] = self.objective(batch)
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, batch_size=len(batch["target"]))
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Log the loss of a batch that is not learnt from."""
        losses: dict[str, Tensor] = self.objective(batch)
        self.log("val/loss", losses["loss"], batch_size=len(batch["target"]))

    def configure_optimizers(self) -> tuple[list[Optimizer], list[Any]]:
        """Build Adam (AdamW with weight decay) and its step schedule (paper, "Implementation Details")."""
        optimiser = build_optimiser(self.objective.parameters(), self.optimiser)
        return [optimiser], [StepLR(optimiser, self.optimiser.decay_after, self.optimiser.decay)]


def build_optimiser(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> Optimizer:
    """Build Adam, or AdamW with weight decay, in one kernel for all weights ."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if config.weight_decay:
        return AdamW(trained, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    return Adam(trained, config.learning_rate, fused=True)
