"""Tests of objectives/agreement.py, and of how a teacher and view synthesis share an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import corridor
import fake_datasets
from hrdepth.camera import DepthScale
from hrdepth.config import ObjectiveConfig
from hrdepth.data.layers import Objects
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.objectives import Output, build_objective
from hrdepth.objectives.agreement import photometric_agreement
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.teachers import Meaning, Teacher
from hrdepth.teachers.labelling import create_labels
from tiny_networks import NETWORK

HEIGHT, WIDTH = corridor.SIZE


def sigmoid(inverse_depth):
    scale = DepthScale()
    low, high = 1 / scale.max_depth, 1 / scale.min_depth
    return ((inverse_depth - low) / (high - low)).clamp(0, 1)


@pytest.fixture(scope="module")
def pair():
    """A stereo pair of the corridor with its exact 1/depth, (1,1,H,W)."""
    (left, depth), (right, _) = corridor.view(0), corridor.view(0, right=True)
    left, right = (torch.from_numpy(np.stack([view] * 3)).float()[None] / 255 for view in (left, right))
    pose = torch.eye(4)[None]
    pose[0, 0, 3] = -corridor.BASELINE
    batch = {
        "target": left, "sources": right[:, None], "source_valid": torch.ones(1, 1, dtype=torch.bool),
        "intrinsics": torch.from_numpy(corridor.intrinsics()).float()[None], "stereo_pose": pose,
    }  # fmt: skip
    return batch, 1 / torch.from_numpy(depth).float()[None, None]


def agreement(batch, student, teacher, norm="l1"):
    torch.manual_seed(0)
    synthesis = ViewSynthesis(build_network(NETWORK), None, ["s"])
    output = Output({0: student}, batch["stereo_pose"][:, None], batch["intrinsics"])
    return photometric_agreement(synthesis, output, batch, teacher, norm)


def test_a_teacher_that_explains_the_other_image_is_believed(pair):
    batch, inverse = pair
    assert agreement(batch, sigmoid(inverse), sigmoid(inverse)).min() == 1
    # A better teacher than the student is believed too.
    assert agreement(batch, sigmoid(1.5 * inverse), sigmoid(inverse)).mean() > 0.98


@pytest.mark.parametrize("norm", ["l1", "affine"])
def test_where_its_depth_is_wrong_it_is_not_believed(pair, norm):
    batch, inverse = pair
    wrong = inverse.clone()
    wrong[:, :, 60:, 96:160] += 0.2  # the road, much nearer than it is
    target = sigmoid(wrong) if norm == "l1" else 3 * wrong - 0.1  # an affine map has any scale and shift
    found = agreement(batch, sigmoid(inverse), target, norm)[0, 0]
    assert found[64:, 100:156].mean() < 0.5
    assert found[:50].mean() > 0.9


@pytest.mark.parametrize("norm", ["scale", "affine"])
def test_pixels_without_a_value_do_not_change_the_teachers_scale(pair, norm):
    batch, inverse = pair
    known = torch.ones_like(inverse, dtype=torch.bool)
    known[..., : int(0.6 * WIDTH)] = False
    target = sigmoid(0.5 * inverse) * known
    torch.manual_seed(0)
    synthesis = ViewSynthesis(build_network(NETWORK), None, ["s"])
    output = Output({0: sigmoid(inverse)}, batch["stereo_pose"][:, None], batch["intrinsics"])
    found = photometric_agreement(synthesis, output, batch, target, norm, known)
    assert found[known].mean() > 0.98


def test_where_view_synthesis_cannot_judge_the_teacher_is_believed(pair):
    batch, inverse = pair
    still = {**batch, "sources": batch["target"][:, None].clone()}  # the unwarped source matches everywhere
    assert agreement(still, sigmoid(inverse), sigmoid(3 * inverse)).min() == 1
    none = {**batch, "source_valid": torch.zeros(1, 1, dtype=torch.bool)}
    assert agreement(none, sigmoid(inverse), sigmoid(3 * inverse)).min() == 1


class Any(Teacher):
    name, meaning, metres_per_unit = "any", Meaning.METRIC, 1.0

    def digest(self):
        return "0"

    def maps(self, images, size):
        raise NotImplementedError


def objective_of(folder, **options):
    labels = create_labels(folder, Any(), corridor.SIZE)
    network = build_network(NETWORK)
    network.scale = replace(network.scale, metres_per_unit=1.0)
    options = {"labels": str(labels.folder), "self_supervision": 1.0, **options}
    return build_objective(ObjectiveConfig("distillation", ["s"], options), network, None)


def gradients(objective, batch):
    disparity = torch.full((1, 1, HEIGHT, WIDTH), 0.01, requires_grad=True)
    output = Output(dict.fromkeys(range(4), disparity), batch["stereo_pose"][:, None], batch["intrinsics"])
    losses = objective.losses(output, batch)
    of = {name: torch.autograd.grad(losses[f"loss/{name}"], disparity, retain_graph=True)[0][0, 0].abs()
          for name in ("distillation", "view_synthesis")}  # fmt: skip
    return of, losses


def test_objects_learn_from_the_teacher_alone(pair, tmp_path):
    batch, inverse = pair
    objects = torch.zeros(1, 2, HEIGHT, WIDTH, dtype=torch.int64)
    objects[:, :, 30:60, 100:150] = 7
    batch = {**batch, "teacher": inverse, "objects": objects}
    nested = {"view_synthesis": {"smoothness": 0.0}}
    plain, _ = gradients(objective_of(tmp_path / "a", **nested), batch)
    assert plain["view_synthesis"][35:55, 105:145].max() > 0
    found, _ = gradients(objective_of(tmp_path / "b", objects=True, **nested), batch)
    assert found["view_synthesis"][32:58, 102:148].max() == 0
    assert found["view_synthesis"][70:, :80].max() > 0
    assert found["distillation"][32:58, 102:148].min() > 0


def test_a_teacher_is_weighed_by_its_agreement(pair, tmp_path):
    batch, inverse = pair
    wrong = inverse.clone()
    wrong[:, :, 60:, 96:160] += 0.2
    batch = {**batch, "teacher": wrong}
    objective = objective_of(tmp_path / "a", agreement=True)
    output = Output(dict.fromkeys(range(4), sigmoid(inverse)), batch["stereo_pose"][:, None], batch["intrinsics"])
    weights = objective._weights(output, batch, objective.target(batch))[0, 0]
    assert weights.mean().item() == pytest.approx(1, abs=1e-4)
    assert weights[64:, 100:156].mean() < 0.6 * weights[:50].mean()


def test_both_need_view_synthesis_and_objects_need_masks(tmp_path):
    for name in ("agreement", "objects"):
        with pytest.raises(
            InputError, match=f"the option {name} of objective 'distillation' is for a teacher beside view"
        ):
            objective_of(tmp_path / name, self_supervision=0.0, **{name: True})
    root = fake_datasets.drive(tmp_path / "data")
    with pytest.raises(InputError, match="no frame has an object mask"):
        Objects.of(sorted((root / "drive" / "left").iterdir()))
