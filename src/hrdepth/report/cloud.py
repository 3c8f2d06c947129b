"""The points of the page's viewer: few bytes each, as text in the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrdepth.io.pointcloud import point_cloud

__all__ = ["Cloud", "encode_cloud"]

FAR_MEDIANS = 4.0
"""The cloud ends at so many times the median depth: sky and skyline would make the rest tiny."""
STEPS = 65535


@dataclass(frozen=True)
class Cloud:
    """Points as the viewer reads them.

    Attributes:
        count: of points.
        positions: base64 of uint16 (N,3): x right, y down, z forward, from `low` to `high` in 65535 steps.
        colours: base64 of uint8 (N,3).
        low: the smallest x, y, z.
        high: the largest.
        unit: of them.
        assumed: the focal length is a guess.
    """

    count: int
    positions: str
    colours: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str
    assumed: bool


def encode_cloud(
    depth: NDArray[np.float32],
    image: NDArray[np.uint8],
    intrinsics: NDArray[np.float64],
    most: int,
    unit: str,
    *,
    assumed: bool,
) -> Cloud:
    """Lift an image and write its points as text.

    Args:
        depth: (H,W) along the camera's axis.
        image: uint8 (H,W,3).
        intrinsics: (3,3) in pixels of the image.
        most: points, at most.
        unit: of depth.
        assumed: the focal length is a guess.

    Raises:
        InputError: no point is left.
    """
    cloud = point_cloud(depth, image, intrinsics, far=FAR_MEDIANS * float(np.median(depth)), most=most)
    low, high = cloud.points.min(axis=0), cloud.points.max(axis=0)
    span = np.maximum(high - low, np.finfo(np.float32).tiny)
    steps = np.rint((cloud.points - low) / span * STEPS).astype("<u2")
    return Cloud(
        len(cloud),
        base64.b64encode(steps.tobytes()).decode(),
        base64.b64encode(np.ascontiguousarray(cloud.colours).tobytes()).decode(),
        tuple(float(value) for value in low),
        tuple(float(value) for value in high),
        unit,
        assumed,
    )
