"""Alignment of two point clouds: iterative closest points (ICP)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["iterative_closest_points", "rigid_fit"]


def rigid_fit(moving: Tensor, fixed: Tensor, weights: Tensor) -> Tensor:
    """Find the rigid transform between corresponding points that minimises squared distances.

    Args:
        moving: (B,N,3).
        fixed: (B,N,3), the corresponding points.
        weights: (B,N), 0 ignores a pair.

    Returns:
        (B,4,4), from `moving` to `fixed`; the identity if all weights are 0.

    Source: Kabsch 1976; Umeyama 1991, without scale.

    Example:
        >>> points = torch.rand(1, 10, 3)
        >>> rigid_fit(points, points + 1, torch.ones(1, 10))[0, :3, 3].round(decimals=3)
        tensor([1., 1., 1.])
    """
    share = (weights / weights.sum(1, keepdim=True).clamp(min=1e-9))[..., None]  # (B,N,1)
    centres = [(share * points).sum(1, keepdim=True) for points in (moving, fixed)]
    covariance = ((moving - centres[0]) * share).mT @ (fixed - centres[1])  # (B,3,3)
    u, _, vh = torch.linalg.svd(covariance.nan_to_num())
    # A reflection may fit better, but a camera's motion is a rotation.
    sign = torch.det(vh.mT @ u.mT).sign()
    flip = torch.diag_embed(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1))
    rotation = vh.mT @ flip @ u.mT
    transform = torch.eye(4, dtype=moving.dtype, device=moving.device).repeat(len(moving), 1, 1)
    transform[:, :3, :3] = rotation
    transform[:, :3, 3] = (centres[1] - centres[0] @ rotation.mT)[:, 0]
    empty = weights.sum(1) == 0
    transform[empty] = torch.eye(4, dtype=moving.dtype, device=moving.device)
    return transform


@torch.no_grad()
def iterative_closest_points(
    moving: Tensor, fixed: Tensor, weights: Tensor, iterations: int = 10, valid: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Align one cloud with another: match each point with the nearest one, fit, and repeat.

    Args:
        moving: (B,N,3).
        fixed: (B,M,3).
        weights: (B,N), 0 ignores a point of `moving`.
        iterations: number of matches and fits.
        valid: (B,M) bool, false ignores a point of `fixed`; None uses all. A sample without any needs weights of 0.

    Returns:
        The transform (B,4,4) from `moving` to `fixed`, and the last match of each point (B,N,3).

    Source: Besl and McKay 1992.
    """
    transform = torch.eye(4, dtype=moving.dtype, device=moving.device).repeat(len(moving), 1, 1)
    partners = moving
    for _ in range(iterations):
        moved = moving @ transform[:, :3, :3].mT + transform[:, None, :3, 3]
        distances = torch.cdist(moved, fixed)  # (B,N,M)
        if valid is not None:
            distances = distances.masked_fill(~valid[:, None], torch.inf)
        nearest = distances.argmin(dim=2)  # (B,N)
        partners = fixed.gather(1, nearest[..., None].expand(-1, -1, 3))
        transform = rigid_fit(moving, partners, weights)
    return transform, partners
