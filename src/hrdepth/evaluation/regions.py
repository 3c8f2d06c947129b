"""Regions of dense and sparse true depth, and the errors within them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol, ReproduceRegionsConfig
from hrdepth.errors import InputError, require
from hrdepth.evaluation.depth import Comparison, compare_depth, valid_pixels
from hrdepth.evaluation.edges import depth_edges, is_dense, near_edges
from hrdepth.truth import GroundTruth

__all__ = [
    "ENLARGED",
    "REGIONS",
    "SPARSE_REGIONS",
    "depth_regions",
    "describe_regions",
    "reduce_truth",
    "region_errors",
    "set_errors",
    "sparse_regions",
]

REGIONS = ("all", "low gradient", "high gradient", "edges")
SPARSE_REGIONS = ("all", "low gradient", "high gradient", "low image gradient", "high image gradient", "near edges")
ENLARGED = ("bilinear", "nearest")
GRADIENT, EDGE_WIDTH = ReproduceRegionsConfig.gradient, ReproduceRegionsConfig.edge_width
# Points of a laser scan are neighbours up to this many pixels: KITTI's lines are some five rows apart.
REACH = 8

Masks = Mapping[str, NDArray[np.bool_]]


def depth_regions(
    depth: NDArray[np.float32], gradient: float = GRADIENT, edge_width: int = EDGE_WIDTH
) -> dict[str, NDArray[np.bool_]]:
    """Assign each pixel of true depth to regions; low and high gradient are all, edges lie across both.

    Args:
        depth: (H,W), metres; what is not finite and positive is none.
        gradient: the jump of depth to a neighbour, as a share of the nearer one, above which the gradient is high.
        edge_width: pixels up to which a pixel belongs to an edge (see `evaluation.edges.depth_edges`).

    Returns:
        For each of `REGIONS` bool (H,W).

    Raises:
        InputError: less than half of the pixels have true depth.
    """
    maximum_filter = require("scipy.ndimage", "metrics", "edges need").maximum_filter
    known = np.isfinite(depth) & (depth > 0)
    if not is_dense(depth):
        raise InputError(f"these regions need dense true depth; {known.mean():.0%} of this image's pixels have it")
    high = _steepest(np.log(np.where(known, depth, np.nan))) > np.log1p(gradient)
    edges = depth_edges(np.where(known, depth, np.nan))
    near = maximum_filter(edges, 2 * edge_width + 1, mode="constant")
    return {"all": known, "low gradient": known & ~high, "high gradient": known & high, "edges": known & near}


def describe_regions(gradient: float = GRADIENT, edge_width: int = EDGE_WIDTH) -> str:
    """Describe `depth_regions` for a caption."""
    return f"High gradient: jumps of {gradient:.0%} to a neighbour; edges: within {edge_width} pixels of one."


def sparse_regions(
    depth: NDArray[np.float32], brightness: NDArray[np.float64], gradient: float, image_gradient: float
) -> dict[str, NDArray[np.bool_]]:
    """Assign each point of sparse true depth, such as a laser scan's, to regions.

    Low and high gradient are those of the points that have a neighbour: the next one in the row or column, up to 8
    pixels away. Low and high gradient of the image are all points, those near edges lie across both.

    Args:
        depth: (H,W), metres; what is not finite and positive is none.
        brightness: of the image (H,W), in [0,1].
        gradient: the jump of depth to a neighbour for each pixel between them, as a share of the nearer one, above
            which the gradient is high.
        image_gradient: the jump of brightness to a neighbouring pixel above which the image's gradient is high.

    Returns:
        For each of `SPARSE_REGIONS` bool (H,W); `near edges` as `evaluation.edges.near_edges`.
    """
    known = np.isfinite(depth) & (depth > 0)
    steepest = _steepest(np.log(np.where(known, depth, np.nan)), REACH)
    bright = _steepest(brightness) > image_gradient
    high = steepest > np.log1p(gradient)
    return {
        "all": known,
        "low gradient": known & (steepest >= 0) & ~high,
        "high gradient": known & high,
        "low image gradient": known & ~bright,
        "high image gradient": known & bright,
        "near edges": known & near_edges(depth),
    }


def _steepest(values: NDArray[np.floating], reach: int = 1) -> NDArray[np.float64]:
    """Return the largest slope to the next known value in the row or column (H,W), -1 without one within `reach`."""
    values = values.astype(np.float64)
    steepest = np.full(values.shape, -1.0)
    for along, highest in ((values, steepest), (values.T, steepest.T)):  # views: both write into `steepest`
        alone = np.isfinite(along)
        for step in range(1, min(reach, len(along) - 1) + 1):
            slope = np.abs(along[step:] - along[:-step]) / step
            pair = alone[:-step] & np.isfinite(slope)
            for part in (highest[:-step], highest[step:]):
                np.maximum(part, slope, out=part, where=pair)
            alone[:-step] &= ~pair
    return steepest


def reduce_truth(truth: GroundTruth, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return what a perfect network of that size would predict: scaled disparity (h,w) at its pixels' centres.

    No depth is infinitely far.
    """
    depth, known = truth.depth, np.isfinite(truth.depth) & (truth.depth > 0)
    disparity = np.where(known, 1 / np.where(known, depth, 1.0), 0.0).astype(np.float64)
    return _nearest(disparity, size)


