"""Depth hints on disk: kept, cut like the image, told from another image's, and refused when damaged."""

import json

import numpy as np
import pytest
import torch

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.augment import Window
from hrdepth.data.hints import ABOUT, Hints, use_hints
from hrdepth.errors import InputError

SIZE = (64, 96)


@pytest.fixture
def hints(tmp_path):
    folder = tmp_path / "hints"
    folder.mkdir()
    (folder / ABOUT).write_text(json.dumps({"size": SIZE, "canonical_focal": 0.58}))
    return Hints.open(folder)


@pytest.fixture
def part(tmp_path):
    return DatasetConfig("pictures", str(fake_datasets.images(tmp_path / "pictures")))


def ramp():
    """Nearer and nearer to the right; the lower half is unknown."""
    map_ = np.linspace(0.1, 1, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], 0)
    map_[SIZE[0] // 2 :] = 0
    return map_


def test_what_is_written_is_read(hints, part):
    image = next(build_mix([part], [], SIZE).datasets[0].targets())
    assert not hints.read(image, SIZE).any(), "an image without a hint has none"
    hints.write(image, ramp())
    assert torch.allclose(hints.read(image, SIZE)[0], torch.from_numpy(ramp()), rtol=1e-3)
    small = hints.read(image, (32, 48))
    assert set(small[0, 16:].unique().tolist()) == {0.0}
    assert (small[0, :16] > 0).all(), "no value between one and none"


def test_a_zoom_brings_it_nearer(hints, part):
    image = next(build_mix([part], [], SIZE).datasets[0].targets())
    hints.write(image, ramp())
    right = hints.read(image, SIZE, Window(0.5, 0.0, 0.5))
    assert right[0, 0, -1] == pytest.approx(2.0, rel=0.02)
    assert right[0, 0, 0] == pytest.approx(2 * ramp()[0, 48], rel=0.02)


def test_samples_carry_it_and_it_is_mirrored_with_them(hints, part):
    plain, flipped = (build_mix([part], [], SIZE, AugmentConfig(flip=flip, jitter=0)) for flip in (0.0, 1.0))
    for mix in (plain, flipped):
        for image in mix.datasets[0].targets():
            hints.write(image, ramp())
        use_hints(hints, mix.datasets)
    assert torch.equal(plain[0]["hint"].flip(-1), flipped[0]["hint"])
    assert plain[0]["hint"].shape == (1, *SIZE)


def test_a_image_that_changed_has_none(hints, part):
    image = next(build_mix([part], [], SIZE).datasets[0].targets())
    hints.write(image, ramp())
    image.write_bytes(image.read_bytes() + b"\0")
    assert not hints.read(image, SIZE).any()
    with pytest.raises(InputError, match="no image of the training has a depth hint"):
        use_hints(hints, build_mix([part], [], SIZE).datasets)


def test_what_is_no_hint_is_refused(hints, part, tmp_path):
    image = next(build_mix([part], [], SIZE).datasets[0].targets())
    hints.write(image, ramp())
    hints.file(image).write_bytes(hints.file(image).read_bytes()[:200])
    with pytest.raises(InputError, match="is damaged"):
        hints.read(image, SIZE)
    hints.write(image, ramp()[:32])
    with pytest.raises(InputError, match="is damaged"):
        hints.read(image, SIZE)
    with pytest.raises(InputError, match="is no folder of depth hints"):
        Hints.open(tmp_path)
