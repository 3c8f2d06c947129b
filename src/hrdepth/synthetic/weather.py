"""Light and weather: sun, sky, clouds, haze, and what a wet road reflects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.mesh import Array

__all__ = [
    "SKY_LIGHT",
    "SUN",
    "Conditions",
    "Lights",
    "Shot",
    "Vector",
    "clear_sky",
    "draw_conditions",
    "haze_over",
    "reflect_in_road",
    "sample_clouds",
    "sky_colour",
]

Vector = tuple[float, float, float]
Lights = tuple[tuple[Vector, Vector], ...]  # directions in which light goes (world axes, y down), RGB irradiance

SUN: Lights = (((0.55, 0.72, 0.42), (4.1, 3.75, 3.2)),)  # high and clear
SKY_LIGHT = (0.56, 0.62, 0.72)  # linear RGB that a face turned to a clear sky receives without a shadow
STEPS = np.geomspace(0.4, 80.0, 26)  # metres along a reflected ray at which it looks for a surface
FARTHEST = 70.0  # metres of road that reflect


@dataclass(frozen=True)
class Conditions:
    """Light and weather; colours are linear RGB."""

    kind: str  # "sunny", "hazy sun", "overcast" or "dusk"
    lights: Lights
    sky_light: Vector  # what a face turned to the sky receives without a shadow
    zenith: Vector  # of the sky overhead
    horizon: Vector  # of the sky at the horizon, and of the haze
    cover: float  # how much of the sky is clouds, 0 to 1
    cloud: Vector  # of a cloud
    visibility: float  # metres after which 63% of the light is haze
    wet: float  # how wet the ground is, 0 to 1
    brightness: float  # linear value of a white horizontal face in the open, for the exposure


def draw_conditions(rng: np.random.Generator) -> Conditions:
    """Draw light and weather."""
    kind = str(rng.choice(["sunny", "hazy sun", "overcast", "dusk"], p=[0.42, 0.18, 0.27, 0.13]))
    azimuth = float(rng.uniform(0, 2 * np.pi))
    grey = np.ones(3)
    tint = 1 + rng.normal(0, 0.03, 3)
    wet = float(rng.uniform(0.3, 1)) if rng.random() < {"overcast": 0.45, "dusk": 0.2}.get(kind, 0.06) else 0.0
    if kind == "overcast":
        lights, sky_light = _overcast_light(rng, azimuth, tint)
        shade = rng.uniform(0.55, 0.95)
        zenith, horizon = shade * np.array([0.72, 0.77, 0.84]) * tint, shade * rng.uniform(0.95, 1.15) * grey
        cover, cloud = rng.uniform(0.75, 1.0), shade * rng.uniform(0.75, 1.05) * grey
        visibility = rng.uniform(150, 2500)
    else:
        low = kind == "dusk"
        elevation = float(np.radians(rng.uniform(6, 16) if low else rng.uniform(18, 68)))
        warmth = np.clip((elevation - 0.1) / 0.5, 0, 1)
        colour = warmth * np.array(SUN[0][1]) + (1 - warmth) * np.array([4.3, 2.9, 1.7])
        strength = {"sunny": rng.uniform(0.8, 1.25), "hazy sun": rng.uniform(0.35, 0.7), "dusk": rng.uniform(0.25, 0.7)}
        lights = ((_direction(azimuth, elevation), _rgb(strength[kind] * colour * tint)),)
        sky_light = (
            np.array(SKY_LIGHT)
            * tint
            * {"sunny": rng.uniform(0.55, 1.1), "hazy sun": rng.uniform(1.0, 1.4)}.get(kind, 0.5)
        )
        depth = rng.uniform(0.6, 1.1)
        if low:
            zenith, horizon = np.array([0.2, 0.3, 0.52]) * depth, np.array([1.0, 0.72, 0.5]) * rng.uniform(0.5, 0.9)
            cover, cloud = rng.uniform(0, 0.7), np.array([0.8, 0.62, 0.58])
        else:
            white = 0.55 if kind == "hazy sun" else rng.uniform(0.0, 0.3)
            zenith = (1 - white) * np.array([0.2, 0.42, 0.84]) * depth + white * 0.85 * grey
            horizon = np.array([0.7, 0.82, 0.95]) * (1 - white) + white * 0.95 * grey
            cover, cloud = rng.uniform(0, 0.75), 1.0 * grey
        visibility = rng.uniform(250, 1200) if kind == "hazy sun" else rng.uniform(900, 6000)
    sun = sum(np.mean(light) * direction[1] / np.pi for direction, light in lights)
    brightness = float(sun + 0.95 * np.mean(sky_light))
    return Conditions(
        kind=kind,
        lights=lights,
        sky_light=_rgb(sky_light),
        zenith=_rgb(zenith),
        horizon=_rgb(horizon),
        cover=float(cover),
        cloud=_rgb(cloud),
        visibility=float(visibility),
        wet=wet,
        brightness=brightness,
    )


def _overcast_light(rng: np.random.Generator, azimuth: float, tint: Array) -> tuple[Lights, Array]:
    """Return steep lights from all around, whose shadows are soft and short, and the rest as skylight."""
    count = 7
    total = rng.uniform(0.45, 0.65) * np.pi / np.sin(np.radians(58))
    lights = tuple(
        (_direction(azimuth + 2 * np.pi * i / count, float(np.radians(58))), _rgb(total / count * tint))
        for i in range(count)
    )
    return lights, rng.uniform(0.35, 0.5) * np.array([0.97, 1.0, 1.05]) * tint


def _direction(azimuth: float, elevation: float) -> Vector:
    """Return where light goes that comes from `elevation` radians above the horizon."""
    flat = np.cos(elevation)
    return (float(flat * np.sin(azimuth)), float(np.sin(elevation)), float(flat * np.cos(azimuth)))


def _rgb(value: Array) -> Vector:
    red, green, blue = (float(part) for part in value)
    return (red, green, blue)


def sky_colour(conditions: Conditions, cover: Array, directions: Array) -> Array:
    """Return the sky's linear colour.

    Args:
        conditions: light and weather.
        cover: (H,W) noise of mean 0 and deviation 1 at the clouds' place in each direction.
        directions: (H,W,3) world axes, y down.

    Returns:
        (H,W,3) linear RGB.
    """
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    up = np.maximum(-unit[..., 1], 0.0)[..., None]
    near = np.exp(-6 * up)
    clear = near * np.array(conditions.horizon) + (1 - near) * np.array(conditions.zenith)
    toward = -(unit * np.array(conditions.lights[0][0])).sum(-1, keepdims=True)
    if len(conditions.lights) == 1:
        clear = clear + np.exp(8 * (toward - 1)) * 0.35 * np.array(conditions.lights[0][1]) / 4
    white = np.clip(conditions.cover - 0.15 + 0.4 * cover[..., None], 0, 1) * np.clip(up * 6 + 0.1, 0, 1)
    shade = 1 + 0.12 * cover[..., None] * conditions.cover
    return np.asarray((clear * (1 - white) + white * np.array(conditions.cloud) * shade) * 0.9)


def haze_over(conditions: Conditions, light: Array, depth: Array) -> Array:
    """Return `light` (H,W,3) seen through `depth` (H,W) metres of haze; 0 is sky and stays as it is."""
    share = np.where(depth > 0, 1 - np.exp(-depth / conditions.visibility), 0.0)[..., None]
    return np.asarray(light * (1 - share) + share * np.array(conditions.horizon) * 0.88)


def clear_sky(clouds: Array, directions: Array) -> Array:
    """Return the sky's linear colour in world `directions`, both (H,W,3): blue, soft clouds."""
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    up = np.maximum(-unit[..., 1], 0.0)
    near = np.exp(-6 * up)[..., None]
    blue = near * np.array([0.7, 0.82, 0.95]) + (1 - near) * np.array([0.2, 0.42, 0.84])
    cover = sample_clouds(clouds, unit)
    white = np.clip(0.3 + 0.5 * cover, 0, 1) * np.clip(up * 5, 0, 1)
    return np.asarray(blue * (1 - white[..., None]) + white[..., None] * np.array([1.05, 1.04, 1.03])) * 0.9


def sample_clouds(clouds: Array, unit: Array) -> Array:
    """Return the clouds' noise (H,W) where unit vectors (H,W,3) in world axes meet the cloud layer."""
    up = np.maximum(-unit[..., 1], 0.0)
    return sample_noise(clouds, unit[..., [0, 2]] / (up + 0.12)[..., None] * 90 + 256)


def sample_noise(image: Array, points: Array) -> Array:
    """Sample `image` (H,W) at `points` (...,2) bilinearly, repeating it in both directions."""
    low = np.floor(points).astype(int)
    weight = points - low
    rows, columns = image.shape
    r0, c0 = low[..., 1] % rows, low[..., 0] % columns
    r1, c1 = (r0 + 1) % rows, (c0 + 1) % columns
    wx, wy = weight[..., 0], weight[..., 1]
    top = image[r0, c0] * (1 - wx) + image[r0, c1] * wx
    bottom = image[r1, c0] * (1 - wx) + image[r1, c1] * wx
    return np.asarray(top * (1 - wy) + bottom * wy)


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
