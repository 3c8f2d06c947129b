"""`objectives/supervised.py`: the losses of true depth, which samples learn from what, and the data that it needs."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.camera import DepthScale
from hrdepth.config import AugmentConfig, DatasetConfig, ObjectiveConfig
from hrdepth.data import build_mix, build_reader
from hrdepth.data.layers import Depth, Frames, Objects
from hrdepth.data.sample import SizedItem
from hrdepth.errors import InputError
from hrdepth.losses import gradient_loss, log_ratio_loss
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from hrdepth.training import train
from hrdepth.training.log import training_panel
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK
from tiny_training import split, tiny_training

K = torch.tensor([[[0.58 * 8, 0, 4], [0, 4, 4], [0, 0, 1]]])


class Fixed(nn.Module):
    """A network whose disparity gives the depth (B,1,H,W)."""

    min_depth, max_depth = 0.1, 100.0

    def __init__(self, depth, canonical_focal=None):
        super().__init__()
        self.scale = DepthScale(canonical_focal=canonical_focal)
        self.disparity = nn.Parameter((1 / depth - 0.01) / 9.99)

    def forward(self, image):
        return {0: self.disparity[: len(image)]}


def supervised(depth, options=None, canonical_focal=None, **other):
    config = ObjectiveConfig("supervised", [], {**(options or {}), **other})
    objective = build_objective(config, build_network(NETWORK), None)
    objective.network = Fixed(depth, canonical_focal)
    return objective


def batch_of(depth):
    image = torch.zeros(len(depth), 3, *depth.shape[-2:])
    return {"target": image, "target_augmented": image, "intrinsics": K.expand(len(depth), 3, 3), "depth": depth}


def test_exact_depth_costs_nothing_and_a_factor_costs_its_logarithm():
    true = torch.rand(2, 1, 8, 8) * 20 + 2
    losses = supervised(true)(batch_of(true)).losses
    assert all(value.item() == pytest.approx(0, abs=1e-4) for value in losses.values())
    losses = supervised(true * 1.5)(batch_of(true)).losses
    assert losses["loss/scale"].item() == pytest.approx(math.log(1.5), abs=1e-4)
    assert losses["loss/depth"].item() == pytest.approx(0, abs=1e-4)
    assert losses["loss/gradients"].item() == pytest.approx(0, abs=1e-4)


def test_the_deviation_is_from_each_image_s_median():
    difference = torch.tensor([[[[0.0, 1.0, 5.0]]], [[[2.0, 2.0, 2.0]]]])
    known = torch.ones_like(difference, dtype=torch.bool)
    deviation, median = log_ratio_loss(difference, known)
    assert deviation.item() == pytest.approx(((1 + 0 + 4) / 3 + 0) / 2)
    assert median.item() == pytest.approx((1 + 2) / 2)
    known[0] = False
    assert [value.item() for value in log_ratio_loss(difference, known)] == [0.0, 2.0]
    assert [value.item() for value in log_ratio_loss(difference, known & False)] == [0.0, 0.0]


def test_gradients_are_those_between_known_neighbours_at_four_scales():
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 1.0  # one step a row, at every scale
    known = torch.ones_like(step, dtype=torch.bool)
    assert gradient_loss(step, known).item() == pytest.approx(1 / 15 + 1 / 7 + 1 / 3 + 1)
    known[..., 8] = False  # the far side of the step, which every scale sees
    assert gradient_loss(step, known).item() == 0


def test_sky_is_taught_as_far_and_unknown_pixels_teach_nothing():
    depth = torch.full((1, 1, 8, 8), 10.0)
    true = depth.clone()
    true[..., :4, :] = torch.inf
    true[..., 6:, :] = 0
    objective = supervised(depth)
    output = objective(batch_of(true))
    assert output.losses["loss/sky"].item() == pytest.approx(math.log(50 / 10) / 2, rel=1e-3)
    output.loss.backward()
    gradient = objective.network.disparity.grad
    assert (gradient[..., :4, :] > 0).all(), "descending makes the disparity smaller"
    assert not gradient[..., 6:, :].any()


def test_depth_is_that_of_the_canonical_camera():
    true = torch.full((1, 1, 8, 8), 10.0)
    # The camera's focal length is twice the canonical one, so that everything looks twice as near.
    objective = supervised(true / 2, canonical_focal=0.29)
    assert objective(batch_of(true)).losses["loss/scale"].item() == pytest.approx(0, abs=1e-4)


def test_samples_without_depth_learn_from_the_other_objective_alone(tmp_path):
    torch.manual_seed(1)
    teacher = build_network(NETWORK)
    save_checkpoint(tmp_path / "teacher.safetensors", teacher, NETWORK, size=(64, 96))
    other = {"name": "distillation", "options": {"teacher": str(tmp_path / "teacher.safetensors"), "norm": "log-l1"}}
    true = torch.rand(2, 1, 64, 96) * 20 + 2
    batch = batch_of(true.clone())
    batch["depth"][1] = 0
    batch["target"] = batch["target_augmented"] = torch.rand(2, 3, 64, 96)
    objective = supervised(true * 1.5, other=other, other_weight=2.0)
    objective.other.network = objective.network
    objective.other.scales = (0,)
    output = objective(batch)
    alone = objective.other.losses(output.rows(torch.tensor([False, True])),
                                   {key: value[1:] for key, value in batch.items()})["loss"]  # fmt: skip
    assert output.losses["loss/other"].item() == pytest.approx(alone.item())
    depth_part = 0.2 * math.log(1.5)
    assert output.loss.item() == pytest.approx(0.5 * depth_part + 2.0 * 0.5 * alone.item(), rel=1e-3)
    objective.other_with_depth = True
    both = objective.other.losses(output, batch)["loss"]
    assert objective(batch).loss.item() == pytest.approx(0.5 * depth_part + 2.0 * both.item(), rel=1e-3)


@pytest.fixture
def mixed(tmp_path):
    """A drive with depth, and one without."""
    fake_datasets.drive(tmp_path / "rendered", stereo=False)
    fake_datasets.drive(tmp_path / "real", stereo=False)
    for file in (tmp_path / "real" / "drive" / "depth").iterdir():
        file.unlink()
    return split(tmp_path / "rendered"), split(tmp_path / "real")


@pytest.mark.filterwarnings("ignore")
def test_a_training_mixes_frames_with_depth_and_frames_without(tmp_path, mixed):
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "teacher.safetensors", build_network(NETWORK), NETWORK, size=(64, 96),
                    canonical_focal=0.58)  # fmt: skip
    options = {"teacher": str(tmp_path / "teacher.safetensors"), "cache": str(tmp_path / "maps"), "norm": "log-l1",
               "block": 16, "teacher_aspect": True, "teacher_mirrored": True}  # fmt: skip
    objective = ObjectiveConfig("supervised", [], {"other": {"name": "distillation", "options": options}})
    config = tiny_training(tmp_path / "run", *mixed, objective=objective, sizes=[(64, 64), (96, 64)],
                           augment=AugmentConfig(crop=True, zoom=1.3), canonical_focal=0.58, epochs=1)  # fmt: skip
    found = read_checkpoint(train(config))
    assert found.scale.metres_per_unit == 1.0
    assert found.size == (64, 96)
    assert len(list((tmp_path / "maps").rglob("*.npy"))) == 4, "of the drive without depth alone"
    log = (tmp_path / "run" / "metrics.csv").read_text()
    assert "train/loss/depth" in log
    assert "train/loss/other" in log


def half_with_depth(folder):
    """A drive of which every second frame has depth."""
    fake_datasets.drive(folder, stereo=False)
    for file in sorted((folder / "drive" / "depth").iterdir())[1::2]:
        file.unlink()
    return split(folder)


@pytest.mark.filterwarnings("ignore")
def test_frames_of_one_data_set_learn_true_depth_or_from_the_teacher(tmp_path):
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "teacher.safetensors", build_network(NETWORK), NETWORK, size=(64, 96))
    given = {"teacher": str(tmp_path / "teacher.safetensors"), "cache": str(tmp_path / "maps"), "norm": "log-l1"}
    objective = ObjectiveConfig("supervised", [], {"other": {"name": "distillation", "options": given}})
    config = tiny_training(tmp_path / "run", half_with_depth(tmp_path / "data"), objective=objective)
    learner = build_objective(objective, build_network(NETWORK), None).eval()
    neighbours = build_mix(config.train, [], (64, 96)).datasets[0].neighbours
    layers = learner.layers(config, [neighbours], torch.device("cpu"))
    lines = neighbours.reader.targets
    known = [neighbours.reader.depth(line) is not None for line in lines]
    assert set(known) == {True, False}
    assert len(list((tmp_path / "maps").rglob("*.npy"))) == known.count(False)
    samples = build_mix(config.train, [], (64, 96), layers=layers)
    for item, has_depth in enumerate(known):
        assert samples[item]["teacher"].isnan().all() == has_depth
        assert (samples[item]["depth"] > 0).any() == has_depth
    batch = default_collate([samples[item] for item in range(len(known))])
    taught = torch.tensor(known) == 0
    rows = {name: value[taught] for name, value in batch.items()}
    losses = learner(batch).losses
    assert losses["loss/other"].item() == pytest.approx(learner.other(rows).loss.item(), rel=1e-5)
    # A crop of sparse depth may hold none of it: there is nothing to learn then.
    batch["depth"] = torch.zeros_like(batch["depth"])
    assert learner(batch).losses["loss/other"].item() == pytest.approx(learner.other(rows).loss.item(), rel=1e-5)


def test_a_layer_that_is_not_read_knows_nothing():
    frames = Frames(None, None, None, [None, None], None)
    assert Objects().unknown(frames, (4, 6)).shape == (3, 4, 6)
    assert Objects().unknown(frames, (4, 6)).dtype == torch.int64
    assert Depth(1.0).unknown(frames, (4, 6)).sum() == 0


@pytest.mark.parametrize(
    ("options", "frames", "metres"),
    [({}, [], True), ({"scale": 0}, [], False), ({"scale": 0, "other": {"name": "view_synthesis"}}, [-1, 1], False),
     ({"scale": 0, "other": {"name": "view_synthesis"}}, ["s"], True)],
)  # fmt: skip
def test_metres_are_claimed_only_where_a_loss_settles_them(options, frames, metres, caplog):
    network, pose_network = build_network(NETWORK), build_pose_network(POSE_NETWORK) if frames else None
    network.scale = replace(network.scale, metres_per_unit=1.0)
    learner = build_objective(ObjectiveConfig("supervised", frames, options), network, pose_network)
    assert (learner.network.scale.metres_per_unit == 1.0) == metres
    assert ("metres_per_unit 1 is left out" in caplog.text) != metres


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scan", ["quick", "off"])
def test_frames_with_depth_train_without_neighbours(tmp_path, mixed, scan):
    for number in (1, 3):  # 2 and 4 lack both neighbours, 0 and 5 are no targets
        (tmp_path / "rendered" / "drive" / "left" / f"{number:06d}.png").unlink()
    (tmp_path / "rendered" / "drive" / "left" / "000005.png").unlink()
    (tmp_path / "rendered" / "train.txt").write_text("drive 2 l\ndrive 4 l\n")
    np.save(tmp_path / "rendered" / "drive" / "depth" / "000002.npy", np.zeros(fake_datasets.SIZE, np.float32))
    options = {"other": {"name": "view_synthesis", "options": {"scales": [0]}}, "other_with_depth": True}
    alone, with_others = (replace(part, missing="skip") for part in mixed)
    objective = ObjectiveConfig("supervised", [-1, 1], options)
    config = tiny_training(tmp_path / "run", alone, with_others, objective=objective, epochs=1, scan=scan)
    train(config)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["samples"]["train"] == 6
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    losses = [float(value) for row in rows for key, value in row.items() if "loss" in key and value]
    assert losses
    assert np.isfinite(losses).all()


def test_view_synthesis_is_masked_where_a_frame_with_depth_has_no_source():
    options = {"other": {"name": "view_synthesis", "options": {"scales": [0]}}, "other_with_depth": True}
    networks = build_network(NETWORK), build_pose_network(POSE_NETWORK)
    objective = build_objective(ObjectiveConfig("supervised", [-1], options), *networks)
    batch = batch_of(torch.rand(2, 1, 64, 96) * 20 + 2)
    batch |= {"target": torch.rand(2, 3, 64, 96), "target_augmented": torch.rand(2, 3, 64, 96)}
    batch["sources"] = batch["sources_augmented"] = torch.rand(2, 1, 3, 64, 96)
    batch |= {"source_valid": torch.tensor([[True], [False]]), "stereo_pose": torch.eye(4).expand(2, 4, 4)}
    torch.manual_seed(0)
    output = objective(batch)
    assert output.loss.isfinite()
    torch.manual_seed(0)
    first = objective.other.losses(output.rows(torch.tensor([True, False])), {key: v[:1] for key, v in batch.items()})
    assert output.losses["loss/other"].item() == pytest.approx(first["loss"].item(), rel=1e-3)
    # Without any source, and without depth: nothing to learn, but a gradient of 0.
    batch["source_valid"][:] = False
    batch["depth"][0] = 0
    losses = objective(batch).losses
    assert "loss/depth" in losses
    assert "loss/other" not in losses
    batch["depth"][:] = 0
    objective(batch).loss.backward()
    assert all(weight.grad is None or not weight.grad.any() for weight in objective.parameters())


def test_data_without_any_depth_are_refused(tmp_path, mixed):
    config = tiny_training(tmp_path / "run", mixed[1], objective=ObjectiveConfig("supervised", []))
    with pytest.raises(InputError, match="needs data with depth, and no data set of the run has any"):
        train(config)


def test_data_without_depth_beside_some_with_it_are_warned_of(tmp_path, mixed, caplog):
    objective = build_objective(ObjectiveConfig("supervised", []), build_network(NETWORK), None)
    config = tiny_training(tmp_path / "run", *mixed)
    sets = [part.neighbours for part in build_mix(list(mixed), [], (64, 96)).datasets]
    objective.layers(config, sets, torch.device("cpu"))
    assert "drive 1 l has no depth, so that nothing is learned from it" in caplog.text


def test_metres_have_to_be_known_where_a_weights_file_is_the_start(tmp_path, mixed):
    save_checkpoint(tmp_path / "start.safetensors", build_network(NETWORK), NETWORK, size=(64, 96))
    config = tiny_training(tmp_path / "run", mixed[0], objective=ObjectiveConfig("supervised", []),
                           init=str(tmp_path / "start.safetensors"))  # fmt: skip
    with pytest.raises(InputError, match="true depth is in metres: set metres_per_unit to that of the weights file"):
        train(config)


def test_sources_without_an_objective_that_uses_them_are_refused(tmp_path, mixed):
    config = tiny_training(tmp_path / "run", mixed[0], objective=ObjectiveConfig("supervised", [-1, 1]))
    with pytest.raises(InputError, match="true depth alone uses no sources"):
        train(config)


class TestDepthLayer:
    """The plane `depth` of samples, which `data.layers.Depth` reads from a drive's `depth` folder."""

    def sample(self, root, size=(64, 96), augment=None, units=1.0, item=0):
        config = DatasetConfig("folder", str(root), str(root / "train.txt"))
        return build_mix([config], [], size, augment, layers=[Depth(units)])[item]

    def test_it_is_in_network_units_and_follows_the_image(self, tmp_path):
        root = fake_datasets.drive(tmp_path, stereo=False)
        rows = np.linspace(50, 4, 64, dtype=np.float32)
        np.testing.assert_allclose(self.sample(root)["depth"][0, :, 5], rows)
        np.testing.assert_allclose(self.sample(root, units=2.0)["depth"][0, :, 5], rows / 2)
        np.testing.assert_allclose(self.sample(root, size=(32, 96))["depth"][0, :, 5], rows[1::2])
        depth = np.arange(64 * 96, dtype=np.float32).reshape(64, 96) + 1
        np.save(root / "drive" / "depth" / "000001.npy", depth)
        flipped = self.sample(root, augment=AugmentConfig(flip=1.0, jitter=0))
        np.testing.assert_allclose(flipped["depth"][0], depth[:, ::-1])

    def test_a_sensor_s_gaps_are_unknown_and_a_rendered_drive_s_are_sky(self, tmp_path):
        root = fake_datasets.drive(tmp_path, stereo=False)
        depth = np.full((64, 96), 5.0, np.float32)
        depth[0, 0], depth[0, 1], depth[0, 2] = 0, np.nan, np.inf
        np.save(root / "drive" / "depth" / "000001.npy", depth)
        assert self.sample(root)["depth"][0, 0, :4].tolist() == [0, 0, math.inf, 5]
        (root / "drive" / "manifest.json").write_text('{"render": {"seed": 0}}')
        assert self.sample(root)["depth"][0, 0, :4].tolist() == [math.inf, math.inf, math.inf, 5]

    def test_a_16_bit_png_holds_metres_by_256(self, tmp_path):
        root = fake_datasets.drive(tmp_path, stereo=False)
        (root / "drive" / "depth" / "000001.npy").unlink()
        Image.fromarray(np.full((64, 96), 1280, np.uint16)).save(root / "drive" / "depth" / "000001.png")
        assert (self.sample(root)["depth"] == 5).all()

    def test_a_map_of_another_shape_is_refused(self, tmp_path):
        root = fake_datasets.drive(tmp_path, stereo=False)
        np.save(root / "drive" / "depth" / "000001.npy", np.ones((64, 64), np.float32))
        with pytest.raises(InputError, match="has 64x64 pixels, which is another shape than that of its camera"):
            self.sample(root)

    def test_a_damaged_map_is_named(self, tmp_path):
        root = fake_datasets.drive(tmp_path, stereo=False)
        (root / "drive" / "depth" / "000001.npy").write_bytes(b"\x93NUMPY")
        with pytest.raises(InputError, match=r"the depth map .*000001.npy cannot be read"):
            self.sample(root)

    def test_kitti_s_laser_scans_are_depth(self, tmp_path):
        root = fake_datasets.kitti_raw(tmp_path)
        reader = build_reader(DatasetConfig("kitti_raw", str(root), str(root / "train.txt")))
        assert not reader.has_depth()
        assert not reader.has_depth_of(reader.targets[0])
        assert reader.depth(reader.targets[0]) is None


