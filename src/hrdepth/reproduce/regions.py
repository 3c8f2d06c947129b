"""Regions of dense and sparse true depth, and the errors within them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate, max_pool2d

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import median_ratio, resize_disparity, scale_and_shift, valid_pixels
from hrdepth.evaluation.edges import depth_edges, is_dense, near_edges

__all__ = [
    "ENLARGED",
    "REGIONS",
    "SPARSE_REGIONS",
    "depth_regions",
    "enlarge",
    "enlarged_errors",
    "reduce_truth",
    "region_errors",
    "sparse_regions",
]

REGIONS = ("all", "low gradient", "high gradient", "edges")
SPARSE_REGIONS = ("all", "low gradient", "high gradient", "low image gradient", "high image gradient", "near edges")
ENLARGED = ("bilinear", "nearest")
# Points of a laser scan are neighbours up to this many pixels: KITTI's lines are some five rows apart.
REACH = 8

Masks = Mapping[str, NDArray[np.bool_]]


def depth_regions(depth: NDArray[np.float32], gradient: float, edge_width: int) -> dict[str, NDArray[np.bool_]]:
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
    known = np.isfinite(depth) & (depth > 0)
    if not is_dense(depth):
        raise InputError(f"these regions need dense true depth; {known.mean():.0%} of this image's pixels have it")
    high = _steepest(_logarithm(depth, known)) > np.log1p(gradient)
    edges = torch.from_numpy(depth_edges(np.where(known, depth, np.nan)).astype(np.float32))[None, None]
    near = max_pool2d(edges, 2 * edge_width + 1, stride=1, padding=edge_width)[0, 0].numpy() > 0
    return {"all": known, "low gradient": known & ~high, "high gradient": known & high, "edges": known & near}


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
    steepest = _steepest(_logarithm(depth, known), REACH)
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


def _logarithm(depth: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(known, np.log(np.where(known, depth, 1.0)), np.nan).astype(np.float64)


def _steepest(values: NDArray[np.float64], reach: int = 1) -> NDArray[np.float64]:
    """Return the largest slope to the next known value in the row or column (H,W), -1 without one within `reach`."""
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


def reduce_truth(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return what a perfect network of that size would predict: scaled disparity (h,w) at its pixels' centres.

    No depth is infinitely far.
    """
    known = np.isfinite(depth) & (depth > 0)
    disparity = np.where(known, 1 / np.where(known, depth, 1.0), 0.0).astype(np.float64)
    return _nearest(disparity, size)


def enlarge(disparity: NDArray[np.float64], size: tuple[int, int], how: str) -> NDArray[np.float64]:
    """Resize disparity (h,w) to `size`, as one of `ENLARGED`."""
    return resize_disparity(disparity, size) if how == "bilinear" else _nearest(disparity, size)


def enlarged_errors(
    truth: NDArray[np.float32], disparity: NDArray[np.float64], masks: Masks, protocol: DepthProtocol
) -> dict[str, dict[str, float]]:
    """Return `region_errors` of disparity (h,w) for each of `ENLARGED`; other arguments as there."""
    height, width = truth.shape
    return {how: region_errors(truth, enlarge(disparity, (height, width), how), masks, protocol) for how in ENLARGED}


def region_errors(
    truth: NDArray[np.float32], disparity: NDArray[np.float64], masks: Masks, protocol: DepthProtocol
) -> dict[str, float]:
    """Return the Abs Rel of each region, NaN where an image has none of it.

    Args:
        truth: (H,W), metres.
        disparity: scaled disparity (H,W), 1/depth.
        masks: the regions.
        protocol: how the whole image is scaled, cropped and clamped.
    """
    valid = valid_pixels(truth, protocol)
    if not valid.any():
        return dict.fromkeys(masks, float("nan"))
    with np.errstate(divide="ignore"):
        depth = 1 / disparity
    true = truth.astype(np.float64)
    scaled, ratio = protocol.scaling, 1.0
    if scaled == "affine":
        factor, shift = scale_and_shift(1 / true[valid], disparity[valid].astype(np.float64))
        with np.errstate(divide="ignore"):
            depth = 1 / np.maximum(factor * disparity + shift, 0)
    else:
        ratio = median_ratio(true[valid], depth[valid]) if isinstance(scaled, str) else float(scaled)
    predicted = np.clip(ratio * depth, *protocol.depth_range)
    error = np.abs(predicted - true) / np.where(valid, true, 1.0)
    found = {}
    for name, mask in masks.items():
        inside = mask & valid
        found[name] = float(error[inside].mean()) if inside.any() else float("nan")
    return found


def _nearest(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    resized = interpolate(torch.from_numpy(np.ascontiguousarray(values))[None, None], size=size, mode="nearest-exact")
    return np.asarray(resized[0, 0].numpy(), dtype=np.float64)
