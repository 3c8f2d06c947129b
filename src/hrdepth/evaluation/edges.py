"""Edge metrics: depth discontinuities of prediction and ground truth, and errors near those of sparse depth."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError, require

__all__ = [
    "boundary_f1",
    "depth_edges",
    "describe_edges",
    "describe_near_edges",
    "edge_distances",
    "edge_errors",
    "edges_installed",
    "is_dense",
    "near_edge_errors",
    "near_edges",
]

DENSE = 0.5  # minimum share of pixels with true depth; edges of a sparse laser scan are those of the scan
FARTHEST = 10.0  # pixels
SMOOTHING = 1.0  # pixels, of Canny's Gaussian
# Canny's thresholds as ratios of neighbouring depths.
WEAK, STRONG = 1.1, 1.25
RATIOS = np.linspace(1.05, 1.25, 10)
# Near edges: a neighbourhood of so many rows and columns, in an image so wide, holds depths that differ by this ratio.
NEAR_ROWS, NEAR_COLUMNS, NEAR_WIDTH, NEAR_LEAST = 9, 13, 1242, 3
NEAR_RATIO = 1.5


def near_edge_errors(
    truth: NDArray[Any], pixels: tuple[NDArray[np.intp], NDArray[np.intp]], predicted: NDArray[np.float64]
) -> dict[str, float]:
    """Compare those pixels of an image that lie near an edge of its true depth.

    Args:
        truth: (H,W), metres, sparse or dense; values that are not finite and positive are unknown.
        pixels: rows and columns, int (N), of the compared pixels, which have true depth.
        predicted: depth at these pixels (N), metres.

    Returns:
        near_edge_abs_rel, NaN without such a pixel, and near_edge_points, their number; see `near_edges`.

    Raises:
        InputError: the true depth does not have two dimensions.
    """
    near = near_edges(truth)[pixels]
    true = np.asarray(truth, dtype=np.float64)[pixels][near]
    error = float(np.mean(np.abs(true - predicted[near]) / true)) if near.any() else float("nan")
    return {"near_edge_abs_rel": error, "near_edge_points": float(near.sum())}


def near_edges(truth: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels whose neighbourhood holds known depths that differ by more than a factor of 1.5, bool (H,W).

    The neighbourhood has 13 columns and 9 rows in an image 1242 wide; in other widths it is scaled, to the nearest odd
    numbers of at least 3. Beyond the image's border nothing is known.

    Args:
        truth: depth (H,W); values that are not finite and positive are unknown.

    Raises:
        InputError: the true depth does not have two dimensions.
    """
    depth = np.asarray(truth)
    if depth.ndim != 2:
        raise InputError(f"true depth must be (H,W), not of shape {depth.shape}")
    if depth.dtype != np.float32:  # which most true depth is, and faster
        depth = depth.astype(np.float64)
    known = _known(depth)
    farthest, nearest = (np.where(known, values, -np.inf).astype(depth.dtype) for values in (depth, -depth))
    for axis, length in enumerate((NEAR_ROWS, NEAR_COLUMNS)):
        # The odd number nearest to x is 2 floor(x / 2) + 1.
        window = max(NEAR_LEAST, 2 * (length * depth.shape[1] // (2 * NEAR_WIDTH)) + 1)
        farthest, nearest = (_running_maximum(values, window, axis) for values in (farthest, nearest))
    # False where both are -inf: nothing is known.
    return np.asarray(farthest > -NEAR_RATIO * nearest.astype(np.float64))


def _running_maximum(values: NDArray[Any], window: int, axis: int) -> NDArray[Any]:
    """Return the maximum over an odd window centred on each element along an axis, an array of the same shape."""
    count = values.shape[axis]

    def part(of: NDArray[Any], along: slice) -> NDArray[Any]:
        index = (*(slice(None),) * axis, along)
        return of[index]

    margin = [(window // 2, window // 2) if other == axis else (0, 0) for other in range(values.ndim)]
    found = np.pad(values, margin, constant_values=-np.inf)
    length = 1  # of the window that an element is the maximum of; doubled while it fits
    while 2 * length <= window:
        found = np.maximum(part(found, slice(-length)), part(found, slice(length, None)))
        length *= 2
    last = slice(window - length, window - length + count)
    return np.asarray(np.maximum(part(found, slice(count)), part(found, last)))


def describe_near_edges() -> dict[str, Any]:
    """Describe the errors near edges, in words and values."""
    return {
        "in_words": "Abs Rel, and number, of the compared pixels (range, crop and scaling as for the seven) whose "
        "neighbourhood in the whole true depth, sparse or dense, holds known depths of which the largest is more than "
        "ratio times the smallest. The neighbourhood, centred on the pixel, has columns x rows pixels in an image "
        "width_px wide, scaled with other widths to the nearest odd numbers, of at_least pixels. Images without such "
        "pixels are left out of Abs Rel",
        "columns": NEAR_COLUMNS,
        "rows": NEAR_ROWS,
        "width_px": NEAR_WIDTH,
        "at_least": NEAR_LEAST,
        "ratio": NEAR_RATIO,
    }


def is_dense(truth: NDArray[Any]) -> bool:
    """Return whether at least half of the pixels of true depth (H,W) are known: finite and positive."""
    return bool(_known(truth).mean() >= DENSE)


def edges_installed() -> bool:
    """Return whether the packages for accuracy and completeness of edges are installed (extra `metrics`)."""
    return all(find_spec(package) is not None for package in ("skimage", "scipy"))


def _known(truth: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(truth) & (truth > 0))


def edge_errors(
    truth: NDArray[Any], predicted: NDArray[np.float64], protocol: DepthProtocol, *, distances: bool = True
) -> dict[str, float]:
    """Compare the edges of an image; values are NaN if the true depth has no edge.

    Args:
        truth: (H,W), metres; values that are not finite and positive are unknown.
        predicted: (H,W), metres, within the protocol's range.
        protocol: with the range for clamping the truth; its crop, made for sparse laser points, is not applied.
        distances: also accuracy and completeness, which need the extra `metrics`.

    Returns:
        edge_accuracy and edge_completeness in pixels, see `edge_distances`, and boundary_f1.

    Raises:
        InputError: less than half of the pixels have true depth, or the extra is not installed.

    Note:
        As in iBims-1 and Depth Pro, edges of the whole image are compared.
    """
    truth = np.asarray(truth, dtype=np.float64)
    known = _known(truth)
    if known.mean() < DENSE:
        raise InputError(f"edges need dense true depth; {known.mean():.0%} of this image's pixels have it")
    true = np.where(known, np.clip(np.where(known, truth, 1.0), *protocol.depth_range), np.nan)
    found: dict[str, float] = {}
    if distances:
        accuracy, completeness = edge_distances(depth_edges(true), depth_edges(np.where(known, predicted, np.nan)))
        found = {"edge_accuracy": accuracy, "edge_completeness": completeness}
    return {**found, "boundary_f1": boundary_f1(true, predicted)}


def describe_edges() -> dict[str, Any]:
    """Describe the edge metrics, in words and values."""
    return {
        "in_words": "edges of the whole image, without the protocol's crop, where true depth is known; after scaling "
        "and clamping. Canny's edges of the logarithm of depth: those predicted beyond farthest_px of any true one are "
        "left out of accuracy, completeness is at most that (iBims-1). Boundary F1 over ratios of neighbouring depths, "
        "weighed by ratio - 1, without thinning (Depth Pro). Images without true edges are left out",
        "smoothing_px": SMOOTHING,
        "weak_ratio": WEAK,
        "strong_ratio": STRONG,
        "farthest_px": FARTHEST,
        "boundary_ratios": [round(float(ratio), 4) for ratio in RATIOS],
        "crop": "none",
    }


def depth_edges(depth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return the edges of depth (H,W), bool (H,W): Canny's edges of its logarithm; NaN is unknown depth.

    Source: Canny, A Computational Approach to Edge Detection, 1986.
    """
    feature = require("skimage.feature", "metrics", "edge metrics need")
    known = np.isfinite(depth)
    # A step of height h, smoothed by a Gaussian, has slope h / (sigma sqrt(2 pi)); the Sobel filter gives 8 times that.
    slope = 8 / (SMOOTHING * np.sqrt(2 * np.pi))
    logarithm = np.log(np.where(known, depth, 1.0))
    # A step lies between two pixels; rounding makes the choice of its edge pixel independent of scale.
    logarithm = np.round(logarithm - np.median(logarithm[known]), 6) if known.any() else logarithm
    return np.asarray(
        feature.canny(
            logarithm,
            SMOOTHING,
            low_threshold=slope * np.log(WEAK),
            high_threshold=slope * np.log(STRONG),
            mask=known,
            mode="nearest",
        )
    )


def edge_distances(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> tuple[float, float]:
    """Return accuracy and completeness of predicted edges, in pixels.

    Accuracy: mean distance of predicted edge pixels to the nearest true one; those farther than 10 pixels are ignored.
    Completeness: mean distance of true edge pixels to the nearest of the remaining predicted ones, at most 10. Both are
    10 if none remains, and NaN if there is no true edge.

    Args:
        true: bool (H,W).
        predicted: bool (H,W).

    Source: Koch et al., Evaluation of CNN-based Single-Image Depth Estimation Methods (iBims-1), ECCV workshops 2018,
        section 3.4.
    """
    ndimage = require("scipy.ndimage", "metrics", "edge metrics need")
    if not true.any():
        return float("nan"), float("nan")
    to_true = ndimage.distance_transform_edt(~true)
    near = predicted & (to_true < FARTHEST)
    if not near.any():
        return FARTHEST, FARTHEST
    to_predicted = np.minimum(ndimage.distance_transform_edt(~near), FARTHEST)
    return float(to_true[near].mean()), float(to_predicted[true].mean())


def boundary_f1(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Return the F1 score of occlusion boundaries, in [0,1]; NaN if the true depth has none.

    Two adjacent pixels are a boundary if one is at least t times as far as the other. The F1 score counts boundaries
    with the same pixel in front, for ten t from 1.05 to 1.25; the mean is weighted by t - 1. It does not depend on
    scale.

    Args:
        true: depth (H,W), NaN if unknown.
        predicted: depth (H,W).

    Source: Bochkovskii et al., Depth Pro: Sharp Monocular Metric Depth in Less Than a Second, 2024, section 3.3; here
        without thinning, and weighted by t - 1.
    """
    # In logarithms: positive if the second pixel is farther.
    steps = [(np.diff(np.log(true), axis=axis), np.diff(np.log(predicted), axis=axis)) for axis in (0, 1)]
    a = np.concatenate([one[np.isfinite(one)] for one, _ in steps])
    b = np.concatenate([other[np.isfinite(one)] for one, other in steps])
    scores, weights = [], []
    for ratio in RATIOS:
        least = np.log(ratio)
        of_true, of_predicted = np.abs(a) > least, np.abs(b) > least
        if not of_true.any():
            continue
        both = of_true & of_predicted & (np.sign(a) == np.sign(b))
        scores.append(2 * both.sum() / (of_true.sum() + of_predicted.sum()))  # 2PR / (P + R)
        weights.append(ratio - 1)
    return float(np.average(scores, weights=weights)) if scores else float("nan")
