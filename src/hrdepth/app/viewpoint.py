"""The viewpoint from which the page shows a point cloud."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrdepth.io.pointcloud import PointCloud

__all__ = ["Viewpoint", "centre_box", "choose_viewpoint"]

FIELD_OF_VIEW = 0.8
"""The viewer's vertical field of view, radians: Babylon.js's default."""
ASPECT = 1.9
"""The viewer's width over its height: a little less than on a wide page."""
MARGIN = 0.95
OUTSIDE_PERCENT = 1.0
"""Of the points, may be out of view on each side."""
RISE = 0.5
"""The viewer's height above the camera over its distance behind it, to look over what is near."""
LEAST_DISTANCE = 0.25
"""The least distance behind the camera, in median depths: from there the cloud looks like a space, not an image."""
MEASURED_POINTS = 10_000
"""Points are thinned to about this many before the view is fitted to them."""

_TO_VIEWER = np.array([1, -1, -1], dtype=np.float32)

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Viewpoint:
    """A viewpoint in Babylon.js's convention: y up, z towards the viewer.

    Attributes:
        longitude: degrees; 90 is behind the camera.
        latitude: degrees from the pole.
        distance: from `target`, in the cloud's unit.
        target: (x, y, z) of what lies in the middle of the view.
    """

    longitude: float
    latitude: float
    distance: float
    target: tuple[float, float, float]


def choose_viewpoint(cloud: PointCloud) -> Viewpoint:
    """Return a viewpoint behind and above the camera, at the least distance from which the cloud fits the view."""
    points = cloud.points[:: max(1, len(cloud) // MEASURED_POINTS)] * _TO_VIEWER
    depth = float(np.median(cloud.points[:, 2]))
    for behind in depth * np.geomspace(LEAST_DISTANCE, 10, 40):
        viewer = np.array([0, RISE * behind, behind])
        across, along = _middle_ahead(points - viewer)
        if _fits(points - viewer, across, along):
            break
    ahead = np.array([np.sin(across) * np.cos(along), np.sin(along), -np.cos(across) * np.cos(along)])
    distance = float(np.median(np.linalg.norm(points - viewer, axis=1)))
    x, y, z = (float(value) for value in viewer + distance * ahead)
    longitude = np.degrees(np.arctan2(-ahead[2], -ahead[0]))
    return Viewpoint(float(longitude), float(np.degrees(np.arccos(-ahead[1]))), distance, (x, y, z))


def centre_box(cloud: PointCloud, target: tuple[float, float, float], colour: tuple[int, int, int]) -> PointCloud:
    """Add two points, invisible in the colour of the background, that make `target` the middle of the cloud's box.

    The viewer rotates about the middle of the box, wherever in it the points are.
    """
    points = cloud.points * _TO_VIEWER
    low, high = points.min(axis=0), points.max(axis=0)
    middle = np.asarray(target)
    corners = np.stack([np.minimum(low, 2 * middle - high), np.maximum(high, 2 * middle - low)]) * _TO_VIEWER
    return PointCloud(
        np.concatenate([cloud.points, corners.astype(np.float32)]),
        np.concatenate([cloud.colours, np.array([colour, colour], dtype=np.uint8)]),
    )


def _middle_ahead(rays: Array) -> tuple[float, float]:
    """Return the direction to the middle of what is seen: radians to the right, and upwards."""
    across = np.arctan2(rays[:, 0], -rays[:, 2])
    along = np.arctan2(rays[:, 1], np.hypot(rays[:, 0], rays[:, 2]))
    ends = [np.percentile(angles, [OUTSIDE_PERCENT, 100 - OUTSIDE_PERCENT]) for angles in (across, along)]
    return float(ends[0].mean()), float(ends[1].mean())


def _fits(rays: Array, across: float, along: float) -> bool:
    """Whether nearly all points are within the view in that direction."""
    level = -rays[:, 2] * np.cos(across) + rays[:, 0] * np.sin(across)
    right = rays[:, 0] * np.cos(across) + rays[:, 2] * np.sin(across)
    ahead = level * np.cos(along) + rays[:, 1] * np.sin(along)
    up = rays[:, 1] * np.cos(along) - level * np.sin(along)
    most = np.maximum(np.abs(up), np.abs(right) / ASPECT) / (np.tan(FIELD_OF_VIEW / 2) * MARGIN)
    return bool(np.mean((ahead > 0) & (most <= ahead)) >= 1 - 2 * OUTSIDE_PERCENT / 100)
