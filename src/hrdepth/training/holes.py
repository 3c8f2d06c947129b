"""Holes in predicted depth: to a network trained on motion, things that move with the camera seem infinitely far."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["FACTOR", "find_holes", "hole_share"]

# A hole is at least this many times as far as something on each of its four sides...
FACTOR = 3.0
# ...within these shares of the image's width and height. Sky over a street has nothing near above it.
REACH = (0.15, 0.25)


def find_holes(depth: Tensor) -> Tensor:
    """Return the pixels that are much farther than their surroundings.

    Such a pixel has something nearer than 1/`FACTOR` of its depth to its left, to its right, above and below. Outside
    the image nothing is near.

    Args:
        depth: (B,1,H,W), in any unit.

    Returns:
        (B,1,H,W) bool.

    Example:
        >>> depth = torch.full((1, 1, 20, 40), 8.0)
        >>> depth[..., 8:11, 18:22] = 80.0
        >>> int(find_holes(depth).sum())
        12
    """
    near = 1 / depth
    across, down = (max(1, round(share * side)) for share, side in zip(REACH, depth.shape[:1:-1], strict=True))
    sides = [_nearest(near, across, axis=3), _nearest(near.flip(3), across, axis=3).flip(3)]
    sides += [_nearest(near, down, axis=2), _nearest(near.flip(2), down, axis=2).flip(2)]
    return torch.stack(sides).amin(dim=0) > FACTOR * near


def hole_share(depth: Tensor, keep: Tensor | None = None) -> Tensor:
    """Return the share of pixels that are holes, a scalar.

    Args:
        depth: (B,1,H,W), in any unit.
        keep: (B,1,H,W), 1 where a pixel counts; None counts all.
    """
    holes = find_holes(depth).float()
    return holes.mean() if keep is None else (holes * keep).sum() / keep.sum().clamp(min=1)


def _nearest(near: Tensor, reach: int, axis: int) -> Tensor:
    """Return the largest of the `reach` values before each along an axis (2 or 3), 0 before the first."""
    pad = (reach, 0, 0, 0) if axis == 3 else (0, 0, reach, 0)
    before = F.pad(near, pad).narrow(axis, 0, near.shape[axis] + reach - 1)
    return F.max_pool2d(before, (1, reach) if axis == 3 else (reach, 1), stride=1)
