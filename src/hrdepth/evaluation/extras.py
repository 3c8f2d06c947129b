"""What `hrdepth evaluate` measures beside the seven metrics, when it is asked to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import (
    METRICS,
    compared_pixels,
    depth_errors,
    median_ratio,
    resize_disparity,
    sample_disparity,
)
from hrdepth.truth import GroundTruth

__all__ = ["EXTRA_GROUPS", "EXTRA_HEADINGS", "Extras"]

# Beside these: `lsq_` and each of the seven.
EXTRA_HEADINGS = {
    "log10": "log10",
    "edge_accuracy": "edge accuracy (px)",
    "edge_completeness": "edge completeness (px)",
    "boundary_f1": "boundary F1",
    "chamfer": "Chamfer (m)",
    "f_score": "F-score",
}
EXTRA_GROUPS = {
    "lsq": tuple(f"lsq_{name}" for name in METRICS),
    "log10": ("log10",),
    "edges": ("edge_accuracy", "edge_completeness", "boundary_f1"),
    "points": ("chamfer", "f_score"),
}
"""Which of them are measured together, by the name under which `Extras.describe` says how."""


@dataclass(frozen=True)
class Extras:
    """What is measured for each image; goes to other processes.

    Attributes:
        align: the seven metrics after least-squares alignment, too: `lsq_abs_rel` and so on.
        log10: mean |log10 true - log10 predicted|, which Make3D's tables have.
        edges: see `evaluation.edges`; needs dense true depth.
        points: see `evaluation.points`; needs intrinsics.
        points_threshold: metres within which a point counts for the F-score.
    """

    align: bool = False
    log10: bool = False
    edges: bool = False
    points: bool = False
    points_threshold: float = 0.1

    def __post_init__(self) -> None:
        if not self.points_threshold > 0:
            raise InputError(f"points_threshold {self.points_threshold:g} must be positive, in metres")

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return how each group of `EXTRA_GROUPS` that is measured is measured, in words and values."""
        from hrdepth.evaluation.edges import describe_edges
        from hrdepth.evaluation.points import describe_points

        found: dict[str, dict[str, Any]] = {}
        if self.align:
            found["lsq"] = {
                "in_words": "the seven metrics after scale and shift of disparity by least squares against 1 / true "
                "depth of the compared pixels, clamped to the range"
            }
        if self.log10:
            found["log10"] = {"in_words": "mean |log10 true - log10 predicted| of the compared pixels"}
        if self.edges:
            found["edges"] = describe_edges()
        if self.points:
            found["points"] = describe_points(self.points_threshold)
        return found

    def __call__(self, truth: GroundTruth, disparity: NDArray[Any], protocol: DepthProtocol) -> dict[str, float]:
        """Measure one image that has compared pixels.

        Args:
            truth: the true depth (H,W).
            disparity: scaled disparity (h,w) float64, 1/depth.
            protocol: how depth is scaled and clamped.

        Raises:
            InputError: the true depth is too sparse for edges, or intrinsics are missing for points.
        """
        if not (self.align or self.log10 or self.edges or self.points):
            return {}
        pixels = compared_pixels(truth.depth, protocol)
        sampled = sample_disparity(disparity, pixels)
        found: dict[str, float] = {}
        if self.align:
            from hrdepth.evaluation.alignment import aligned_depth

            errors = depth_errors(pixels.depth, aligned_depth(pixels.depth, sampled, protocol))
            found |= {f"lsq_{name}": errors[name] for name in METRICS}
        with np.errstate(divide="ignore"):
            predicted = 1 / sampled
        ratio = median_ratio(pixels.depth, predicted) if isinstance(protocol.scaling, str) else float(protocol.scaling)
        predicted = np.clip(ratio * predicted, *protocol.depth_range)
        if self.log10:
            found["log10"] = float(np.mean(np.abs(np.log10(pixels.depth) - np.log10(predicted))))
        if self.edges:
            from hrdepth.evaluation.edges import edge_errors

            with np.errstate(divide="ignore"):
                full = ratio / resize_disparity(disparity, pixels.size)
            found |= edge_errors(truth.depth, np.clip(full, *protocol.depth_range), protocol)
        if self.points:
            from hrdepth.evaluation.points import point_errors

            if truth.intrinsics is None:
                raise InputError("point-cloud metrics need the camera's intrinsics, which this ground truth lacks")
            found |= point_errors(pixels, predicted, truth.intrinsics, self.points_threshold)
        return found
