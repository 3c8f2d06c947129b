"""Images and their true depth, for evaluation. Another source costs a file and a line here."""

from __future__ import annotations

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.io.images import read_depth
from hrdepth.registry import lookup
from hrdepth.truth.base import GroundTruth, GroundTruthSet
from hrdepth.truth.cityscapes import CityscapesDepth
from hrdepth.truth.folders import DepthFolder, Drive
from hrdepth.truth.kitti import GtDepths, KittiImproved, KittiLidar
from hrdepth.truth.make3d import Make3D

__all__ = ["GROUND_TRUTHS", "GroundTruth", "GroundTruthSet", "build_ground_truth", "depth_protocol", "read_depth"]

GROUND_TRUTHS: dict[str, type[GroundTruthSet]] = {
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


def depth_protocol(kind: str, given: DepthProtocol) -> DepthProtocol:
    """Return the whole protocol for a kind of true depth: what is not given is as its published numbers have it.

    Args:
        kind: a key of `GROUND_TRUTHS`.
        given: the settings that were given.

    Raises:
        InputError: an unknown kind, or as `DepthProtocol`.

    Example:
        >>> protocol = depth_protocol("make3d", DepthProtocol(scaling=5.4))
        >>> protocol.max_depth, protocol.crop, protocol.scaling
        (70.0, 'none', 5.4)
    """
    return given.complete(lookup(GROUND_TRUTHS, kind, "ground truth").protocol)
