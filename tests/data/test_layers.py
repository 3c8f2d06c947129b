"""Tests of data/layers.py.

Layers of samples: one of your own; object masks, found beside the images, resized and flipped with them.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.layers import Layer, Objects, load_objects, objects_file
from hrdepth.errors import InputError


def mix(root, size=fake_datasets.SIZE, augment=None, frames=(-1, 1), layers=()):
    part = DatasetConfig("folder", str(root), str(root / "train.txt"))
    return build_mix([part], list(frames), size, augment, layers=layers)


@pytest.fixture
def drive(tmp_path):
    return fake_datasets.objects(fake_datasets.drive(tmp_path))


def read(root, number):
    return np.asarray(Image.open(root / "drive" / "left_objects" / f"{number:06d}.png")).astype(np.int64)


def test_target_and_neighbours_have_objects_and_the_right_image_none(drive):
    assert "objects" not in mix(drive)[1]  # nobody asked
    objects = mix(drive, frames=(-1, 1, "s"), layers=[Objects()])[1]["objects"]  # of frame 2
    for index, number in enumerate((2, 1, 3)):
        np.testing.assert_array_equal(objects[index], read(drive, number))
    assert not objects[3].any()


def test_object_masks_are_resized_without_new_values_and_flipped(drive):
    data = mix(drive, size=(64, 64), augment=AugmentConfig(flip=1.0, jitter=0.0), layers=[Objects()])
    plain = mix(drive, size=(64, 64), layers=[Objects()])
    objects = data[2]["objects"]
    assert objects.dtype == torch.int64
    assert objects.unique().tolist() == [0, 1, 2]
    assert torch.equal(objects, plain[2]["objects"].flip(-1))


def test_sixteen_bit_object_masks_are_read(drive):
    image = drive / "drive" / "left" / "000000.png"
    Image.fromarray(np.full(fake_datasets.SIZE, 300, np.uint16)).save(objects_file(image))
    assert load_objects(image, fake_datasets.SIZE).unique().tolist() == [300]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("RGB", fake_datasets.SIZE[::-1]), "has 3 channels"),
        (Image.new("L", (10, 20)), "has 10x20 pixels, its image 96x64"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_object_mask_is_named(drive, mask, message):
    image = drive / "drive" / "left" / "000000.png"
    file = objects_file(image)
    if mask is None:
        file.write_bytes(b"no image")
    else:
        mask.save(file)
    with pytest.raises(InputError, match=message) as caught:
        load_objects(image, fake_datasets.SIZE)
    assert str(file) in str(caught.value)


def test_a_set_without_object_masks_is_refused_with_the_expected_path(tmp_path):
    [part] = mix(fake_datasets.drive(tmp_path)).datasets
    with pytest.raises(InputError, match=r"left_objects.0000.*make some"):
        Objects.of(part.neighbours.images())


class Column(Layer):
    """A column of the image, which a flip moves."""

    key = "column"

    def read(self, frames, size, window):
        left, _, right, _ = window.box(frames.camera.size)
        return torch.tensor((frames.camera.size[1] / 3 - left) / (right - left) * size[1])

    def flip(self, plane, width):
        return width - plane


def test_a_users_layer_is_one_class(tmp_path):
    root = fake_datasets.drive(tmp_path)
    plain = mix(root, layers=[Column(), Objects()])
    flipped = mix(root, augment=AugmentConfig(flip=1.0, jitter=0.0), layers=[Column()])
    batch = default_collate([plain[0], plain[1]])
    assert batch["column"].tolist() == [32.0, 32.0]
    assert flipped[0]["column"] == 64.0
    zoomed = mix(root, augment=AugmentConfig(flip=0.0, jitter=0.0, zoom=2.0), layers=[Column()])
    assert len({float(zoomed[item]["column"]) for item in range(8)}) == 8
