"""A tiny run: 8 samples of 64x96, 4 batches an epoch, on the CPU."""

from pathlib import Path

import pytest

import fake_datasets
from hrdepth.config import ObjectiveConfig, OptimiserConfig, TrainConfig
from hrdepth.training import train
from tiny_training import split, tiny_training


def tiny_run(folder: Path) -> TrainConfig:
    root = fake_datasets.drive(folder / "data", frames=10)
    (root / "few.txt").write_text("drive 2 l\ndrive 5 l\n")
    return tiny_training(
        folder / "run",
        split(root),
        validation=[split(root, "few")],
        objective=ObjectiveConfig(frames=["s"]),
        optimiser=OptimiserConfig(1e-3, decay_after=1, decay=0.5),
        checkpoint_minutes=0,
    )


@pytest.fixture
def tiny(tmp_path):
    return tiny_run(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The config of such a run, of the same data, that nothing disturbed."""
    config = tiny_run(tmp_path_factory.mktemp("trained"))
    train(config)
    return config
