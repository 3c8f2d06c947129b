"""Faults of networks: a constant disparity, an exploding pose, a mask that leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hrdepth.check.finding import Finding
from hrdepth.config import GuardConfig
from hrdepth.data.sample import Batch
from hrdepth.geometry import scaled_disparity
from hrdepth.objectives import Objective
from hrdepth.objectives.view_synthesis import ViewSynthesis

__all__ = ["examine_networks"]

# Share of the pixels; less is left of an image that teaches nothing.
KEPT = 0.03


def examine_networks(objective: Objective, batch: Batch, limits: GuardConfig | None = None) -> Iterator[Finding]:
    """Yield what is wrong with networks, by the limits of the guard.

    Args:
        objective: in eval mode.
        batch: samples without random changes.
        limits: see `GuardConfig`.
    """
    limits = limits or GuardConfig()
    network = objective.network
    near = scaled_disparity(network(batch["target"])[0].float(), network.min_depth, network.max_depth)
    variance, mean = torch.var_mean(near.flatten(1), dim=1)
    spread = float((variance.sqrt() / mean).max())
    synthesis = getattr(objective, "view_synthesis", objective)
    if isinstance(synthesis, ViewSynthesis) and synthesis.pose_network is not None:
        yield from _examine_pose(synthesis, batch, mean, limits)
    if spread < limits.min_spread:
        yield Finding(
            "constant disparity",
            f"1/depth varies by {spread:.2g} of its mean within an image, depth is about {1 / float(mean.mean()):.3g} "
            "units everywhere",
        )
    if isinstance(synthesis, ViewSynthesis) and synthesis.auto_mask:
        inside = batch["mask"].mean() if "mask" in batch else torch.ones(())
        kept = float(synthesis.panels(batch)["kept"].mean() / inside.clamp(min=1e-6))
        if kept < KEPT:
            yield Finding(
                "all mask",
                f"the auto-mask leaves {100 * kept:.1f} % of the pixels: what the networks see explains the images "
                "no better than no motion at all",
            )


def _examine_pose(objective: ViewSynthesis, batch: Batch, nearness: Tensor, limits: GuardConfig) -> Iterator[Finding]:
    temporal = [index for index, frame in enumerate(objective.frames) if frame != "s"]
    poses = objective.poses(batch)[:, temporal]  # (B,T,4,4)
    motion = float((poses[..., :3, 3].norm(dim=-1) * nearness[:, None]).mean())
    cosine = (poses[..., :3, :3].diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    rotation = float(cosine.clamp(-1, 1).acos().mean())
    if motion > limits.max_motion:
        yield Finding(
            "exploding pose",
            f"between neighbours the camera moves {motion:.3g} times as far as things are away",
        )
    elif rotation > limits.max_rotation:
        yield Finding("exploding pose", f"between neighbours the camera turns by {rotation:.2g} radians")
