"""Objectives by name. Another one costs a file and a line here."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from hrdepth.config import ObjectiveConfig
from hrdepth.errors import InputError
from hrdepth.networks.blocks import DepthNetwork
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.registry import lookup

__all__ = ["OBJECTIVES", "build_objective"]

OBJECTIVES: dict[str, Any] = {
    "view_synthesis": ViewSynthesis,
}


def build_objective(config: ObjectiveConfig, network: DepthNetwork, pose_network: nn.Module | None) -> ViewSynthesis:
    """Build the objective that `config` names around the networks that it trains.

    Raises:
        InputError: an unknown objective, an option that it does not have, or frames that make no sense.
    """
    kind = lookup(OBJECTIVES, config.name, "objective")
    valid = [name for name in inspect.signature(kind).parameters if name not in ("network", "pose_network", "frames")]
    for option in config.options:
        if option not in valid:
            raise InputError(f"objective '{config.name}' has no option '{option}'; it has {', '.join(valid)}")
    objective: ViewSynthesis = kind(network, pose_network, frames=tuple(config.frames), **config.options)
    return objective
