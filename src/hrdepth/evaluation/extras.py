"""Optional metrics of `hrdepth evaluate` in addition to the seven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import METRICS, Comparison, depth_errors, scale_and_shift
from hrdepth.evaluation.edges import (
    describe_edges,
    describe_near_edges,
    edge_errors,
    edges_installed,
    is_dense,
    near_edge_errors,
)
from hrdepth.evaluation.points import describe_points, point_errors
from hrdepth.truth import GroundTruth

__all__ = ["EXTRA_GROUPS", "EXTRA_HEADINGS", "Extras", "aligned_depth", "decimals"]

# In addition: `lsq_` with each of the seven.
EXTRA_HEADINGS = {
    "log10": "log10",
    "near_edge_abs_rel": "Abs Rel near edges",
    "near_edge_points": "points near edges",
    "edge_accuracy": "edge accuracy (px)",
    "edge_completeness": "edge completeness (px)",
    "boundary_f1": "boundary F1",
    "chamfer": "Chamfer (m)",
    "f_score": "F-score",
}
EXTRA_GROUPS = {
    "lsq": tuple(f"lsq_{name}" for name in METRICS),
    "log10": ("log10",),
    "near_edges": ("near_edge_abs_rel", "near_edge_points"),
    "edges": ("edge_accuracy", "edge_completeness", "boundary_f1"),
    "points": ("chamfer", "f_score"),
}
"""Metrics that are measured together, by their key in `Extras.describe`."""


@dataclass(frozen=True)
class Extras:
    """Selection of optional metrics; measures them for an image, also in other processes.

    Attributes:
        align: the seven metrics after least-squares alignment: `lsq_abs_rel` and so on.
        log10: mean |log10 true - log10 predicted|, used in Make3D's tables.
        near_edges: Abs Rel of the pixels near edges of the true depth, sparse or dense, and their number.
        edges: accuracy, completeness and boundary F1, see `evaluation.edges`; needs dense true depth and the extra
            `metrics`. `dense` measures them in images with dense true depth only, and without the extra boundary F1
            only.
        points: see `evaluation.points`; needs intrinsics.
        points_threshold: largest distance of matching points for the F-score, metres.
    """

    align: bool = False
    log10: bool = False
    near_edges: bool = False
    edges: bool | Literal["dense"] = False
    points: bool = False
    points_threshold: float = 0.1

    def __post_init__(self) -> None:
        if not self.points_threshold > 0:
            raise InputError(f"points_threshold {self.points_threshold:g} must be positive, in metres")

    def describe(self) -> dict[str, dict[str, Any]]:
        """Describe each selected group of `EXTRA_GROUPS`, in words and values."""
        found: dict[str, dict[str, Any]] = {}
        if self.align:
            found["lsq"] = {
                "in_words": "the seven metrics after scale and shift of disparity by least squares against 1 / true "
                "depth of the compared pixels, clamped to the range"
            }
        if self.log10:
            found["log10"] = {"in_words": "mean |log10 true - log10 predicted| of the compared pixels"}
        if self.near_edges:
            found["near_edges"] = describe_near_edges()
        if self.edges:
            found["edges"] = describe_edges()
        if self.points:
            found["points"] = describe_points(self.points_threshold)
        return found

    def __call__(self, truth: GroundTruth, found: Comparison) -> dict[str, float]:
        """Measure one image.

        Args:
            truth: the true depth (H,W).
            found: the comparison of the prediction with it.

        Raises:
            InputError: the true depth is too sparse for edges, or intrinsics are missing for points.
        """
        true, protocol = found.pixels.depth, found.protocol
        values: dict[str, float] = {}
        if self.align:
            errors = depth_errors(true, aligned_depth(true, found.sampled, protocol))
            values |= {f"lsq_{name}": errors[name] for name in METRICS}
        if self.log10:
            values["log10"] = float(np.mean(np.abs(np.log10(true) - np.log10(found.depth))))
        if self.near_edges:
            values |= near_edge_errors(truth.depth, (found.pixels.rows, found.pixels.columns), found.depth)
        if self.edges is True or (self.edges == "dense" and is_dense(truth.depth)):
            distances = self.edges is True or edges_installed()
            values |= edge_errors(truth.depth, found.full_depth(), protocol, distances=distances)
        if self.points:
            if truth.intrinsics is None:
                raise InputError("point-cloud metrics need the camera's intrinsics, which this ground truth lacks")
            values |= point_errors(found.pixels, found.depth, truth.intrinsics, self.points_threshold)
        return values


def decimals(name: str) -> int:
    """Return how many decimals of a metric a table shows."""
    return 1 if name == "near_edge_points" else 3


def aligned_depth(
    true: NDArray[np.float64], disparity: NDArray[np.float64], protocol: DepthProtocol
) -> NDArray[np.float64]:
    """Return predicted depth (N), metres, after alignment with the truth, within the protocol's range.

    Args:
        true: depth (N), metres.
        disparity: scaled disparity (N), 1/depth up to scale and shift.
        protocol: with the range for clamping; negative disparity after alignment gives the largest depth.
    """
    scale, shift = scale_and_shift(1 / true, disparity)
    nearest, farthest = protocol.depth_range
    return np.asarray(1 / np.clip(scale * disparity + shift, 1 / farthest, 1 / nearest))
