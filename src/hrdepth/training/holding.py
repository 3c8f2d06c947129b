"""Depth that waits for a pose network."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from hrdepth.training.module import DepthModule

__all__ = ["HeldDepth"]


class HeldDepth(Callback):
    """Leave the weights of the depth network alone at first.

    The loss reaches depth through the motion that the pose network sees. While that is wrong, good depth is pulled to
    whatever explains the wrong motion best, and is soon lost.

    Args:
        steps: in which they stay as they are.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Take the gradients away, without which the optimiser changes nothing; several processes still agree."""
        assert isinstance(pl_module, DepthModule)
        if trainer.global_step < self.steps:
            for parameter in pl_module.objective.network.parameters():
                parameter.grad = None
