"""What every objective is (contract 3)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from hrdepth.config import ObjectiveConfig
from hrdepth.data.batch import Batch
from hrdepth.networks.blocks import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics

__all__ = ["Objective"]


class Objective(nn.Module):
    """Owns the networks that it trains; `objective(batch)` gives named scalars, of which `"loss"` is minimised.

    Attributes:
        network: the depth network.
        pose_network: the pose network, or None where none is trained.
        cameras: those whose K is learned, or None where all are known.
        uses_objects: whether its batches shall have `objects`, see `Batch`.
    """

    uses_objects = False

    network: DepthNetwork
    pose_network: nn.Module | None
    cameras: LearnedIntrinsics | None

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """Check settings that make sense or not whatever the data and the networks.

        Raises:
            InputError: they make none.
        """

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return `{"loss": scalar, ...}`."""
        raise NotImplementedError

    def panels(self, batch: Batch) -> dict[str, Tensor]:
        """Return what a person wants to see of a batch, each (B,C,H,W) with C 1 or 3; see `training.panels`."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Return what a weights file shall tell of this objective, JSON-able."""
        return {}
