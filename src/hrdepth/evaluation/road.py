"""The camera's height above the road, from one depth map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrdepth.evaluation.points import points_of

__all__ = ["road_height"]

Floats = NDArray[np.float64]
# The road in an image taken from a car: the middle half of its lower part (shares of height and width).
ROAD_TOP, ROAD_LEFT, ROAD_RIGHT = 0.6, 0.25, 0.75
# Largest distance of a point from the plane, as a share of the camera's height.
ROAD_TOLERANCE = 0.05
# With a smaller share of such points there is no road; a plane with a larger tilt is a wall or a truck.
ROAD_SHARE, ROAD_TILT = 0.5, np.radians(20)
ROAD_TRIALS = 100


def road_height(depth: NDArray[np.floating], intrinsics: Floats) -> float | None:
    """Return the camera's height above the road, in units of `depth`, or None if no road is visible.

    Args:
        depth: (H,W).
        intrinsics: (3,3) in pixels of it.

    Returns:
        The distance of the camera from the plane that most points of the image's lower middle fit.
    """
    points = _road_points(depth, intrinsics)
    random = np.random.default_rng(0)
    best: NDArray[np.bool_] | None = None
    for _ in range(ROAD_TRIALS):
        plane = _plane(points[random.choice(len(points), 3, replace=False)])
        if plane is None:
            continue
        near = np.abs(points @ plane[0] - plane[1]) < ROAD_TOLERANCE * plane[1]
        if best is None or near.sum() > best.sum():
            best = near
    if best is None or best.mean() < ROAD_SHARE:
        return None
    centre = points[best].mean(axis=0)
    normal = np.linalg.svd(points[best] - centre, full_matrices=False)[2][-1]
    normal = normal if normal[1] > 0 else -normal  # y points down
    return float(normal @ centre) if normal[1] > np.cos(ROAD_TILT) else None


def _road_points(depth: NDArray[np.floating], intrinsics: Floats) -> Floats:
    height, width = depth.shape
    step = max(1, width // 160)
    rows = np.arange(int(ROAD_TOP * height), height, step)
    columns = np.arange(int(ROAD_LEFT * width), int(ROAD_RIGHT * width), step)
    x, y = np.meshgrid(columns, rows)
    return points_of(x.ravel(), y.ravel(), depth[y, x].ravel().astype(np.float64), intrinsics)


def _plane(three: Floats) -> tuple[Floats, float] | None:
    normal = np.cross(three[1] - three[0], three[2] - three[0])
    length = float(np.linalg.norm(normal))
    if not length > 0:
        return None
    normal = normal / length * (1 if normal[1] > 0 else -1)
    height = float(normal @ three[0])
    return (normal, height) if height > 0 and normal[1] > np.cos(ROAD_TILT) else None
