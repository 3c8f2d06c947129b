"""Functions that the objectives based on view synthesis share."""

from __future__ import annotations

import torch
from torch import Tensor

from hrdepth.config import ObjectiveConfig
from hrdepth.data.sample import Batch
from hrdepth.objectives.view_synthesis import ViewSynthesis, check_view_synthesis
from hrdepth.registry import check_options

__all__ = ["check_nested", "mask_of", "mean_inside"]


def check_nested(config: ObjectiveConfig) -> None:
    """Check the option `view_synthesis` of an objective that is based on view synthesis.

    Raises:
        InputError: an option that view synthesis does not have, or an invalid value.
    """
    options = config.options.get("view_synthesis") or {}
    what = f"the view_synthesis of objective '{config.name}'"
    check_options(ViewSynthesis, options, what, ("network", "pose_network", "frames", "canonical_focal", "cameras"))
    check_view_synthesis(options, what)


def mask_of(batch: Batch) -> Tensor:
    """Return the batch's mask (B,1,H,W), ones if it has none."""
    return batch["mask"] if "mask" in batch else torch.ones_like(batch["target"][:, :1])


def mean_inside(values: Tensor, mask: Tensor) -> Tensor:
    """Return each sample's mean of (B,1,H,W) where the mask (B,1,H,W) is 1: (B,1,1,1), at least 1e-6."""
    inside = (mask > 0.5).float()
    total = (values * inside).sum(dim=(1, 2, 3), keepdim=True)
    return (total / inside.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)).clamp(min=1e-6)
