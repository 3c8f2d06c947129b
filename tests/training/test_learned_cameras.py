"""Tests of training/cameras.py and networks/intrinsics.py."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.camera import DepthScale, LearnedCamera, choose_camera
from hrdepth.cli import main
from hrdepth.config import AugmentConfig, DatasetConfig, IntrinsicsConfig, LogConfig, ObjectiveConfig
from hrdepth.data import build_mix, mix, open_data
from hrdepth.errors import InputError
from hrdepth.geometry import depth_to_disparity, disparity_to_depth
from hrdepth.inference.runtimes.source import Description, Source
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives import Output
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training import train
from hrdepth.training.cameras import find_learned_cameras
from hrdepth.weights.checkpoint import read_checkpoint
from tiny_training import split

SIZE = (64, 96)


@pytest.fixture
def config(tiny, tmp_path):
    """A run on data of its own, as tests change their cameras."""
    root = Path(shutil.copytree(tiny.train[0].root, tmp_path / "data"))
    return replace(
        tiny,
        train=[split(root, "four")],
        validation=[split(root, "one")],
        objective=ObjectiveConfig(frames=[-1, 1]),
        intrinsics=IntrinsicsConfig("all", separate_fy=True),
    )


def learned(config, augment=None):
    """The table of learned cameras, and the mix of the training."""
    sets = {"train": config.train, "validation": config.validation}
    data = {use: open_data(parts, config.objective.frames) for use, parts in sets.items()}
    cameras, data = find_learned_cameras(config, data)
    return cameras, mix(data["train"], SIZE, augment)


def mark(config, drive="drive"):
    file = Path(config.train[0].root) / drive / "camera.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "learn": True}))


def test_learned_intrinsics_start_at_the_datas_for_every_crop_and_flip(config):
    augment = AugmentConfig(flip=0.5, zoom=2.0, jitter=0.0)
    cameras, training = learned(config, augment)
    batch = default_collate([training[i] for i in range(24)])
    found = cameras(batch["camera"], batch["view"], batch["intrinsics"])
    torch.testing.assert_close(found, batch["intrinsics"], rtol=1e-5, atol=1e-4)
    assert {float(sign) for sign in batch["view"][:, 0, 0].sign()} == {-1.0, 1.0}
    assert (found[:, 0, 0] > 0).all()


def test_intrinsics_of_crops_and_flips_follow_the_learned_camera(config):
    """As if the camera's own file had marked it as learned."""
    augment = AugmentConfig(flip=0.5, zoom=2.0, jitter=0.0)
    cameras, training = learned(config, augment)
    with torch.no_grad():
        cameras.log_focal.copy_(torch.tensor([[0.02, -0.01]]))
        cameras.point.copy_(torch.tensor([[0.03, -0.02]]))
    now = cameras.table()[0]
    file = Path(config.train[0].root) / "drive" / "camera.yaml"
    content = {"width": 96, "height": 64, **{key: getattr(now, key) for key in ("fx", "fy", "cx", "cy")}}
    batch = default_collate([training[i] for i in range(16)])
    file.write_text(yaml.safe_dump(content))
    expected = default_collate([build_mix(config.train, [-1, 1], SIZE, augment)[i] for i in range(16)])["intrinsics"]
    found = cameras(batch["camera"], batch["view"], batch["intrinsics"])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    found[:, 0, 0].sum().backward()
    assert cameras.log_focal.grad[0, 0] > 0
    assert cameras.log_focal.grad[0, 1] == 0


def test_only_marked_cameras_are_learned(config):
    marked = replace(config, intrinsics=IntrinsicsConfig("marked"))
    assert learned(marked)[0] is None
    mark(config)
    root = config.train[0].root
    fake_datasets.drive(Path(root), "known", frames=6)
    both = replace(marked, train=[DatasetConfig("folder", root)], validation=[DatasetConfig("folder", root)])
    cameras, training = learned(both)
    assert [camera.name for camera in cameras.table()] == ["drive"]
    batch = default_collate([training[i] for i in range(len(training))])
    assert set(batch["camera"].tolist()) == {0, -1}
    with torch.no_grad():
        cameras.log_focal.fill_(0.01)
    found = cameras(batch["camera"], batch["view"], batch["intrinsics"])
    known = batch["camera"] < 0
    assert torch.equal(found[known], batch["intrinsics"][known])
    assert (found[~known][:, 0, 0] > batch["intrinsics"][~known][:, 0, 0] * 1.09).all()


def test_each_recording_has_its_own_camera_or_all_share_one(config):
    root = Path(config.train[0].root)
    fake_datasets.drive(root, "second", frames=6)
    part = DatasetConfig("folder", str(root))
    two = replace(config, train=[part], validation=[part], intrinsics=IntrinsicsConfig("all", 60.0))
    table = learned(two)[0].table()
    assert [camera.name for camera in table] == ["drive", "second"]
    assert table[0].fx == pytest.approx(96 / 2 / np.tan(np.radians(30)), rel=1e-5)
    shared = replace(two, intrinsics=IntrinsicsConfig("all", shared=True))
    assert len(learned(shared)[0].table()) == 1
    fake_datasets.drive(root, "third", frames=6, size=(96, 96))
    with pytest.raises(InputError, match="one camera cannot give"):
        learned(shared)


def test_stereo_pairs_alone_cannot_teach_a_camera(config):
    stereo = replace(config, objective=ObjectiveConfig(frames=["s"]))
    with pytest.raises(InputError, match="stereo pairs alone"):
        learned(stereo)
    assert learned(replace(config, objective=ObjectiveConfig("distillation", frames=[])))[0] is None


