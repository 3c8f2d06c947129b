"""Laser scans in KITTI's format, and the depth maps that they give."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file

__all__ = ["project_lidar", "read_scan"]


def read_scan(path: str | Path) -> NDArray[np.float32]:
    """Read a Velodyne scan.

    Returns:
        (N,4) float32: x forward, y left, z up in metres, and the reflectance.

    Raises:
        InputError: the file is missing, empty or cut short.
    """
    path = existing_file(path, "the laser scan")
    content = path.read_bytes()
    if not content or len(content) % 16:
        raise InputError(
            f"the laser scan {path} is {'cut short' if content else 'empty'} ({len(content)} bytes, "
            "16 a point); copy it again"
        )
    points: NDArray[np.float32] = np.frombuffer(content, dtype="<f4").reshape(-1, 4).astype(np.float32)
    return points


def project_lidar(
    points: NDArray[np.floating],
    velo_to_image: NDArray[np.float64],
    size: tuple[int, int],
    depth: Literal["laser", "camera"] = "laser",
) -> NDArray[np.float32]:
    """Project laser points to a sparse depth map.

    Args:
        points: (N,3) or more columns, metres: x forward, y left, z up.
        velo_to_image: (3,4), see `Calibration.velo_to_image`.
        size: (height, width) of the image in pixels.
        depth: `laser` for the laser's forward coordinate x, `camera` for the camera's z.

    Returns:
        (H,W) float32, metres, 0 where no point falls; of several points in a pixel the nearest.

    Note:
        Published KITTI numbers use `laser`, which is about 0.27 m more than the camera's z, and on
        pixels one-based (round - 1). Both are implemented so, or numbers would not compare.
    """
    height, width = size
    finite = np.asarray(points[:, :3], dtype=np.float64)
    finite = finite[np.isfinite(finite).all(axis=1)]
    projected = finite @ velo_to_image[:, :3].T + velo_to_image[:, 3]
    ahead = (finite[:, 0] > 0) & (projected[:, 2] > 0)
    forward, projected = finite[ahead, 0], projected[ahead]
    column, row = np.round(projected[:, :2] / projected[:, 2:]).T - 1
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    metres = (forward if depth == "laser" else projected[:, 2])[inside]
    nearest = np.full(size, np.inf)
    np.minimum.at(nearest, (row[inside].astype(int), column[inside].astype(int)), metres)
    return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)
