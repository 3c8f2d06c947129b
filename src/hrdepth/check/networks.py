"""Faults of networks: a constant disparity, an exploding pose, a mask that leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hrdepth.check.finding import Finding
from hrdepth.config import GuardConfig
from hrdepth.data.sample import Batch
from hrdepth.geometry import scaled_disparity
from hrdepth.networks.base import DepthNetwork
from hrdepth.objectives import Objective, Output

__all__ = ["examine_networks", "lengths", "spread_and_nearness"]

# Share of the pixels; less is left of an image that teaches nothing.
KEPT = 0.03


def spread_and_nearness(output: Output, network: DepthNetwork) -> tuple[Tensor, Tensor]:
    """Return each image's relative standard deviation and mean of 1/depth at the finest scale, (B,) each.

    Of 1/depth, not of disparity: a disparity of 0 or 1 all over the image is as constant as one in between.
    """
    near = scaled_disparity(output.disparities[min(output.disparities)].float(), network.min_depth, network.max_depth)
    variance, mean = torch.var_mean(near.flatten(1), dim=1)
    return variance.sqrt() / mean, mean


def lengths(motions: Tensor) -> Tensor:
    """Return the lengths (T,B) of axis-angles or translations (T,B,3)."""
    norms: Tensor = motions.float().norm(dim=-1)
    return norms


def examine_networks(objective: Objective, batch: Batch, limits: GuardConfig | None = None) -> Iterator[Finding]:
    """Yield what is wrong with networks, by the limits of the guard.

    Args:
        objective: in eval mode.
        batch: samples without random changes.
        limits: see `GuardConfig`.
    """
    limits = limits or GuardConfig()
    output = objective.predict(batch)
    spreads, near = spread_and_nearness(output, objective.network)
    if output.motions is not None:
        yield from _examine_motions(output.motions, near, limits)
    if spreads.max() < limits.min_spread:
        yield Finding(
            "constant disparity",
            f"1/depth varies by {float(spreads.max()):.2g} of its mean within an image, depth is about "
            f"{1 / float(near.mean()):.3g} units everywhere",
        )
    if objective.auto_mask:
        inside = batch["mask"].mean() if "mask" in batch else torch.ones(())
        kept = float(objective.panels(output, batch)["kept"].mean() / inside.clamp(min=1e-6))
        if kept < KEPT:
            yield Finding(
                "all mask",
                f"the auto-mask leaves {100 * kept:.1f} % of the pixels: the networks explain the images no better "
                "than no motion at all",
            )


def _examine_motions(motions: tuple[Tensor, Tensor], near: Tensor, limits: GuardConfig) -> Iterator[Finding]:
    rotation, motion = lengths(motions[0]).mean(), (lengths(motions[1]) * near).mean()
    if motion > limits.max_motion:
        yield Finding(
            "exploding pose",
            f"between neighbours the camera moves {float(motion):.3g} times as far as things are away, by the poses",
        )
    elif rotation > limits.max_rotation:
        yield Finding("exploding pose", f"between neighbours the camera turns by {float(rotation):.2g} radians")
