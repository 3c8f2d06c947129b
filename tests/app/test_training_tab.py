"""Tests of app/training_tab.py.

What the guard leaves of a run that it stopped is what the page's tab shows.
"""

import json

import pytest

import fake_datasets
from hrdepth.config import GuardConfig, NetworkConfig, ObjectiveConfig, OptimiserConfig
from hrdepth.errors import TrainingStopped
from tiny_training import split, tiny_training


def test_the_guards_message_reaches_the_page(tmp_path):
    pytest.importorskip("lightning", reason="needs lightning (extra train)")
    pytest.importorskip("gradio", reason="needs gradio (extra app)")
    from hrdepth.app.training_tab import TrainingTab
    from hrdepth.io.run_folder import find_runs
    from hrdepth.training import train

    root = fake_datasets.drive(tmp_path / "data", frames=6)
    config = tiny_training(
        tmp_path / "runs" / "wild", split(root), network=NetworkConfig("lite_hrdepth"), guard=GuardConfig(patience=2),
        objective=ObjectiveConfig(frames=["s"]), optimiser=OptimiserConfig(learning_rate=1e30), epochs=3,
    )  # fmt: skip
    with pytest.raises(TrainingStopped) as stopped:
        train(config)
    record = json.loads((tmp_path / "runs" / "wild" / "stopped.json").read_text())
    assert record["message"] == str(stopped.value)

    tab = TrainingTab(find_runs([tmp_path / "runs"]))
    assert tab.training("wild")["state"] == "stopped"
    shown = tab.show("wild")[0]
    assert "stopped by the guard" in shown
    assert "training stopped at step" in shown
