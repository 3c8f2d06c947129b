"""What every objective is (contract 3), and what its numbers may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from hrdepth.config import ObjectiveConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics

__all__ = ["Objective", "check_numbers", "check_scales"]


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
        """Check settings that make sense or not whatever the data and the networks; options have the right type.

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


def check_numbers(options: Mapping[str, Any], names: Iterable[str], what: str, most: float = math.inf) -> None:
    """Check weights and the like, where they are set: finite, 0 or more, `most` or less.

    Raises:
        InputError: one is not; the sentence names it, and `what` it is an option of.

    Example:
        >>> check_numbers({"smoothness": -1.0}, ["smoothness"], "objective 'view_synthesis'")
        Traceback (most recent call last):
        ...
        hrdepth.errors.InputError: the option smoothness -1 of objective 'view_synthesis' must be 0 or more, and finite
    """
    for name in names:
        value = options.get(name, 0)
        if not (0 <= value <= most and math.isfinite(value)):
            bounds = "be 0 or more, and finite" if math.isinf(most) else f"lie between 0 and {most:g}"
            raise InputError(f"the option {name} {value:g} of {what} must {bounds}")


def check_scales(options: Mapping[str, Any], what: str) -> None:
    """Check the option `scales`, where it is set.

    Raises:
        InputError: it is empty, or names a scale that depth networks do not have.
    """
    scales = options.get("scales", (0,))
    if not scales or not set(scales) <= {0, 1, 2, 3}:
        raise InputError(f"the option scales {list(scales)} of {what}: give some of 0, 1, 2, 3")
