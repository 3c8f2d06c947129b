"""Objectives by name. A new one needs a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hrdepth.config import ObjectiveConfig
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives.base import GIVEN, Objective, Output
from hrdepth.objectives.distillation import Distillation
from hrdepth.objectives.sfmlearner import Explainability
from hrdepth.objectives.struct2depth import ObjectMotions
from hrdepth.objectives.supervised import Supervised
from hrdepth.objectives.vid2depth import PointAlignment
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.registry import check_options, lookup

__all__ = ["OBJECTIVES", "Objective", "Output", "build_objective", "check_objective", "reads_depth"]

OBJECTIVES: dict[str, type[Objective]] = {
    "distillation": Distillation,
    "sfmlearner": Explainability,
    "struct2depth": ObjectMotions,
    "supervised": Supervised,
    "vid2depth": PointAlignment,
    "view_synthesis": ViewSynthesis,
}


def check_objective(config: ObjectiveConfig) -> type[Objective]:
    """Check an objective's settings before anything is built or read, and return its class.

    Raises:
        InputError: an unknown objective or option, an invalid value, or settings that contradict each other.
    """
    kind = lookup(OBJECTIVES, config.name, "objective")
    what = f"objective '{config.name}'"
    check_options(kind, config.options, what, GIVEN)
    kind.check(config)
    return kind


def reads_depth(config: ObjectiveConfig) -> bool:
    """Return whether the objective that `config` names learns from true depth, where a sample has it."""
    return lookup(OBJECTIVES, config.name, "objective").reads_depth


def build_objective(
    config: ObjectiveConfig,
    network: DepthNetwork,
    pose_network: nn.Module | None,
    cameras: LearnedIntrinsics | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Objective:
    """Build the objective that `config` names, with the networks that it trains.

    Args:
        config: which objective, its sources and options.
        network: the depth network; its scale is that of the run, and becomes the one that is learned.
        pose_network: None if all poses are known.
        cameras: those whose K is learned; None if all are known.
        inputs: from `Objective.read_inputs`; None to let the objective read them.

    Raises:
        InputError: as `check_objective`, or invalid frames, or a teacher that does not fit.
    """
    kind: Any = check_objective(config)
    objective: Objective = kind(
        network, pose_network, frames=tuple(config.frames), cameras=cameras, **{**config.options, **(inputs or {})}
    )
    network.scale = objective.learned_scale()
    return objective
