"""Tests of training/setup.py with cameras of several focal lengths.

Two cameras in one training, zoomed, with depth in one canonical focal length, from the config to the weights.
"""

import logging
from dataclasses import replace

import pytest
import torch

import fake_datasets
from hrdepth.config import AugmentConfig, LogConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.training import build_training_objective, train
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK
from tiny_training import split, tiny_training


@pytest.fixture
def config(tmp_path):
    """A short lens without a right image, and a long one with it, of another size."""
    wall, parts = fake_datasets.Wall(), []
    for name, size, focal, stereo in (("short", (96, 128), 70.0, False), ("long", (128, 192), 200.0, True)):
        root = wall.drive(tmp_path / name, size=size, focal=focal, stereo=stereo)
        parts.append(split(root))
    return tiny_training(
        tmp_path / "run",
        *parts,
        objective=ObjectiveConfig(frames=[-1, 1, "s"]),
        augment=AugmentConfig(zoom=1.6, grey=0.2, blur=0.3, noise=0.02),
        log=LogConfig(every_steps=1, panels_every_steps=2, panels=1),
        batch_size=3,
        epochs=1,
        canonical_focal=0.8,
    )


def test_each_sample_has_its_own_k(config):
    mix = build_mix(config.train, config.objective.frames, config.size)
    focal_lengths = [float(mix[item]["intrinsics"][0, 0]) for item in range(6)]
    assert focal_lengths == pytest.approx([70 * 96 / 128] * 3 + [200 * 96 / 192] * 3)
    zoomed = build_mix(config.train, config.objective.frames, config.size, config.augment)
    for item in range(6, 24):
        sample, index = zoomed[item], item % 6
        zoom = float(sample["intrinsics"][0, 0]) / focal_lengths[index]
        assert 1 <= zoom <= 1.6 * (1 + 1e-6)
        height_ratio = sample["intrinsics"][1, 1] / mix[index]["intrinsics"][1, 1]
        assert float(height_ratio) == pytest.approx(zoom, rel=1e-5)
        assert sample["source_valid"].tolist() == [True, True, index >= 3]
        assert abs(float(sample["stereo_pose"][0, 3])) == pytest.approx(0.5 if index >= 3 else 0.0)


def test_mixed_cameras_train_together_and_the_weights_store_the_canonical_focal_length(config, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        best = train(config)
    assert not [record for record in caplog.records if "canonical_focal" in record.message]
    checkpoint = read_checkpoint(best)
    assert checkpoint.scale.canonical_focal == 0.8
    assert all(torch.isfinite(value).all() for value in checkpoint.network.state_dict().values())
    assert build_training_objective(replace(config, init=str(best))).network.scale.canonical_focal == 0.8
    for other in (0.6, None):
        with pytest.raises(InputError, match=rf"canonical_focal 0\.8, the run has {other or 'none'}; set .* to 0\.8"):
            build_training_objective(replace(config, init=str(best), canonical_focal=other))


def test_weights_without_a_canonical_camera_may_initialise_any_run(config, tmp_path):
    save_checkpoint(tmp_path / "net.safetensors", build_network(NETWORK), NETWORK, size=(64, 96))
    objective = build_training_objective(replace(config, init=str(tmp_path / "net.safetensors")))
    assert objective.network.scale.canonical_focal == 0.8


def test_a_zoom_without_a_canonical_focal_length_gives_a_warning(config, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="no data set"):
        train(replace(config, canonical_focal=None, train=[]))
    assert "the size of objects no longer determines their depth" in caplog.text


@pytest.mark.parametrize("focal", [721.5, 0.0, -0.6, float("nan")])
def test_a_canonical_focal_length_not_in_image_widths_is_refused(config, focal):
    with pytest.raises(InputError, match="a focal length in image widths, such as 0.58"):
        train(replace(config, canonical_focal=focal))