def region_errors(truth: NDArray[np.float32], found: Comparison, masks: Masks) -> dict[str, dict[str, float]]:
    """Return the Abs Rel of each region for each of `ENLARGED`, NaN where an image has none of the region.

    Args:
        truth: (H,W), metres.
        found: the comparison with a prediction (h,w), which enlarges it bilinearly.
        masks: the regions.
    """
    nearest = compare_depth(truth, _nearest(found.prediction, found.pixels.size), found.protocol)
    errors = dict[str, dict[str, float]]()
    for enlarged, one in zip(ENLARGED, (found, nearest), strict=True):
        assert one is not None  # the same pixels are compared
        pixels = one.pixels
        error = np.abs(one.depth - pixels.depth) / pixels.depth
        inside = {name: error[mask[pixels.rows, pixels.columns]] for name, mask in masks.items()}
        errors[enlarged] = {name: float(part.mean()) if part.size else float("nan") for name, part in inside.items()}
    return errors


def set_errors(
    truths: Iterable[GroundTruth],
    masks: Callable[[GroundTruth], Masks],
    sources: Mapping[str, Callable[[GroundTruth], NDArray[np.float64]]],
    protocol: DepthProtocol,
) -> tuple[dict[tuple[str, str], NDArray[np.float64]], NDArray[np.float64]]:
    """Return the Abs Rel by region of several sources of scaled disparity (h,w), and the size of the regions.

    Returns:
        By source and way of enlarging (images, regions), and each region's share of the compared pixels (regions).
    """
    errors, shares = dict[tuple[str, str], list[list[float]]](), []
    for truth in truths:
        regions, compared = masks(truth), valid_pixels(truth.depth, protocol)
        shares.append([float((mask & compared).sum() / max(1, compared.sum())) for mask in regions.values()])
        for name, source in sources.items():
            found = compare_depth(truth.depth, source(truth), protocol)
            none = dict.fromkeys(ENLARGED, dict.fromkeys(regions, float("nan")))
            for enlarged, one in (none if found is None else region_errors(truth.depth, found, regions)).items():
                errors.setdefault((name, enlarged), []).append([*one.values()])
    return {key: np.array(rows) for key, rows in errors.items()}, np.mean(shares, axis=0)


def _nearest(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize (h,w): each pixel is the one in which its centre lies, as PyTorch's `nearest-exact` but for rounding."""
    places = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(values.shape, size, strict=True))
    return values[np.ix_(*places)]
