"""Tests of reproduce/runs.py.

Trainings that memory does not suffice for: split batches, and where it still does not, one row ends.
"""

import json
from pathlib import Path

import pytest
import torch
import yaml

import fake_datasets
from hrdepth.cli import main

BASE, OURS = "kitti-monodepth2-m-640x192", "kitti-hrdepth-m-640x192"


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
    memory = pytest.importorskip("hrdepth.training.memory", reason="training needs lightning")
    monkeypatch.setattr(memory, "memory_need", lambda config: memory.MemoryNeed(0, memory.GIB))
    monkeypatch.setattr(memory, "free_memory", lambda device: 3.0)
    assert main([*command, "--rows", f"[{BASE}]"]) == 0
    assert "a step of 4 keeps about 4.0 GiB, 3.0 GiB are free: trained in 2 batches of 2 a step" in caplog.text
    assert "batch norm then sees 2 samples at once, not 4" in caplog.text
    printed = capsys.readouterr().out
    assert "in batches of 2 with averaged gradients, as memory allowed" in printed
    assert "other settings" not in printed
    # Resumed where more is free: with the batches it began with, else the checkpoint would not fit.
    monkeypatch.setattr(memory, "free_memory", lambda device: 100.0)
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
