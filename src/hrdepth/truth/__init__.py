"""Images and their true depth, for evaluation. Another source costs a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

from hrdepth.config import GroundTruthConfig
from hrdepth.registry import lookup
from hrdepth.truth.base import GroundTruth, GroundTruthSet, read_depth
from hrdepth.truth.cityscapes import CityscapesDepth
from hrdepth.truth.folders import DepthFolder, Drive
from hrdepth.truth.kitti import GtDepths, KittiLidar
from hrdepth.truth.kitti_improved import KittiImproved
from hrdepth.truth.make3d import Make3D

__all__ = ["GROUND_TRUTHS", "GroundTruth", "GroundTruthSet", "build_ground_truth", "read_depth"]

GROUND_TRUTHS: dict[str, Callable[[GroundTruthConfig], GroundTruthSet]] = {
    "cityscapes": CityscapesDepth,
    "drive": Drive,
    "folder": DepthFolder,
    "gt_depths": GtDepths,
    "kitti_improved": KittiImproved,
    "kitti_lidar": KittiLidar,
    "make3d": Make3D,
}


def build_ground_truth(config: GroundTruthConfig) -> GroundTruthSet:
    """Build the set that `config` names.

    Raises:
        InputError: an unknown kind, a setting that is missing or has no meaning there, or missing files.
    """
    return lookup(GROUND_TRUTHS, config.kind, "ground truth")(config)
