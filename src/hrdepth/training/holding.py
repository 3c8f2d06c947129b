"""Parts of an objective that begin to learn later than the others."""

from __future__ import annotations

from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer

from hrdepth.training.loop import DepthModule

__all__ = ["Held"]


class Held(Callback):
    """Leave the weights of one part of the objective alone at first.

    The loss reaches depth and cameras through the motion that the pose network sees. While that is wrong, good depth is
    pulled to whatever explains the wrong motion best, and K anywhere.

    Args:
        part: an attribute of the objective; where that is None, there is nothing to hold.
        steps: in which it stays as it is.
    """

    def __init__(self, part: Literal["network", "cameras"], steps: int) -> None:
        self.part = part
        self.steps = steps

    @property
    def state_key(self) -> str:
        """Tell the parts' callbacks apart."""
        return f"{type(self).__qualname__}.{self.part}"

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Take the gradients away, without which the optimiser changes nothing; several processes still agree."""
        assert isinstance(pl_module, DepthModule)
        held = getattr(pl_module.objective, self.part)
        if trainer.global_step < self.steps and held is not None:
            for parameter in held.parameters():
                parameter.grad = None
