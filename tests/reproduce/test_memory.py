"""Tests of reproduce/memory.py.

The memory of a training: counted before it, made to fit, and where it does not suffice, one row ends.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.autograd.graph import saved_tensors_hooks

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import NetworkConfig, ReproduceConfig, TrainConfig
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from hrdepth.paper import row_of
from hrdepth.reproduce import memory
from hrdepth.reproduce.memory import GIB, MemoryNeed, is_out_of_memory, memory_need, split_batches
from hrdepth.reproduce.plan import plan_training

BASE, OURS = "kitti-monodepth2-m-640x192", "kitti-hrdepth-m-640x192"


def config(**changes):
    settings = {"train": [], "validation": [], "output": "run", "batch_size": 12}
    return TrainConfig(**{**settings, **changes})


@pytest.mark.slow
def test_what_is_counted_is_what_a_step_saves():
    run = config(network=NetworkConfig("lite_hrdepth"), size=(64, 96))
    objective = build_objective(run.objective, build_network(run.network), build_pose_network(run.pose_network)).train()
    weights = {parameter.data_ptr() for parameter in objective.parameters()}

    def saved(size):
        found = {}

        def pack(tensor):
            if tensor.untyped_storage().data_ptr() not in weights:
                found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
            return tensor

        batch = memory._batch(run, size)
        batch["intrinsics"][:] = torch.eye(3)
        batch["stereo_pose"][:] = torch.eye(4)
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            objective(batch)
        return sum(storage.nbytes() for storage in found.values())

    need = memory_need(run)
    assert need.sample == pytest.approx(saved(3) - saved(2), rel=0.02)
    assert need.fixed == 16 * sum(parameter.numel() for parameter in objective.parameters())


@pytest.mark.slow
def test_losses_that_are_compiled_are_counted_without_compiling():
    run = config(network=NetworkConfig("lite_hrdepth"), size=(64, 96))
    compiled = replace(run, objective=replace(run.objective, options={"compile": True}))
    assert memory_need(compiled) == memory_need(run)


@pytest.mark.parametrize(
    ("name", "networks"),  # GiB of a batch of 12 that the networks' activations alone keep
    [pytest.param("packnet-m-1280x384", 43, marks=pytest.mark.slow), ("kitti-hrdepth-m-1280x384", 13)],
)
def test_the_largest_rows_need_more_than_their_networks_activations(name, networks):
    need = memory_need(plan_training(ReproduceConfig("out"), row_of(name)).config)
    assert networks < need.of(12) < 2.5 * networks


def test_an_objective_that_needs_more_than_images_is_counted_by_its_networks():
    need = memory_need(plan_training(ReproduceConfig("out"), row_of("kitti-lite-t-640x192")).config)
    assert need.fixed == 16 * 3_109_964
    assert 0.5 < need.of(12) < 5


@pytest.mark.parametrize(
    ("free", "batches"),
    [(100, (12, 1)), (14.2, (12, 1)), (14, (6, 2)), (7, (4, 3)), (4, (3, 4)), (3, (2, 6)), (0.1, (1, 12))],
)
def test_batches_are_split_until_they_fit_with_as_many_samples_a_step(free, batches):
    split = split_batches(config(), MemoryNeed(0, GIB), int(free * GIB))
    assert (split.batch_size, split.accumulate) == batches
    twice = split_batches(config(accumulate=2), MemoryNeed(0, GIB), int(free * GIB))
    assert (twice.batch_size, twice.accumulate) == (batches[0], 2 * batches[1])


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.62 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, found):
    assert is_out_of_memory(error) == found


@pytest.fixture
def command(tmp_path):
    """Train two rows in miniature and measure them."""
    root = str(fake_datasets.drive(tmp_path / "data", frames=10))
    (tmp_path / "few.txt").write_text("drive 2 l\ndrive 3 l\ndrive 5 l\ndrive 6 l\n")
    part = {"dataset": "folder", "root": root, "split": str(tmp_path / "few.txt")}
    content = {
        "out": str(tmp_path / "out"), "runs": str(tmp_path / "runs"), "data": {"kind": "drive", "root": root},
        "protocol": {"crop": "none"}, "rows": [BASE, OURS], "resolution": 0.1, "bootstrap": 40, "device": "cpu",
        "training": {
            "network": {"options": {"weights": None, "backbone": "test_efficientnet"}},
            "pose_network": {"options": {"weights": None, "backbone": "test_resnet"}},
            "objective": {"frames": [1], "options": {"scales": [0]}},  # counted and trained fast
            "train": [part], "validation": [part], "batch_size": 4, "epochs": 1, "workers": 0,
            "log": {"panels_every_steps": 0}, "device": "cpu",
        },
    }  # fmt: skip
    file = tmp_path / "reproduce.yaml"
    file.write_text(yaml.safe_dump(content))
    return ["reproduce", "table4", "--config", str(file), "--train", "--format", "markdown"]


@pytest.mark.slow
def test_a_training_that_does_not_fit_has_smaller_batches_and_says_so(command, tmp_path, monkeypatch, capsys, caplog):
    pytest.importorskip("hrdepth.training", reason="training needs lightning")
    monkeypatch.setattr(memory, "memory_need", lambda config: MemoryNeed(0, GIB))
    monkeypatch.setattr(memory, "free_memory", lambda device: 3 * GIB)
    assert main([*command, "--rows", f"[{BASE}]"]) == 0
    assert "a step of 4 keeps about 4.0 GiB, 3.0 GiB are free: trained in 2 batches of 2 a step" in caplog.text
    assert "batch norm then sees 2 samples at once, not 4" in caplog.text
    printed = capsys.readouterr().out
    assert "in batches of 2 with averaged gradients, as memory allowed" in printed
    assert "other settings" not in printed
    # Resumed where more is free: with the batches it began with, else the checkpoint would not fit.
    monkeypatch.setattr(memory, "free_memory", lambda device: 100 * GIB)
    assert main([*command, "--rows", f"[{BASE}]", "--training.epochs", "2"]) == 0
    settings = yaml.safe_load((tmp_path / "runs" / BASE / "config.yaml").read_text())
    assert (settings["batch_size"], settings["accumulate"], settings["epochs"]) == (2, 2, 2)


@pytest.mark.slow
def test_running_out_of_memory_ends_one_row(command, tmp_path, monkeypatch, capsys):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    train, begun = training.train, []

    def short_of_memory(config):
        begun.append(Path(config.output).name)
        if begun[-1] == BASE:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.62 GiB\nmore")
        return train(config)

    monkeypatch.setattr(training, "train", short_of_memory)
    folder = tmp_path / "runs" / BASE
    for _ in range(2):  # the second time it is left alone
        assert main(command) == 0
        printed = capsys.readouterr().out
        reason = "out of memory with batches of 4: CUDA out of memory. Tried to allocate 3.62 GiB"
        assert f"{reason}; remove {folder} to try again" in printed
        rows = {row["paper"]["name"]: row for row in json.loads((tmp_path / "out" / "table4.json").read_text())["rows"]}
        assert (rows[BASE]["state"], rows[OURS]["state"]) == ("not measured", "measured")
    assert begun == [BASE, OURS]


def test_other_errors_of_a_training_are_not_hidden(command, monkeypatch):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")

    def broken(config):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(training, "train", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        main(command)
