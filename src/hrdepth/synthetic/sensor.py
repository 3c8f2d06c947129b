"""What a camera makes of light: exposure, colour, blur, vignetting, noise, compression."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.synthetic.textures import Array

__all__ = ["Sensor", "develop", "draw_sensor"]


@dataclass(frozen=True)
class Sensor:
    """A camera's processing.

    Attributes:
        gain: factor on the light.
        balance: factors on red, green and blue.
        gamma: exponent on the encoded image; below 1 lifts the shadows.
        saturation: 0 is grey, 1 as it is.
        blur: standard deviation in pixels.
        vignetting: share of light lost in the corners.
        read_noise: standard deviation in grey levels of 255, in the dark.
        shot_noise: the same at white; grows with the root of the light.
        quality: of JPEG compression, None for none.
    """

    gain: float
    balance: tuple[float, float, float]
    gamma: float
    saturation: float
    blur: float
    vignetting: float
    read_noise: float
    shot_noise: float
    quality: int | None


def draw_sensor(rng: np.random.Generator, brightness: float) -> Sensor:
    """Draw a camera whose exposure suits a scene of that `brightness`, a little off now and then."""
    exposure = 2.0 ** float(np.clip(rng.normal(0, 0.45), -1.1, 1.0))
    red, blue = (float(value) for value in np.exp(rng.normal(0, 0.07, 2)))
    noisy = rng.random() < 0.5
    return Sensor(
        gain=1.25 / brightness * exposure,
        balance=(red, 1.0, blue),
        gamma=float(rng.uniform(0.82, 1.2)),
        saturation=float(rng.uniform(0.55, 1.15)),
        blur=float(rng.uniform(0.3, 0.85)) if rng.random() < 0.45 else 0.0,
        vignetting=float(rng.uniform(0, 0.45)) if rng.random() < 0.5 else 0.0,
        read_noise=float(rng.uniform(0.5, 3.0)) if noisy else 0.3,
        shot_noise=float(rng.uniform(0.5, 4.0)) if noisy else 0.3,
        quality=int(rng.integers(45, 95)) if rng.random() < 0.5 else None,
    )


def develop(light: Array, sensor: Sensor, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn linear light (H,W,3) into sRGB bytes.

    Args:
        light: linear RGB, about 1 for white.
        sensor: the camera.
        rng: of the noise.
    """
    height, width = light.shape[:2]
    light = _blur(np.maximum(light, 0) * sensor.gain * np.array(sensor.balance), sensor.blur)
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot(columns - (width - 1) / 2, rows - (height - 1) / 2) / np.hypot(width / 2, height / 2)
    light = light * (1 - sensor.vignetting * radius**2)[..., None]
    grey = light.mean(-1, keepdims=True)
    light = np.maximum(grey + sensor.saturation * (light - grey), 0)
    light = light * (1 + light / 2.6**2) / (1 + light) * 1.55
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    level = 255 * np.clip(encoded, 0, 1) ** sensor.gamma
    spread = sensor.read_noise + sensor.shot_noise * np.sqrt(level / 255)
    level = level + spread * rng.standard_normal(level.shape)
    image = np.clip(np.rint(level), 0, 255).astype(np.uint8)
    return image if sensor.quality is None else _compress(image, sensor.quality)


def _blur(light: Array, deviation: float) -> Array:
    """Blur by a Gaussian, its edge pixels repeated outwards."""
    if deviation <= 0:
        return light
    reach = int(np.ceil(3 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(light, padding, mode="edge")
        length = light.shape[axis]
        light = sum(
            (weight * np.take(padded, np.arange(i, i + length), axis) for i, weight in enumerate(kernel)),
            start=np.zeros_like(light),
        )
    return light


def _compress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Write as JPEG into memory and read it again."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))
