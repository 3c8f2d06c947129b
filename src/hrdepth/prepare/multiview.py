"""Depth of a still scene from several views of known pose: no network, no training.

A plane sweep (Collins, "A Space-Sweep Approach to True Multi-Image Matching", CVPR 1996) compares the target with its
sources at every depth that is tried, semi-global matching (Hirschmueller, "Stereo Processing by Semi-Global Matching
and Mutual Information", PAMI 2008) chooses among them. What moves by itself, mirrors or has no texture comes out wrong:
`consistent` finds where two views agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hrdepth.geometry import backproject, project, sample

__all__ = ["Sweep", "View", "box_mean", "consistent", "normalised", "plane_sweep"]

WINDOW = 5  # pixels, of the correlation
NOISE = (2 / 255) ** 2  # variance below which a window has no texture
SMALL_STEP, LARGE_STEP = 0.08, 0.5  # what semi-global matching pays for a change of one plane, and of more
OUTSIDE = 1.05  # cost of a pixel that a source does not see: worse than any that it sees
SHARE = 0.03  # of the inverse depth, by which two views of one point may always differ


class View(NamedTuple):
    """An image as `plane_sweep` compares it.

    Attributes:
        grey: (1,1,H,W), about zero.
        mean: (1,1,H,W) of each window.
        scale: (1,1,H,W), the inverse of each window's standard deviation.
    """

    grey: Tensor
    mean: Tensor
    scale: Tensor


class Sweep(NamedTuple):
    """What a plane sweep found.

    Attributes:
        inverse_depth: (H,W), between the planes too.
        cost: (H,W) in [0,1], one minus the correlation with the better half of the sources there.
        unmoved: (H,W) in [0,1], the same with the best source, unwarped: small where nothing moves in the image.
    """

    inverse_depth: Tensor
    cost: Tensor
    unmoved: Tensor


def normalised(grey: Tensor) -> View:
    """Prepare an image (1,H,W) in [0,1]."""
    centred = grey[None] - 0.5
    mean = box_mean(centred, WINDOW)
    variance = (box_mean(centred * centred, WINDOW) - mean * mean).clamp(min=0)
    return View(centred, mean, (variance + NOISE).rsqrt())


def plane_sweep(
    target: View, sources: Sequence[View], intrinsics: Tensor, poses: Sequence[Tensor], planes: Tensor
) -> Sweep:
    """Find the depth of each pixel of the target among planes that face it.

    Args:
        target: of (H,W) pixels.
        sources: at least one, of (H,W) pixels.
        intrinsics: (3,3), pixels, of all.
        poses: (4,4) each, target to source; their unit of length is that of depth.
        planes: (D,) inverse depths from 0 on, evenly spaced, at least 3.

    Returns:
        See `Sweep`.
    """
    # What one source does not see because something hides it, others do: the better half counts.
    best: list[Tensor] = []
    for source, pose in zip(sources, poses, strict=True):
        worse = _cost(target, source, intrinsics, pose, planes)
        for rank, lower in enumerate(best):
            best[rank], worse = torch.minimum(lower, worse), torch.maximum(lower, worse)
        if len(best) < (len(sources) + 1) // 2:
            best.append(worse)
    cost = torch.stack(best).mean(0)
    aggregated = torch.zeros_like(cost)
    for dimension in (1, 2):
        for backwards in (False, True):
            aggregated += _path(cost, dimension, backwards)
    index = aggregated.argmin(0).clamp(1, len(planes) - 2)[None]
    before, there, behind = (aggregated.gather(0, index + step)[0] for step in (-1, 0, 1))
    # The lowest point of the parabola through the three.
    shift = ((before - behind) / (2 * (before - 2 * there + behind).clamp(min=1e-6))).clamp(-0.5, 0.5)
    inverse_depth = (index[0] + shift) * (planes[1] - planes[0])
    still = [1 - _correlation(target, source.grey, source.scale) for source in sources]
    return Sweep(inverse_depth, cost.gather(0, index)[0].clamp(max=1), torch.stack(still).amin(0).clamp(0, 1)[0, 0])


def consistent(inverse_depth: Tensor, other: Tensor, intrinsics: Tensor, pose: Tensor, tolerance: float) -> Tensor:
    """Find where the depth of two views is that of one point.

    Args:
        inverse_depth: (H,W) of the one.
        other: (H,W) of the other.
        intrinsics: (3,3), pixels, of both.
        pose: (4,4), from the one to the other.
        tolerance: of the inverse depth, where `SHARE` of it is less.

    Returns:
        (H,W) bool.
    """
    points = backproject(1 / inverse_depth.clamp(min=1e-6)[None, None], intrinsics[None])
    pixels = project(points, intrinsics[None], pose[None])[0]
    height, width = inverse_depth.shape
    moved = (pose[:3, :3] @ points[0, :3].flatten(1) + pose[:3, 3:])[2].reshape(height, width)
    column, row = pixels.round()
    inside = (moved > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    seen = other[row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]
    difference = (seen - 1 / moved.clamp(min=1e-6)).abs()
    agreed: Tensor = inside & (difference < (SHARE * seen).clamp(min=tolerance))
    return agreed


def box_mean(maps: Tensor, window: int) -> Tensor:
    """Average (B,C,H,W) over windows of odd size; at the border over what of them lies inside."""
    kernel = maps.new_ones(1, 1, window, window)
    # Each map is a channel: several times as fast as pooling.
    single = maps.flatten(0, 1)[None]
    summed = F.conv2d(single, kernel.expand(single.shape[1], -1, -1, -1), padding=window // 2, groups=single.shape[1])
    inside = F.conv2d(maps.new_ones(1, 1, *maps.shape[-2:]), kernel, padding=window // 2)
    averaged: Tensor = (summed / inside).view_as(maps)
    return averaged


def _correlation(target: View, grey: Tensor, scale: Tensor) -> Tensor:
    """Correlate windows of the target and of (D,1,H,W), whose windows have `scale`."""
    both = box_mean(torch.cat([grey * target.grey, grey], 1), WINDOW)
    return (both[:, :1] - both[:, 1:] * target.mean) * scale * target.scale


def _cost(target: View, source: View, intrinsics: Tensor, pose: Tensor, planes: Tensor) -> Tensor:
    """Compare (D,H,W): the target with what a source shows of each plane."""
    height, width = target.grey.shape[-2:]
    # As `geometry.project`, but divided by depth: then all planes share the product with the rays.
    rays = backproject(target.grey.new_ones(1, 1, height, width), intrinsics[None])[0]
    rotated = torch.einsum("ij,jhw->ihw", intrinsics @ pose[:3, :3], rays)
    moved = intrinsics @ pose[:3, 3]
    x, y, z = (rotated[axis] + moved[axis] * planes[:, None, None] for axis in range(3))
    x, y = x / z.clamp(min=1e-6), y / z.clamp(min=1e-6)
    warped = sample(torch.cat([source.grey, source.scale], 1).expand(len(planes), -1, -1, -1), torch.stack([x, y], 1))
    cost = (1 - _correlation(target, warped[:, :1], warped[:, 1:])).clamp(0, 1)[:, 0]
    seen = (z > 0) & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return torch.where(seen, cost, OUTSIDE)


def _path(cost: Tensor, dimension: int, backwards: bool) -> Tensor:
    """Sum (D,H,W) along one direction, with a price for each change of plane (Hirschmueller, eq. 13)."""
    lines = cost.movedim(dimension, 0).contiguous()
    if backwards:
        lines = lines.flip(0)
    summed = torch.empty_like(lines)
    before = summed[0] = lines[0]
    none = lines.new_full((1, lines.shape[2]), torch.inf)
    for number in range(1, len(lines)):
        best = before.amin(0, keepdim=True)
        neighbours = torch.minimum(torch.cat([before[1:], none]), torch.cat([none, before[:-1]]))
        step = torch.minimum(torch.minimum(before, best + LARGE_STEP), neighbours + SMALL_STEP)
        before = summed[number] = lines[number] + step - best
    if backwards:
        summed = summed.flip(0)
    return summed.movedim(0, dimension)
