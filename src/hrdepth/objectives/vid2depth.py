"""Vid2Depth's objective: view synthesis, and alignment of the point clouds of neighbouring frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hrdepth.config import ObjectiveConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.geometry import backproject, invert_pose, project, sample
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives.base import Output, check_number_options, mask_of, mean_inside
from hrdepth.objectives.view_synthesis import ViewSynthesis, check_nested

__all__ = ["PointAlignment", "iterative_closest_points", "rigid_fit"]


class PointAlignment(ViewSynthesis):
    """View synthesis with a 3D term: the target's points, moved by the pose, are aligned with each source's by ICP.

    A remaining motion found by ICP is an error of the pose; the distance of points after that is an error of depth.
    Pixels that leave the source's image (the paper's principled masks) or lie outside the batch's mask are ignored in
    both terms.

    Args:
        network: the depth network.
        pose_network: see `ViewSynthesis`.
        frames: the sources, see `ViewSynthesis`.
        alignment: beta, the weight of the 3D term.
        points: maximum number of points of each frame for ICP, on a regular grid.
        iterations: of ICP.
        view_synthesis: options of the other terms, see `ViewSynthesis`.
        cameras: see `ViewSynthesis`.

    Raises:
        InputError: an invalid count, or as `ViewSynthesis`.

    Source: Mahjourian et al., "Unsupervised Learning of Depth and Ego-Motion from Monocular Video Using 3D Geometric
    Constraints", CVPR 2018, eq. 4 to 7; beta = 0.1.

    Note:
        ICP has no useful gradient. As in the paper, its transform T' gives the gradient of the pose and its residual
        that of the depth: |T' T - T| pulls the pose T to the constant T' T, and |x - T'^-1 y| a point x to the constant
        T'^-1 y of its match y. Lengths are divided by the target's mean depth, so that the weight does not depend on
        the unit. The authors sum the 3D term over four scales, with weights 1 / 2^s; here it is computed at the finest
        scale only. All scales have full size here, so on the same grid their points would be nearly equal.
    """

    def __init__(
        self,
        network: DepthNetwork,
        pose_network: nn.Module | None,
        frames: Sequence[int | str] = (-1, 1),
        alignment: float = 0.1,
        points: int = 1024,
        iterations: int = 5,
        view_synthesis: dict[str, Any] | None = None,
        cameras: LearnedIntrinsics | None = None,
    ) -> None:
        options = view_synthesis or {}
        super().__init__(network, pose_network, frames, cameras=cameras, **options)
        self.alignment = alignment
        self.points = points
        self.iterations = iterations

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        check_nested(config)
        check_number_options(config.options, ("alignment",), "objective 'vid2depth'")
        for name, least in (("points", 4), ("iterations", 1)):
            if (value := config.options.get(name, least)) < least:
                raise InputError(f"the option {name} {value} of objective 'vid2depth' must be {least} or more")

    def predict(self, batch: Batch) -> Output:
        """See `Objective.predict`; with the sources' disparities."""
        disparities = self.network(batch["target_augmented"])
        # For alignment the sources' points are fixed; `consistency` moves them too.
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.consistency > 0):
            source_disparities = self.predict_sources(batch)
        poses, motions = self.predict_poses(batch)
        return Output(disparities, poses, self.current_intrinsics(batch), motions, source_disparities)

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of `ViewSynthesis`, and `"loss/alignment"`, without its weight."""
        losses = super().losses(output, batch)
        with torch.autocast(batch["target"].device.type, enabled=False):
            losses["loss/alignment"] = self.alignment_loss(output, batch)
            losses["loss"] = losses["loss"] + self.alignment * losses["loss/alignment"]
        return losses

    def alignment_loss(self, output: Output, batch: Batch) -> Tensor:
        """Return the distance of the point clouds, in units of the target's mean depth.

        Returns:
            A scalar, the mean over all valid sources. Pixels outside the mask are in neither cloud.
        """
        assert output.source_disparities is not None
        source_disparities = output.source_disparities.detach()
        k, mask = output.intrinsics, mask_of(batch)
        in_mask = self._thin(mask).flatten(1) > 0.5  # (B,N)
        depth = self.depth(output.disparities[0].float(), k)
        unit = mean_inside(depth.detach(), mask)[:, 0, 0, 0]  # (B,)
        target = self._thin(backproject(depth, k))  # (B,3,h,w)
        total, count = depth.new_zeros(()), batch["source_valid"].sum().clamp(min=1)
        for index, pose in enumerate(output.poses.unbind(1)):
            source_depth = self.depth(source_disparities[:, index], k)
            source = self._thin(backproject(source_depth, k)).flatten(2).mT  # (B,N,3)
            fixed = pose.detach()
            moved = fixed[:, :3, :3] @ target.flatten(2) + fixed[:, :3, 3:]
            pixels = project(target, k, fixed)
            inside = _inside(pixels, moved.view_as(target), depth.shape[-2:]) & (sample(mask, pixels)[:, 0] > 0.5)
            weights = (inside.flatten(1) & in_mask & batch["source_valid"][:, index, None]).float()
            moved = moved.mT
            correction, matches = iterative_closest_points(moved.detach(), source, weights, self.iterations, in_mask)
            inverse = invert_pose(correction)
            wanted = matches @ inverse[:, :3, :3].mT + inverse[:, None, :3, 3]
            residual = ((moved - wanted).abs().sum(-1) * weights).sum(1) / weights.sum(1).clamp(min=1) / unit
            difference = (correction @ fixed - pose)[:, :3].abs()
            pose_error = difference[..., :3].sum((1, 2)) + difference[..., 3].sum(1) / unit
            total = total + ((residual + pose_error) * batch["source_valid"][:, index]).sum()
        return total / count

    def _thin(self, values: Tensor) -> Tensor:
        """Subsample (B,C,H,W) to a grid of at most `points` pixels, (B,C,h,w)."""
        height, width = values.shape[-2:]
        step = 1
        while -(-height // step) * -(-width // step) > self.points:
            step += 1
        return values[..., ::step, ::step]

    def synthesise(self, output: Output, batch: Batch, disparity: Tensor) -> Tensor:
        """See `ViewSynthesis`; the fourth channel is also 0 for pixels outside the source's image."""
        k, mask = output.intrinsics, mask_of(batch)
        points = backproject(self.depth(disparity, k), k)
        views = []
        for source, pose in zip(batch["sources"].unbind(1), output.poses.unbind(1), strict=True):
            pixels = project(points, k, pose)
            view = sample(torch.cat([source, mask], dim=1), pixels)
            moved = (pose[:, :3, :3] @ points.flatten(2) + pose[:, :3, 3:]).view_as(points)
            inside = _inside(pixels, moved, disparity.shape[-2:])[:, None]
            views.append(torch.cat([view[:, :3], view[:, 3:] * inside], dim=1))
        return torch.stack(views, dim=1)


def _inside(pixels: Tensor, points: Tensor, size: torch.Size) -> Tensor:
    """Return which pixels (B,2,h,w) of points (B,3,h,w) lie in an image of `size` and before the camera: (B,h,w)."""
    x, y = pixels.unbind(1)
    return (x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1) & (points[:, 2] > 0)


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
