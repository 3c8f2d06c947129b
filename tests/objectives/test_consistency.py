"""Tests of objectives/consistency.py.

Depths of a wall that is known exactly agree; what moves by itself does not.
"""

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.config import DatasetConfig, NetworkConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import check_objective
from hrdepth.objectives.consistency import depth_consistency
from hrdepth.objectives.view_synthesis import ViewSynthesis

SIZE = (48, 64)
K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])


@pytest.fixture
def wall():
    wall = fake_datasets.Wall()
    places = [np.zeros(3), np.array([0.3, 0.1, 0.5]), np.array([-0.2, 0.0, -0.4])]
    depths = [torch.tensor(wall.depth(K, SIZE, place), dtype=torch.float32)[None, None] for place in places]
    poses = torch.eye(4).repeat(1, 2, 1, 1)
    for index, place in enumerate(places[1:]):
        poses[0, index, :3, 3] = torch.tensor(-place)
    return depths[0], torch.stack(depths[1:], dim=1), torch.tensor(K, dtype=torch.float32)[None], poses


def test_true_depths_are_consistent(wall):
    loss, weight = depth_consistency(*wall, torch.ones(1, 2, dtype=torch.bool))
    assert loss < 1e-3
    assert weight.min() > 0.99
    assert loss > depth_consistency(*wall, torch.tensor([[False, False]])).loss == 0


def test_independently_moving_pixels_have_less_weight(wall):
    depth, others, intrinsics, poses = wall
    moved = others.clone()
    moved[..., 16:32, 20:44] /= 3  # a car, nearer in the sources than a standing one would be
    loss, weight = depth_consistency(depth, moved, intrinsics, poses, torch.ones(1, 2, dtype=torch.bool))
    assert loss > 1e-3
    assert weight[0, 0, 22:26, 30:34].max() < 0.6
    assert weight[0, 0, :10].min() > 0.98
    depth = depth.clone().requires_grad_()
    depth_consistency(depth, moved, intrinsics, poses, torch.ones(1, 2, dtype=torch.bool)).loss.backward()
    assert depth.grad.abs().sum() > 0
    assert not weight.requires_grad


def test_masked_pixels_of_target_or_source_do_not_count(wall):
    depth, others, intrinsics, poses = wall
    mask = torch.ones_like(depth)
    mask[..., :20] = 0
    wrong, theirs = depth.clone().requires_grad_(), others.clone().requires_grad_()
    pair = wrong * torch.where(mask > 0.5, 1.0, 1.5), theirs * torch.where(mask > 0.5, 1.0, 0.8)
    valid = torch.ones(1, 2, dtype=torch.bool)
    loss, weight = depth_consistency(*pair, intrinsics, poses, valid, mask)
    assert loss < 2e-3
    assert weight.min() > 0.9  # by the column that bilinear interpolation reads
    without, weight = depth_consistency(*pair, intrinsics, poses, valid)
    assert without > 0.03
    assert weight.min() < 0.8
    loss.backward()
    assert not wrong.grad[..., :20].any()
    assert not theirs.grad[..., :19].any()
    assert wrong.grad[..., 20:].any()


def test_a_negative_weight_is_refused():
    with pytest.raises(InputError, match="consistency -1 of .* must be 0 or more"):
        check_objective(ObjectiveConfig(options={"consistency": -1.0}))


def test_the_network_runs_once_for_the_target_and_once_for_all_sources(tmp_path):
    fake_datasets.drive(tmp_path)
    data = build_mix([DatasetConfig("folder", str(tmp_path), str(tmp_path / "train.txt"))], [-1, 1], fake_datasets.SIZE)
    batch = default_collate([data[0]])
    network, seen = build_network(NetworkConfig("lite_hrdepth")), []
    network.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    objective = ViewSynthesis(network, build_pose_network(NetworkConfig("posenet")), [-1, 1], consistency=0.1)
    losses = objective(batch).losses
    assert [len(images) for images in seen] == [1, 2]
    assert torch.equal(seen[0], batch["target_augmented"])
    assert losses["loss/consistency"].isfinite()
