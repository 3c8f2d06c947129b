"""What the guard leaves of a run that it stopped is what the page's tab shows."""

import json
from dataclasses import replace

import pytest

import fake_datasets
from hrdepth.config import DatasetConfig, LogConfig, NetworkConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from hrdepth.errors import TrainingStopped


def test_the_guards_message_reaches_the_page(tmp_path):
    pytest.importorskip("lightning", reason="needs lightning (extra train)")
    pytest.importorskip("gradio", reason="needs gradio (extra app)")
    from hrdepth.app.training_tab import TrainingTab
    from hrdepth.io.run_folder import find_runs
    from hrdepth.training import train

    root = fake_datasets.drive(tmp_path / "data", frames=6)
    part = DatasetConfig("folder", str(root), str(root / "train.txt"))
    config = TrainConfig(
        train=[part], validation=[part], output=str(tmp_path / "runs" / "wild"), size=(64, 96), batch_size=2,
        network=NetworkConfig("lite_hrdepth"), objective=ObjectiveConfig(frames=["s"]),
        optimiser=OptimiserConfig(learning_rate=1e30), log=LogConfig(every_steps=1, panels_every_steps=0),
        epochs=3, workers=0, device="cpu",
    )  # fmt: skip
    config = replace(config, guard=replace(config.guard, patience=2))
    with pytest.raises(TrainingStopped) as stopped:
        train(config)
    kept = json.loads((tmp_path / "runs" / "wild" / "stopped.json").read_text())
    assert kept["message"] == str(stopped.value)

    tab = TrainingTab(find_runs([tmp_path / "runs"]))
    assert tab.training("wild")["state"] == "stopped"
    shown = tab.show("wild")[0]
    assert "stopped by the guard" in shown
    assert "training stopped at step" in shown
