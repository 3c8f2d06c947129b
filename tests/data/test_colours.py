"""The fast hue shift is torchvision's but for rounding, grey and ties included."""

import pytest
import torch
from torchvision.transforms.v2 import functional as F

from hrdepth.data.colours import shift_hue


def make_images():
    seed = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 48), generator=seed).float() / 255
    images[0, :, :4] = torch.rand(4, 48, generator=seed)  # grey
    images[0, :, 4:6] = 0
    images[0, :, 6:8] = 1
    for row, (a, b) in enumerate([(0, 1), (1, 2), (0, 2)], start=8):  # ties, of the largest as of the smallest
        images[0, a, row] = images[0, b, row]
    return images


@pytest.mark.parametrize("turns", [-0.5, -0.1, 0.0, 0.03, 1 / 3, 0.5])
def test_as_torchvision(turns):
    images = make_images()
    # The float64 result is exact to 1e-15: it shows that what is left is torchvision's own rounding.
    exact = shift_hue(images.double(), turns)
    assert (shift_hue(images, turns) - exact).abs().max() < 1e-6
    assert (F.adjust_hue(images, turns) - exact).abs().max() < 2e-6
    assert torch.equal(images, make_images())
