"""Tests of check/diagnosis.py and check/recording_faults.py.

Each cause is provoked in a short real run, and named first; clean runs stay silent.
"""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import GuardConfig, NetworkConfig, ObjectiveConfig, OptimiserConfig
from hrdepth.errors import InputError, TrainingStopped
from hrdepth.training import build_training_objective, train
from hrdepth.training.guard import diagnose_run
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_training import split, tiny_training

POSE = NetworkConfig("posenet", {"backbone": "mobilenetv3_small_100"})
SIZE = (64, 96)
STEP, SHIFT = 2, 4  # pixels between neighbours, and between left and right
LITE = NetworkConfig("lite_hrdepth")  # its disparity is not constant from the start on, as the small one's is


def wall(length=2000):
    fine = np.random.default_rng(0).integers(20, 235, (SIZE[0] // 4, length // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(fine).resize((length, SIZE[0]), Image.Resampling.BICUBIC))


def drive(root, step=STEP, shift=SHIFT, noise=1.0, **camera):
    """A rectified stereo pair that moves sideways along a wall."""
    random, image = np.random.default_rng(1), wall()
    for number in range(10):
        for side, offset in (("left", 0), ("right", shift)):
            start = 20 + step * number + offset
            pixels = image[:, start : start + SIZE[1]] + random.normal(0, noise, (*SIZE, 3))
            fake_datasets.save(
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), root / "a" / side / f"{number:06d}.png"
            )
    content = {"width": 96, "height": 64, "fx": 60.0, "fy": 60.0, "cx": 47.5, "cy": 31.5, "baseline": 0.5} | camera
    (root / "a" / "camera.yaml").write_text(yaml.safe_dump(content))
    (root / "train.txt").write_text("".join(f"a {number} l\n" for number in range(1, 9)))
    (root / "one.txt").write_text("a 4 l\n")
    return root


def config(root, *, frames=(-1, 1, "s"), rate=1e-4, epochs=2, guard=None, **options):
    return tiny_training(
        root / "run",
        split(root),
        validation=[split(root, "one")],
        objective=ObjectiveConfig(frames=list(frames), options=options),
        optimiser=OptimiserConfig(rate),
        guard=guard or GuardConfig(warmup_steps=4),
        batch_size=4,
        epochs=epochs,
        scan="off",
    )


def brief(root, **options):
    """Four steps at one scale: as many as the warm-up has, so that the networks are judged too."""
    return replace(config(root, epochs=1, scales=[0], **options), batch_size=2)


def causes(root):
    return [cause["name"] for cause in json.loads((root / "run" / "diagnosis.json").read_text())["causes"]]


def test_a_clean_run_has_no_findings(tmp_path, caplog, capsys):
    with caplog.at_level(logging.WARNING):
        train(replace(brief(drive(tmp_path)), network=LITE))
    assert causes(tmp_path) == []
    assert not [record for record in caplog.records if "cause" in record.message]
    assert main(["diagnose", str(tmp_path / "run")]) == 0
    assert "no cause of failure found" in capsys.readouterr().out


FAULTS = {
    "wrong K": {"cx": 90.0, "cy": 60.0},  # of an image of twice the size
    "swapped stereo": {"shift": -SHIFT},
    "frame rate too high": {"step": 0},
    "frame rate too low": {"step": 60},
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_recording_is_named_first(name, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        train(brief(drive(tmp_path, **FAULTS[name]), frames=(-1, "s")))
    assert causes(tmp_path)[0] == name
    found = [record.message for record in caplog.records if "probable cause" in record.message]
    assert len(found) == 1
    assert found[0].startswith(f"probable cause: {name}: ")
    assert {cause for cause in causes(tmp_path) if cause in FAULTS} == {name}


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 192), (128, 64)], ids=["squeezed", "tall"])
def test_pixels_are_square_at_the_cameras_own_size(tmp_path, size):
    """An image of another aspect ratio than the samples has a right K; what is wrong is found behind it."""
    train(replace(config(drive(tmp_path, step=0), frames=(-1, 1)), size=size, network=LITE))
    assert causes(tmp_path)[0] == "frame rate too high"
    assert "wrong K" not in causes(tmp_path)


def test_pixels_that_are_not_square_at_the_cameras_own_size_are_named(tmp_path):
    train(brief(drive(tmp_path, fy=90.0), frames=(-1, "s")))
    assert causes(tmp_path)[0] == "wrong K"


@pytest.mark.slow
def test_the_guard_names_the_cause(tmp_path):
    """The pose explodes by its learning rate; swapped stereo images are named first."""
    guard = GuardConfig(patience=5)
    with pytest.raises(TrainingStopped, match="translation of the pose network explodes") as stopped:
        train(config(drive(tmp_path), rate=0.03, epochs=30, guard=guard))
    assert "probable cause" not in str(stopped.value)
    assert diagnose_run(tmp_path / "run")[0].kind == "exploding pose"
    swapped = tmp_path / "swapped"
    with pytest.raises(TrainingStopped, match="probable cause: swapped stereo: in 8 of 8 samples"):
        train(config(drive(swapped, shift=-SHIFT), rate=0.03, epochs=30, guard=guard))


@pytest.mark.slow
def test_constant_disparity_is_diagnosed(tmp_path):
    """Smoothness outweighs the images."""
    train(
        config(
            drive(tmp_path), frames=("s",), rate=3e-3, epochs=10, smoothness=1e4,
            guard=GuardConfig(min_spread=0.0, warmup_steps=4),
        )  # the right image alone: at this rate a pose may explode too
    )  # fmt: skip
    found = causes(tmp_path)
    assert found[0] == "constant disparity", found


@pytest.mark.slow
def test_a_fully_masked_loss_follows_from_a_static_camera(tmp_path):
    train(replace(config(drive(tmp_path, step=0, noise=0.0), frames=[-1, 1]), network=LITE))
    assert causes(tmp_path) == ["frame rate too high", "all mask"]


@pytest.mark.slow
def test_a_fully_masked_loss_follows_from_a_wrong_pose_network(tmp_path):
    """The scene moves, and the pose network has lost its way: no view is better than the unmoved one."""
    weights = tmp_path / "lost.safetensors"
    settings = replace(config(drive(tmp_path), frames=[-1, 1]), network=LITE, pose_network=POSE)
    objective = build_training_objective(settings)
    with torch.no_grad():
        for weight in objective.pose_network.parameters():
            weight.mul_(1.5)
    save_checkpoint(weights, objective.network, settings.network, size=SIZE, pose_network=objective.pose_network,
                    pose_network_config=POSE)  # fmt: skip
    train(replace(settings, init=str(weights)))
    assert "all mask" in causes(tmp_path), causes(tmp_path)


def test_folders_without_a_run_are_refused(tmp_path, capsys):
    assert main(["diagnose", str(tmp_path)]) == 2
    assert "no run's folder" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("size: nonsense\n")
    with pytest.raises(InputError, match="holds no training's settings"):
        diagnose_run(tmp_path)
    train(brief(drive(tmp_path / "b"), frames=("s",)))
    for name in ("last", "best"):
        (tmp_path / "b" / "run" / f"{name}.safetensors").unlink()
    with pytest.raises(InputError, match="no weights yet"):
        diagnose_run(tmp_path / "b" / "run")
    assert torch.is_grad_enabled()
