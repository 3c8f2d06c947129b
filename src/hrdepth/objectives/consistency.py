"""Consistency of the depths of two frames, which fails for moving objects and occlusions.

Source: Bian et al. 2019, Unsupervised Scale-consistent Depth and Ego-motion Learning from Monocular Video.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hrdepth.geometry import backproject, project, sample

__all__ = ["Consistency", "depth_consistency"]


class Consistency(NamedTuple):
    """How well the depths of target and sources agree.

    Attributes:
        loss: scalar, the mean difference (eq. 3).
        weight: (B,1,H,W) in [0,1], 1 where they agree: the self-discovered mask (eq. 5); without gradients.
    """

    loss: Tensor
    weight: Tensor


def depth_consistency(
    depth: Tensor, source_depths: Tensor, intrinsics: Tensor, poses: Tensor, valid: Tensor, mask: Tensor | None = None
) -> Consistency:
    """Compare the target's depth, seen from each source, with the source's own.

    Args:
        depth: (B,1,H,W), of the target.
        source_depths: (B,S,1,H,W).
        intrinsics: (B,3,3).
        poses: (B,S,4,4), target to source.
        valid: (B,S) bool, false if there is no source.
        mask: (B,1,H,W), see `Batch`; None for no mask.

    Returns:
        The difference is |a - b| / (a + b) (eq. 4), for points in front of the source camera, within its image and
        within both images' masks. The weight uses each pixel's best source.
    """
    differences, seen = [], []
    points = backproject(depth, intrinsics)
    height, width = depth.shape[-2:]
    for index in range(poses.shape[1]):
        pixels = project(points, intrinsics, poses[:, index])
        pose = poses[:, index, 2, :, None, None]  # (B,4,1,1)
        moved = (pose[:, :3] * points).sum(dim=1, keepdim=True) + pose[:, 3:]  # along the source's axis, (B,1,H,W)
        sampled = sample(source_depths[:, index], pixels)
        differences.append((moved - sampled).abs() / (moved + sampled).clamp(min=1e-6))
        x, y = pixels.unbind(dim=1)
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        visible = inside[:, None] & (moved > 0) & valid[:, index, None, None, None]
        seen.append(visible if mask is None else visible & (mask > 0.5) & (sample(mask, pixels) > 0.5))
    difference, visible = torch.cat(differences, dim=1), torch.cat(seen, dim=1)  # (B,S,H,W)
    loss = torch.where(visible, difference, 0).sum() / visible.sum().clamp(min=1)
    best = torch.where(visible, difference, torch.inf).amin(dim=1, keepdim=True)
    return Consistency(loss, (1 - torch.where(best.isfinite(), best, 0)).clamp(0, 1).detach())
