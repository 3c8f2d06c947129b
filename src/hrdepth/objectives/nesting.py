"""What objectives that are built on view synthesis share."""

from __future__ import annotations

import torch

from hrdepth.config import ObjectiveConfig
from hrdepth.data.batch import Batch
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.registry import check_options

__all__ = ["check_nested", "with_mask"]


def check_nested(config: ObjectiveConfig) -> None:
    """Check the option `view_synthesis` of an objective that is built on this one.

    Raises:
        InputError: an option that view synthesis does not have.
    """
    check_options(
        ViewSynthesis,
        config.options.get("view_synthesis") or {},
        f"the view_synthesis of objective '{config.name}'",
        ("network", "pose_network", "frames", "canonical_focal", "cameras"),
    )


def with_mask(batch: Batch) -> Batch:
    """Return the batch with a mask, ones where it has none: an objective that hides pixels of its own needs one."""
    return batch if "mask" in batch else {**batch, "mask": torch.ones_like(batch["target"][:, :1])}
