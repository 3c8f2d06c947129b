"""Find true depth to compare a run's network with: what is given, or what lies beside its validation frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrdepth.config import GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.truth import GROUND_TRUTHS, GroundTruthSet, build_ground_truth

__all__ = ["find_truth"]


def find_truth(given: GroundTruthConfig | None, settings: Mapping[str, Any]) -> tuple[GroundTruthSet | None, str]:
    """Return images with true depth, and a note on them.

    Args:
        given: the true depth to read; None for the first set of the validation that has true depth.
        settings: of the training.

    Raises:
        InputError: what is given is not there.
    """
    if given is not None:
        truths = build_ground_truth(given)
        return truths, truths.description
    kinds = {truth.dataset: kind for kind, truth in GROUND_TRUTHS.items() if truth.dataset}
    for part in settings["validation"]:
        if (kind := kinds.get(part["dataset"])) is None:
            continue
        try:
            truths = build_ground_truth(GroundTruthConfig(kind, root=part["root"], split=part.get("split")))
            truths[0]  # a layout without depth is noticed here
        except (InputError, IndexError):
            continue
        return truths, f"{truths.description}. These are validation frames: they chose the best weights"
    return None, "no true depth was given, and none lies beside the validation frames"