@pytest.mark.parametrize("bad", [{"learn": "some"}, {"field_of_view": 200.0}, {"learning_rate_factor": 0.0}])
def test_invalid_settings_are_refused(bad):
    with pytest.raises(InputError, match="intrinsics"):
        IntrinsicsConfig(**bad)


def test_a_run_learns_logs_and_saves_the_camera_and_predict_uses_it(config, tmp_path, capsys):
    two = split(Path(config.train[0].root), "two")  # steps, of which the first leaves the camera as it is
    config = replace(
        config,
        train=[two],
        intrinsics=IntrinsicsConfig("all", 60.0, learning_rate_factor=50.0, freeze_steps=1),
        log=LogConfig(1, 0),
        epochs=1,
    )
    best = train(config)
    (camera,) = read_checkpoint(best).cameras
    assert camera.name == "drive"
    assert camera.start == pytest.approx(83.138, abs=0.01)
    assert camera.fx != pytest.approx(camera.start, rel=1e-4)
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"camera/drive/fx", "camera/drive/cy"} <= set(header)
    image = tmp_path / "picture.png"
    fake_datasets.image(0, size=(128, 192)).save(image)
    assert main(["predict", str(image), "--weights", str(best), "--out", str(tmp_path / "out"), "--device=cpu"]) == 0
    with np.load(tmp_path / "out" / "picture.npz") as found:
        np.testing.assert_allclose(found["intrinsics"], camera.intrinsics((128, 192)))
        assert found["intrinsics"][0, 0] == pytest.approx(2 * camera.fx)
    manifest = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert manifest["intrinsics"]["learned"]["name"] == "drive"
    with pytest.raises(InputError, match="has no learned camera 'other'; it has drive"):
        choose_camera(read_checkpoint(best).cameras, "other")
    again = ["predict", str(image), "--weights", str(best), "--out", str(tmp_path / "given"), "--device=cpu"]
    assert main([*again, "--intrinsics", "[100, 100, 96, 64]"]) == 0
    with np.load(tmp_path / "given" / "picture.npz") as found:
        assert found["intrinsics"][0, 0] == 100


def test_an_exported_file_has_no_cameras():
    exported = Source(Description(), suffix=".onnx")
    assert exported.cameras == ()
    assert choose_camera(exported.cameras) is None


class GivenDepth(torch.nn.Module):
    min_depth, max_depth, stride = 0.1, 100.0, 32
    scale = DepthScale()


def turning_wall(focal, angles, size=SIZE):
    """A textured wall seen by a camera that turns in place and steps aside: exact images, depth and poses."""
    height, width = size
    y, x = np.mgrid[:height, :width].astype(float)
    rays = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones(size)], -1)
    images, poses = [], []
    for number, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        place = np.array([0.05 * number, 0.0, 0.0])
        world = rays @ turn.T
        slope = np.array([0.6, 0.5, 1.0])  # near on one side, far on the other: a step aside is no turn
        scale = (4.0 - place @ slope) / (world @ slope)
        points = place + scale[..., None] * world
        waves = np.array([[5.0, 2.0], [-2.0, 4.5], [3.5, -3.5]])
        images.append(torch.from_numpy(0.5 + 0.35 * np.sin(points[..., :2] @ waves.T)).float().permute(2, 0, 1))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, place
        poses.append((pose, torch.from_numpy(scale).float()))
    return images, poses


@pytest.mark.slow
def test_a_rotating_camera_determines_its_focal_length():
    """Pose and K together, by the loss of training, from a start that is 30 % off; depth is given."""
    focal = 80.0
    images, truth = turning_wall(focal, np.radians([0, 6, -2, 5, -3]))
    count = len(images) - 2
    camera = LearnedCamera("wall", SIZE, 1.3 * focal, 1.3 * focal, SIZE[1] / 2, SIZE[0] / 2, 1.3 * focal)
    cameras = LearnedIntrinsics([camera], principal_point=False)
    objective = ViewSynthesis(GivenDepth(), torch.nn.Identity(), frames=(-1, 1), auto_mask=False, scales=(0,),
                              cameras=cameras)  # fmt: skip
    depths = torch.stack([depth for _, depth in truth[1:-1]])[:, None]
    batch = {
        "target": torch.stack(images[1:-1]),
        "sources": torch.stack([torch.stack(images[:-2]), torch.stack(images[2:])], dim=1),
        "source_valid": torch.ones(count, 2, dtype=torch.bool),
        "intrinsics": torch.eye(3).expand(count, 3, 3),
        "camera": torch.zeros(count, dtype=torch.int64),
        "view": torch.diag(torch.tensor([96.0, 64.0, 1.0])).expand(count, 3, 3),
    }
    from hrdepth.geometry import pose_matrix

    motion = torch.zeros(2 * count, 6, requires_grad=True)
    optimiser = torch.optim.Adam([{"params": [motion], "lr": 5e-3}, {"params": cameras.parameters(), "lr": 2e-3}])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 120)
    disparity = depth_to_disparity(depths)
    torch.testing.assert_close(disparity_to_depth(disparity), depths, rtol=1e-3, atol=1e-3)
    for _ in range(120):
        poses = pose_matrix(motion[:, :3], motion[:, 3:]).view(count, 2, 4, 4)
        loss = objective.losses(Output({0: disparity}, poses, objective.current_intrinsics(batch)), batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    assert cameras.table()[0].fx == pytest.approx(focal, rel=0.05)
