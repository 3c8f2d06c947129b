"""Tests of every data set that data/__init__.py registers.

Every data set in the registry gives valid samples from a miniature tree.
"""

import inspect
import re

import pytest
import torch
from torch.utils.data import default_collate

import fake_datasets
from hrdepth import geometry
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import DATASETS, build_mix, build_reader
from hrdepth.data.augment import flip_sample
from hrdepth.errors import InputError

RECORDINGS = [name for name, kind in DATASETS.items() if kind.has_neighbours]
STEREO = [name for name, kind in DATASETS.items() if kind.has_stereo]


@pytest.fixture
def config(name, tmp_path):
    fake_datasets.TREES[name].make(tmp_path)
    return DatasetConfig(name, str(tmp_path), str(tmp_path / "train.txt"))


@pytest.fixture
def frames(name):
    return [-1, 1, "s"] if DATASETS[name].has_stereo else [-1, 1]


def test_every_data_set_has_a_miniature_tree():
    assert set(DATASETS) <= set(fake_datasets.TREES)
    assert set(STEREO) >= {"cityscapes", "folder", "kitti_odometry", "kitti_raw"}


@pytest.mark.parametrize("name", DATASETS)
def test_targets_alone_make_a_batch(name, tmp_path):
    """What learns from a teacher needs no sources; a frame without neighbours will do."""
    fake_datasets.TREES[name].make(tmp_path)
    parts = [DatasetConfig(name, str(tmp_path), str(tmp_path / "train.txt"), missing=m) for m in ("error", "skip")]
    augment = AugmentConfig(flip=1.0, zoom=2.0, jitter=1.0, noise=0.1)
    for data in (build_mix(parts, [], (32, 64)), build_mix(parts, [], (32, 64), augment)):
        assert len(data) == 2 * len(build_reader(parts[0]).targets)
        batch = default_collate([data[0], data[1]])
        assert batch["target"].shape == (2, 3, 32, 64)
        assert batch["sources"].shape == batch["sources_augmented"].shape == (2, 0, 3, 32, 64)
        assert batch["source_valid"].dtype == torch.bool
        assert batch["source_valid"].shape == (2, 0)
        assert 0 <= batch["target"].min() < batch["target"].max() <= 1


@pytest.mark.parametrize("name", RECORDINGS)
def test_samples_make_a_batch(name, config, frames):
    data = build_mix([config], frames, (32, 64))
    batch = default_collate([data[0], data[1]])
    assert batch["target"].shape == (2, 3, 32, 64)
    assert batch["sources"].shape == batch["sources_augmented"].shape == (2, len(frames), 3, 32, 64)
    assert batch["source_valid"].all()
    assert 0 <= batch["target"].min() < batch["target"].max() <= 1
    # fx, cx follow the width (96 to 64), fy, cy the height (64 to 32)
    fx, fy, cx, cy = fake_datasets.TREES[name].camera
    expected = torch.tensor([[fx * 64 / 96, 0, cx * 64 / 96], [0, fy / 2, cy / 2], [0, 0, 1]])
    torch.testing.assert_close(batch["intrinsics"][0], expected)
    assert not torch.equal(batch["target"], batch["sources"][:, 0])


@pytest.mark.parametrize("name", STEREO)
def test_the_right_camera_is_half_a_metre_to_the_right(config):
    data = build_mix([config], ["s"], (64, 96))
    sample = data[0]
    assert sample["stereo_pose"][0, 3] == pytest.approx(-0.5)
    # The right image is the left one, three pixels on (fake_datasets.py): content moves left.
    assert (sample["sources"][0][:, :, :-3] - sample["target"][:, :, 3:]).abs().mean() < 0.03


@pytest.mark.parametrize("name", RECORDINGS)
def test_flipping_twice_changes_nothing(config, frames):
    sample = build_mix([config], frames, (64, 96))[0]
    once = flip_sample(sample)
    assert once["intrinsics"][0, 2] == 96 - 1 - sample["intrinsics"][0, 2]
    assert once["stereo_pose"][0, 3] == -sample["stereo_pose"][0, 3]
    twice = flip_sample(once)
    assert all(torch.equal(twice[key], sample[key]) for key in sample)


