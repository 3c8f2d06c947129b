"""Figure 2: where errors lie, at low and high resolution, enlarged bilinearly and by the nearest pixel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate, max_pool2d

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import median_ratio, resize_disparity, valid_pixels
from hrdepth.evaluation.edges import DENSE, depth_edges

__all__ = ["ENLARGED", "REGIONS", "depth_regions", "enlarge", "reduce_truth", "region_errors"]

REGIONS = ("all", "low gradient", "high gradient", "edges")
ENLARGED = ("bilinear", "nearest")

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
    if known.mean() < DENSE:
        raise InputError(f"figure 2 needs dense true depth; {known.mean():.0%} of this image's pixels have it")
    logarithm = np.where(known, np.log(np.where(known, depth, 1.0)), np.nan).astype(np.float64)
    steepest = np.zeros(depth.shape)
    for axis in (0, 1):
        jump = np.nan_to_num(np.abs(np.diff(logarithm, axis=axis)))  # none to where depth is unknown
        before = [(0, 1) if one == axis else (0, 0) for one in (0, 1)]
        after = [(1, 0) if one == axis else (0, 0) for one in (0, 1)]
        steepest = np.maximum(steepest, np.maximum(np.pad(jump, before), np.pad(jump, after)))
    high = steepest > np.log1p(gradient)
    edges = torch.from_numpy(depth_edges(np.where(known, depth, np.nan)).astype(np.float32))[None, None]
    near = max_pool2d(edges, 2 * edge_width + 1, stride=1, padding=edge_width)[0, 0].numpy() > 0
    return {"all": known, "low gradient": known & ~high, "high gradient": known & high, "edges": known & near}


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
    scaled = protocol.scaling
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
