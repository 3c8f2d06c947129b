"""Light and weather of a varied drive: sun, sky, haze, rain on the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.textures import Array

__all__ = ["Conditions", "draw_conditions", "haze_over", "sky_colour"]

Vector = tuple[float, float, float]
DAYLIGHT = np.array([4.1, 3.75, 3.2])  # irradiance of a high sun
SKYLIGHT = np.array([0.56, 0.62, 0.72])


@dataclass(frozen=True)
class Conditions:
    """Light and weather.

    Attributes:
        kind: "sunny", "hazy sun", "overcast" or "dusk".
        lights: directions in which light goes (world axes, y down) with their linear RGB irradiance.
        sky_light: linear RGB that a face turned to the sky receives without a shadow.
        zenith: linear RGB of the sky overhead.
        horizon: linear RGB of the sky at the horizon, and of the haze.
        cover: how much of the sky is clouds, 0 to 1.
        cloud: linear RGB of a cloud.
        visibility: metres after which 63% of the light is haze.
        wet: how wet the ground is, 0 to 1.
        brightness: linear value of a white horizontal face in the open, for the exposure.
    """

    kind: str
    lights: tuple[tuple[Vector, Vector], ...]
    sky_light: Vector
    zenith: Vector
    horizon: Vector
    cover: float
    cloud: Vector
    visibility: float
    wet: float
    brightness: float


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
        cover, cloud, visibility = (
            rng.uniform(0.75, 1.0),
            shade * rng.uniform(0.75, 1.05) * grey,
            rng.uniform(150, 2500),
        )
    else:
        low = kind == "dusk"
        elevation = float(np.radians(rng.uniform(6, 16) if low else rng.uniform(18, 68)))
        warmth = np.clip((elevation - 0.1) / 0.5, 0, 1)
        colour = warmth * DAYLIGHT + (1 - warmth) * np.array([4.3, 2.9, 1.7])
        strength = {"sunny": rng.uniform(0.8, 1.25), "hazy sun": rng.uniform(0.35, 0.7), "dusk": rng.uniform(0.25, 0.7)}
        lights = ((_direction(azimuth, elevation), _rgb(strength[kind] * colour * tint)),)
        sky_light = (
            SKYLIGHT * tint * {"sunny": rng.uniform(0.55, 1.1), "hazy sun": rng.uniform(1.0, 1.4)}.get(kind, 0.5)
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


def _overcast_light(
    rng: np.random.Generator, azimuth: float, tint: Array
) -> tuple[tuple[tuple[Vector, Vector], ...], Array]:
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
