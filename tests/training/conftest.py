"""A tiny run: 8 samples of 64x96, 4 batches an epoch, on the CPU."""

import pytest

import fake_datasets
from hrdepth.config import ObjectiveConfig, OptimiserConfig
from tiny_training import split, tiny_training


@pytest.fixture
def tiny(tmp_path):
    root = fake_datasets.drive(tmp_path / "data", frames=10)
    (root / "few.txt").write_text("drive 2 l\ndrive 5 l\n")
    return tiny_training(
        tmp_path / "run",
        split(root),
        validation=[split(root, "few")],
        objective=ObjectiveConfig(frames=["s"]),
        optimiser=OptimiserConfig(1e-3, decay_after=1, decay=0.5),
        checkpoint_minutes=0,
    )
