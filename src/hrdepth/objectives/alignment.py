"""Two clouds of points laid over one another: iterative closest points."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["iterative_closest_points", "rigid_fit"]


def rigid_fit(moving: Tensor, fixed: Tensor, weights: Tensor) -> Tensor:
    """Find the rigid transform that brings points nearest to given partners, in the least-squares sense.

    Args:
        moving: (B,N,3).
        fixed: (B,N,3), the partner of each.
        weights: (B,N), 0 leaves a pair out.

    Returns:
        (B,4,4), from `moving` to `fixed`; the identity where no pair counts.

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
    # A mirrored cloud may fit better, but no camera's motion mirrors.
    sign = torch.det(vh.mT @ u.mT).sign()
    flip = torch.diag_embed(torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1))
    rotation = vh.mT @ flip @ u.mT
    transform = torch.eye(4, dtype=moving.dtype, device=moving.device).repeat(len(moving), 1, 1)
    transform[:, :3, :3] = rotation
    transform[:, :3, 3] = (centres[1] - centres[0] @ rotation.mT)[:, 0]
    nothing = weights.sum(1) == 0
    transform[nothing] = torch.eye(4, dtype=moving.dtype, device=moving.device)
    return transform


@torch.no_grad()
def iterative_closest_points(
    moving: Tensor, fixed: Tensor, weights: Tensor, iterations: int = 10, there: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Lay one cloud over another: pair each point with its nearest, fit, and again.

    Args:
        moving: (B,N,3).
        fixed: (B,M,3).
        weights: (B,N), 0 leaves a point of `moving` out.
        iterations: how often.
        there: (B,M) bool, false leaves a point of `fixed` out; None takes all. A sample without any needs weights of 0.

    Returns:
        The transform (B,4,4) from `moving` to `fixed`, and the last partner of each point (B,N,3).

    Source: Besl and McKay 1992.
    """
    transform = torch.eye(4, dtype=moving.dtype, device=moving.device).repeat(len(moving), 1, 1)
    partners = moving
    for _ in range(iterations):
        moved = moving @ transform[:, :3, :3].mT + transform[:, None, :3, 3]
        distances = torch.cdist(moved, fixed)  # (B,N,M)
        if there is not None:
            distances = distances.masked_fill(~there[:, None], torch.inf)
        nearest = distances.argmin(dim=2)  # (B,N)
        partners = fixed.gather(1, nearest[..., None].expand(-1, -1, 3))
        transform = rigid_fit(moving, partners, weights)
    return transform, partners
