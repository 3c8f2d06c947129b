"""True depth to hold a run's network against: what is given, or what lies beside its validation frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrdepth.config import GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.truth import GroundTruthSet, build_ground_truth

__all__ = ["find_truth"]

# Data sets whose layout has a place for true depth, and how that is read.
KINDS = {"folder": "drive", "kitti_raw": "kitti_lidar"}


def find_truth(given: GroundTruthConfig | None, settings: Mapping[str, Any]) -> tuple[GroundTruthSet | None, str]:
    """Return images with true depth, and what is to be known of them.

    Args:
        given: to be taken; None for the first set of the validation that has true depth.
        settings: of the training.

    Raises:
        InputError: what is given is not there.
    """
    if given is not None:
        truths = build_ground_truth(given)
        return truths, truths.description
    for part in settings["validation"]:
        if (kind := KINDS.get(part["dataset"])) is None:
            continue
        try:
            truths = build_ground_truth(GroundTruthConfig(kind, root=part["root"], split=part.get("split")))
            truths[0]  # a layout without depth is noticed here
        except (InputError, IndexError):
            continue
        return truths, f"{truths.description}. These are validation frames: they chose the best weights"
    return None, "no true depth was given, and none lies beside the validation frames"
