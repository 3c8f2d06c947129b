"""Reflections in a wet road, found in the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.sky import sample_noise
from hrdepth.synthetic.textures import Array

__all__ = ["Shot", "reflect_in_road"]

STEPS = np.geomspace(0.4, 80.0, 26)  # metres along a reflected ray at which it looks for a surface
FARTHEST = 70.0  # metres of road that reflect


@dataclass(frozen=True)
class Shot:
    """A rendered image: linear light (H,W,3), depth (H,W) and world rays (H,W,3) with z = 1 in the camera."""

    light: Array
    depth: Array
    rays: Array
    pose: Array
    intrinsics: Array


def reflect_in_road(shot: Shot, sky: Array, ripples: Array, wet: float) -> Array:
    """Return the light with what the road, the plane y = 0, mirrors where it is wet.

    Args:
        shot: the image.
        sky: (H,W,3) linear colour of the sky in each reflected direction (y negated).
        ripples: noise (N,N) that repeats: where puddles are, and how their surface tilts.
        wet: 0 to 1.
    """
    points = shot.pose[:3, 3] + shot.rays * shot.depth[..., None]
    rows, columns = np.nonzero((shot.depth > 0) & (shot.depth < FARTHEST) & (np.abs(points[..., 1]) < 0.006))
    if len(rows) == 0:
        return shot.light
    ground = points[rows, columns]
    unit = shot.rays[rows, columns] / np.linalg.norm(shot.rays[rows, columns], axis=-1, keepdims=True)
    tilt = 0.035 * sample_noise(ripples, ground[:, [0, 2]] * 130)
    mirrored = unit * [1, -1, 1]
    mirrored[:, 1] += tilt * (1 - np.abs(unit[:, 1]))
    colour, found = _march(shot, ground, mirrored)
    colour = np.where(found[:, None], colour, sky[rows, columns])
    puddle = np.clip(0.75 + 0.5 * sample_noise(ripples, ground[:, [0, 2]] * 9), 0.25, 1.2)
    share = wet * puddle * (0.04 + 0.62 * (1 - np.abs(unit[:, 1])) ** 6)
    share = np.clip(share, 0, 0.85)[:, None]
    light = shot.light.copy()
    light[rows, columns] = (1 - share) * light[rows, columns] + share * colour
    return light


def _march(shot: Shot, start: Array, direction: Array) -> tuple[Array, Array]:
    """Return the colour that rays (N,3) from `start` meet in the image, and whether they do."""
    height, width = shot.depth.shape
    focal, cx, cy = shot.intrinsics[0, 0], shot.intrinsics[0, 2], shot.intrinsics[1, 2]
    to_camera = shot.pose[:3, :3]
    base, step = (start - shot.pose[:3, 3]) @ to_camera, direction @ to_camera
    colour, found = np.zeros((len(start), 3)), np.zeros(len(start), bool)
    previous = 0.0
    for reach in STEPS:
        at = base + reach * step
        z = np.maximum(at[:, 2], 1e-3)
        column, row = np.rint(focal * at[:, 0] / z + cx), np.rint(focal * at[:, 1] / z + cy)
        inside = (at[:, 2] > 0.2) & (column >= 0) & (column < width) & (row >= 0) & (row < height) & ~found
        r, c = row[inside].astype(int), column[inside].astype(int)
        seen = shot.depth[r, c]
        # A surface is met where the ray has passed behind it within this step.
        behind = z[inside] - seen
        hit = (seen > 0) & (behind > 0) & (behind < 1.3 * (reach - previous) + 0.4)
        index = np.flatnonzero(inside)[hit]
        colour[index], found[index] = shot.light[r[hit], c[hit]], True
        previous = reach
    return colour, found
