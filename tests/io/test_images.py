"""Tests of io/images.py: images in memory that cannot be used."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.images import to_image, to_pixels


def encoded():
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    content = BytesIO()
    Image.fromarray(noise).save(content, "PNG")
    return content.getvalue()


def closed(image):
    image.close()
    return image


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (Image.open(BytesIO(encoded()[:5000])), "the image cannot be read: image file is truncated"),
        (closed(Image.open(BytesIO(encoded()))), "the image cannot be read: Operation on closed image"),
        (closed(Image.new("L", (5, 5))), "the image cannot be read: Operation on closed image"),
        (Image.new("RGB", (0, 5)), "an image of 0x5 pixels is empty"),
        (Image.new("RGB", (5, 0)), "an image of 5x0 pixels is empty"),
        (np.zeros((0, 5, 3), np.uint8), "not one of shape (0, 5, 3)"),
        (np.zeros((5, 0), np.uint8), "not one of shape (5, 0)"),
    ],
)
@pytest.mark.parametrize("read", [to_image, to_pixels])
def test_an_image_that_cannot_be_used_is_refused_in_one_sentence(image, sentence, read):
    with pytest.raises(InputError) as refused:
        read(image)
    assert sentence in str(refused.value)


def test_an_image_that_is_not_decoded_yet_is_read():
    assert to_pixels(Image.open(BytesIO(encoded()))).shape == (64, 96, 3)
