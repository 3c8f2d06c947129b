"""A tiny run: 8 samples of 64x96, 4 batches an epoch, on the CPU."""

import pytest

import fake_datasets
from hrdepth.config import DatasetConfig, LogConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from tiny_networks import NETWORK, POSE_NETWORK


@pytest.fixture
def tiny(tmp_path):
    root = fake_datasets.drive(tmp_path / "data", frames=10)
    part = DatasetConfig("folder", str(root), str(root / "train.txt"))
    (root / "few.txt").write_text("drive 2 l\ndrive 5 l\n")
    few = DatasetConfig("folder", str(root), str(root / "few.txt"))
    return TrainConfig(
        train=[part],
        validation=[few],
        output=str(tmp_path / "run"),
        network=NETWORK,
        pose_network=POSE_NETWORK,
        objective=ObjectiveConfig(frames=["s"]),
        optimiser=OptimiserConfig(1e-3, decay_after=1, decay=0.5),
        log=LogConfig(every_steps=1, panels_every_steps=0),
        size=(64, 96),
        batch_size=2,
        epochs=2,
        workers=0,
        checkpoint_minutes=0,
        device="cpu",
    )
