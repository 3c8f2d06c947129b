"""Each kind of known length gives many ratios of metres to units; their median and spread are a measurement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrdepth.errors import InputError

__all__ = ["Measurement", "camera_height", "earth_ways", "known_depths", "moved_ways", "road_height"]

Floats = NDArray[np.float64]

# Where the road lies in an image taken from a car: its lower part, the middle half of it (shares of height and width).
ROAD_TOP, ROAD_LEFT, ROAD_RIGHT = 0.6, 0.25, 0.75
# How far from the plane, as a share of the height above it, a point still belongs to it.
ROAD_TOLERANCE = 0.05
# Less than this share of such points is no road; a plane tilted more than this is a wall or a truck.
ROAD_SHARE, ROAD_TILT = 0.5, np.radians(20)
ROAD_TRIALS = 100
EARTH_RADIUS = 6371008.8  # metres, mean


@dataclass(frozen=True)
class Measurement:
    """Metres of a unit by one kind of known length.

    Attributes:
        kind: `camera_height`, `poses`, `speed`, `gps` or `distances`.
        metres_per_unit: the median of the ratios.
        spread: half the width of the middle 68 % of the ratios, as a share of the median: a standard deviation that
            outliers do not move.
        count: ratios.
        left_out: frames or pairs that gave none.
    """

    kind: str
    metres_per_unit: float
    spread: float
    count: int
    left_out: int

    @classmethod
    def of(cls, kind: str, ratios: Iterable[float], tried: int, reason: str) -> Measurement:
        """Sum up the ratios; raise InputError with `reason` where there are none."""
        values = np.array([ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0])
        if not len(values):
            raise InputError(f"{kind} does not determine the scale: {reason}")
        low, middle, high = np.percentile(values, [16, 50, 84])
        return cls(kind, float(middle), float((high - low) / 2 / middle), len(values), tried - len(values))


def road_height(depth: NDArray[np.floating], intrinsics: Floats, seed: int = 0) -> float | None:
    """Return how high the camera stands above the road, in units of `depth`, or None where no road is seen.

    Args:
        depth: (H,W).
        intrinsics: (3,3) in pixels of it.
        seed: of the random choice of points.

    Returns:
        The distance of the camera from the plane through most points of the image's lower middle.
    """
    points = _road_points(depth, intrinsics)
    random = np.random.default_rng(seed)
    best: NDArray[np.bool_] | None = None
    for _ in range(ROAD_TRIALS):
        plane = _plane(points[random.choice(len(points), 3, replace=False)])
        if plane is None:
            continue
        near = _near(points, *plane)
        if best is None or near.sum() > best.sum():
            best = near
    if best is None or best.mean() < ROAD_SHARE:
        return None
    centre = points[best].mean(axis=0)
    normal = np.linalg.svd(points[best] - centre, full_matrices=False)[2][-1]
    normal = normal if normal[1] > 0 else -normal  # y points down
    return float(normal @ centre) if normal[1] > np.cos(ROAD_TILT) else None


def camera_height(depths: Iterable[NDArray[np.floating]], intrinsics: Floats, metres: float) -> Measurement:
    """Measure by the camera's height above the road in each image.

    Args:
        depths: (H,W) each, in units.
        intrinsics: (3,3) in pixels of them.
        metres: the true height.

    Raises:
        InputError: no image shows a road.
    """
    heights = [road_height(depth, intrinsics) for depth in depths]
    found = [metres / height for height in heights if height]
    return Measurement.of("camera_height", found, len(heights), "no image shows a flat road in its lower middle")


def moved_ways(kind: str, predicted: ArrayLike, true: ArrayLike, least: float = 0.1) -> Measurement:
    """Measure by the ways between each two frames.

    Args:
        kind: what the true ways come from.
        predicted: (N-1), units.
        true: (N-1), metres.
        least: metres; shorter ways are left out, as they are imprecise.

    Raises:
        InputError: there are not as many of both, or no way is long enough.
    """
    ways, metres = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if ways.shape != metres.shape:
        raise InputError(f"{kind} gives {len(metres) + 1} frames, the images are {len(ways) + 1}; give one for each")
    long = (metres >= least) & (ways > 0)
    reason = f"no two frames are {least:g} m apart"
    return Measurement.of(kind, metres[long] / ways[long], len(ways), reason)


def known_depths(predicted: ArrayLike, true: ArrayLike) -> Measurement:
    """Measure by depths (N) in units at pixels whose depth (N) in metres is known."""
    depths, metres = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    return Measurement.of("distances", metres / depths, len(depths), "no distance is given")


def earth_ways(places: Floats) -> Floats:
    """Return the ways in metres (N-1) between places (N,2), latitude and longitude in degrees: great circles."""
    latitude, longitude = np.radians(places).T
    half = np.sin(np.diff(latitude) / 2) ** 2
    half += np.cos(latitude[1:]) * np.cos(latitude[:-1]) * np.sin(np.diff(longitude) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(half)))


def _road_points(depth: NDArray[np.floating], intrinsics: Floats) -> Floats:
    height, width = depth.shape
    step = max(1, width // 160)
    rows = np.arange(int(ROAD_TOP * height), height, step)
    columns = np.arange(int(ROAD_LEFT * width), int(ROAD_RIGHT * width), step)
    x, y = np.meshgrid(columns, rows)
    z = depth[y, x].astype(np.float64)
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    return np.stack([(x - cx) / fx * z, (y - cy) / fy * z, z], axis=-1).reshape(-1, 3)


def _plane(three: Floats) -> tuple[Floats, float] | None:
    normal = np.cross(three[1] - three[0], three[2] - three[0])
    length = float(np.linalg.norm(normal))
    if not length > 0:
        return None
    normal = normal / length * (1 if normal[1] > 0 else -1)
    height = float(normal @ three[0])
    return (normal, height) if height > 0 and normal[1] > np.cos(ROAD_TILT) else None


def _near(points: Floats, normal: Floats, height: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(points @ normal - height) < ROAD_TOLERANCE * height)