def test_batches_have_one_of_several_sizes_each(tmp_path):
    root = fake_datasets.drive(tmp_path, stereo=False)
    config = DatasetConfig("folder", str(root), str(root / "train.txt"))
    augment = AugmentConfig(crop=True, flip=0, jitter=0)
    data = build_mix([config], [], (64, 96), augment, layers=[Depth(1.0)])
    sample = data[SizedItem(0, (64, 64))]
    assert sample["target"].shape == (3, 64, 64)
    assert sample["depth"].shape == (1, 64, 64)
    # A third of the width is cut off, and pixels stay square as they were.
    assert sample["intrinsics"][0, 0].item() == pytest.approx(55.0)
    assert sample["intrinsics"][1, 1].item() == pytest.approx(60.0)
    squashed = replace(augment, crop=False)
    sample = build_mix([config], [], (64, 64), squashed)[0]
    assert sample["intrinsics"][0, 0].item() == pytest.approx(55.0 * 64 / 96)


def test_the_panel_draws_true_depth_as_it_draws_disparity():
    disparity = torch.linspace(0.1, 0.9, 24).view(1, 1, 4, 6)
    panel = training_panel({"target": torch.zeros(1, 3, 4, 6), "disparity": disparity, "depth": disparity})
    np.testing.assert_array_equal(panel[4:8], panel[8:])
    assert np.ptp(panel[4:8], axis=-1).any()  # in colours