@pytest.mark.parametrize("name", RECORDINGS)
def test_augmentation_depends_on_seed_and_epoch_only(config):
    data = build_mix([config], [-1, 1], (64, 96), AugmentConfig(), seed=3)
    again = build_mix([config], [-1, 1], (64, 96), AugmentConfig(), seed=3)
    epochs = [data[1 + epoch * len(data)] for epoch in range(12)]
    for epoch, sample in enumerate(epochs):
        assert torch.equal(sample["target_augmented"], again[1 + epoch * len(data)]["target_augmented"])
    assert len({float(sample["target_augmented"].sum()) for sample in epochs}) > 4
    # All frames of a sample change alike, and the clean twins keep their colours.
    flips = {bool(sample["intrinsics"][0, 2] != epochs[0]["intrinsics"][0, 2]) for sample in epochs}
    assert flips == {True, False}
    clean = build_mix([config], [-1, 1], (64, 96))[1]["target"]
    assert all(torch.equal(s["target"], clean) or torch.equal(s["target"].flip(-1), clean) for s in epochs)


@pytest.mark.parametrize("name", RECORDINGS)
def test_intrinsics_follow_a_zoom(config, frames):
    """The zoomed image shows what its K says: each of its pixels, by both K, is one of the whole image."""
    whole = build_mix([config], frames, (64, 96))[1]
    data = build_mix([config], frames, (64, 96), AugmentConfig(flip=0, jitter=0, zoom=2.0), seed=1)
    samples = [data[1 + draw * len(data)] for draw in range(8)]
    grid = torch.stack([*torch.meshgrid(torch.arange(96.0), torch.arange(64.0), indexing="xy"), torch.ones(64, 96)])
    for sample in samples:
        k = sample["intrinsics"]
        assert k[0, 0] / whole["intrinsics"][0, 0] == pytest.approx(float(k[1, 1] / whole["intrinsics"][1, 1]))
        pixels = torch.einsum("ij,jhw->ihw", whole["intrinsics"] @ torch.linalg.inv(k), grid)[None, :2]
        # K is scaled plainly, so that pixel centres lie half the change of a pixel's size beside it.
        pixels = pixels + 0.5 * (whole["intrinsics"][0, 0] / k[0, 0] - 1)
        for key in ("target", "sources"):
            zoomed, original = (each[key].reshape(1, -1, 64, 96) for each in (sample, whole))
            assert (geometry.sample(original, pixels) - zoomed).abs().mean() < 0.006
        assert torch.equal(sample["stereo_pose"], whole["stereo_pose"])
        assert torch.equal(sample["target"], sample["target_augmented"])
    zooms = {float(sample["intrinsics"][0, 0] / whole["intrinsics"][0, 0]) for sample in samples}
    assert len(zooms) == 8
    assert 1 <= min(zooms) < 1.3 < 1.6 < max(zooms) <= 2


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_missing_neighbour_is_named(name, config):
    origin = build_reader(config).targets[0].origin
    assert origin.endswith("train.txt:1") or origin == config.root  # a reader without a list
    with pytest.raises(InputError, match=f"{re.escape(origin)}: .* misses its neighbour at -2"):
        build_mix([config], [-2], (64, 96))


@pytest.mark.parametrize("name", DATASETS)
def test_an_unknown_option_is_named(config, name):
    wrong = DatasetConfig(name, config.root, config.split, options={"basline": 1})
    valid = [option for option in inspect.signature(DATASETS[name]).parameters if option not in ("root", "split")]
    with pytest.raises(InputError, match=f"has no option 'basline'; it has {', '.join(valid) or 'none'}"):
        build_reader(wrong)


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_folder_is_named(name):
    with pytest.raises(InputError, match="nowhere"):
        build_reader(DatasetConfig(name, "nowhere", "train.txt"))


@pytest.mark.parametrize("name", STEREO)
def test_a_given_baseline_replaces_the_data_sets(config, name):
    own = DatasetConfig(name, config.root, config.split, options={"baseline": 0.1})
    assert build_mix([own], ["s"], (64, 96))[0]["stereo_pose"][0, 3] == pytest.approx(-0.1)
