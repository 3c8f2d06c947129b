"""Objectives by name. Another one costs a file and a line here."""

from __future__ import annotations

from typing import Any

from torch import nn

from hrdepth.config import ObjectiveConfig
from hrdepth.networks.blocks import DepthNetwork
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.registry import check_options, lookup

__all__ = ["OBJECTIVES", "build_objective"]

OBJECTIVES: dict[str, Any] = {
    "view_synthesis": ViewSynthesis,
}
# Arguments of an objective that are no options of it: the run sets them.
GIVEN = ("network", "pose_network", "frames", "canonical_focal")


def build_objective(
    config: ObjectiveConfig,
    network: DepthNetwork,
    pose_network: nn.Module | None,
    canonical_focal: float | None = None,
) -> ViewSynthesis:
    """Build the objective that `config` names around the networks that it trains.

    Args:
        config: which objective, its sources and options.
        network: the depth network.
        pose_network: None where all poses are known.
        canonical_focal: see `TrainConfig`.

    Raises:
        InputError: an unknown objective, an option that it does not have, or frames that make no sense.
    """
    kind = lookup(OBJECTIVES, config.name, "objective")
    check_options(kind, config.options, f"objective '{config.name}'", GIVEN)
    objective: ViewSynthesis = kind(
        network, pose_network, frames=tuple(config.frames), canonical_focal=canonical_focal, **config.options
    )
    return objective
