"""Tests of objectives/view_synthesis.py.

What self-supervision promises beyond the contract of all objectives.
"""

import copy
import functools

import pytest
import torch
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.config import DatasetConfig, NetworkConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from tiny_networks import NETWORK


def batch_of(tmp_path, frames):
    fake_datasets.drive(tmp_path)
    config = DatasetConfig("folder", str(tmp_path), str(tmp_path / "train.txt"), options={"baseline": 0.1})
    data = build_mix([config], frames, (64, 96))
    return default_collate([data[i] for i in range(len(data))])


LITE = NetworkConfig("lite_hrdepth", {"min_depth": 0.5})


def objective_of(frames, network=LITE, **options):
    torch.manual_seed(0)
    network = build_network(network)
    pose_network = build_pose_network(NetworkConfig("posenet"))
    return build_objective(ObjectiveConfig("view_synthesis", frames, options), network, pose_network)


def test_a_source_that_is_missing_changes_nothing(tmp_path):
    batch = batch_of(tmp_path, [-1, 1, "s"])
    objective = objective_of([-1, 1, "s"], tie_break=0.0).eval()
    batch["source_valid"][:, 2] = False
    without = objective_of([-1, 1], tie_break=0.0).eval()
    short = {**batch, **{key: batch[key][:, :2] for key in ("sources", "sources_augmented", "source_valid")}}
    torch.testing.assert_close(objective(batch).loss, without(short).loss)
    batch["sources"][:, 2] = torch.rand_like(batch["sources"][:, 2])
    torch.testing.assert_close(objective(batch).loss, without(short).loss)


def test_panels_show_the_best_source(tmp_path):
    batch = batch_of(tmp_path, [-1, 1])
    objective = objective_of([-1, 1]).eval()
    output = objective.predict(batch)
    panels = objective.panels(output, batch)
    assert {key: value.shape[1] for key, value in panels.items()} == {
        "target": 3, "disparity": 1, "synthesised": 3, "error": 1, "kept": 1,
    }  # fmt: skip
    assert 0 < panels["kept"].mean() < 1
    objective.auto_mask = False
    assert objective.panels(output, batch)["kept"].mean() > panels["kept"].mean()


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [([], "at least one"), ([0, 1], "neither"), (["t"], "neither"), ([-1, -1], "once"), ([1.5], "neither")],
)
def test_invalid_frames_are_refused(frames, sentence):
    with pytest.raises(InputError, match=sentence):
        objective_of(frames)


@pytest.mark.slow
def test_traced_and_plain_code_give_the_same_loss_and_gradients(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    check_compiled(tmp_path, NETWORK)


@pytest.mark.slow
def test_compiled_and_plain_code_give_the_same_loss_and_gradients(tmp_path):
    check_compiled(tmp_path, LITE)


def check_compiled(tmp_path, network):
    batch = batch_of(tmp_path, [-1, 1, "s"])
    batch["source_valid"][0, 2] = False
    objectives = [objective_of([-1, 1, "s"], network, compile=compile) for compile in (False, True)]
    losses, gradients = [], []
    for objective in [*objectives, copy.deepcopy(objectives[1])]:
        torch.manual_seed(0)  # of the noise that breaks ties
        loss = objective(batch).loss
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] == losses[1]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-4 * gradients[0].abs().max().item())


@pytest.mark.parametrize("kind", ["hrdepth", "lite_hrdepth"])
def test_bfloat16_gives_the_loss_within_one_percent(kind, tmp_path):
    fake_datasets.Wall().drive(tmp_path)
    data = build_mix([DatasetConfig("folder", str(tmp_path), str(tmp_path / "train.txt"))], [-1, 1], (64, 96))
    batch = default_collate([data[item] for item in range(len(data))])
    torch.manual_seed(0)
    networks = build_network(NetworkConfig(kind)), build_pose_network(NetworkConfig("posenet"))
    objective = build_objective(ObjectiveConfig(), *networks).eval()
    torch.manual_seed(0)  # of the noise that breaks ties
    exact = objective(batch).loss
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = objective(batch).loss
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.01)
