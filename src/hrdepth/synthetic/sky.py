"""The sky of a fine day, and clouds."""

from __future__ import annotations

import numpy as np

from hrdepth.synthetic.textures import Array

__all__ = ["clear_sky", "sample_clouds", "sample_noise"]


def clear_sky(clouds: Array, directions: Array) -> Array:
    """Return the sky's linear colour in world `directions`, both (H,W,3): blue, soft clouds."""
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    up = np.maximum(-unit[..., 1], 0.0)
    blue = np.exp(-6 * up)[..., None] * np.array([0.7, 0.82, 0.95]) + (1 - np.exp(-6 * up))[..., None] * np.array(
        [0.2, 0.42, 0.84]
    )
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
