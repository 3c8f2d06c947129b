"""Tests of inference/resampling.py.

Resampling agrees with Pillow's.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from hrdepth.inference.resampling import lanczos


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((375, 1242), (192, 640)),
        ((100, 90), (64, 96)),
        ((64, 96), (64, 96)),
        ((50, 70), (128, 256)),
        ((192, 64), (96, 64)),
    ],
)
def test_resized_images_are_those_of_pillow(size, wanted):
    pixels = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    pixels[: size[0] // 2] = (pixels[: size[0] // 2] > 127) * 255  # hard edges, where Lanczos overshoots
    resized = lanczos(torch.from_numpy(pixels), wanted)
    theirs = Image.fromarray(pixels).resize(wanted[::-1], Image.Resampling.LANCZOS)
    difference = np.abs(resized.permute(1, 2, 0).numpy() - np.asarray(theirs, dtype=np.float32))
    assert resized.dtype == torch.float32
    assert resized.shape == (3, *wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
