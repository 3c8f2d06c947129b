"""A tiny run: 4 samples of 64x96, 4 batches an epoch, on the CPU."""

from dataclasses import replace
from pathlib import Path

import pytest

import fake_datasets
from hrdepth.config import ObjectiveConfig, OptimiserConfig, TrainConfig
from hrdepth.training import train
from tiny_training import split, tiny_training


@pytest.fixture(scope="session")
def drives(tmp_path_factory) -> Path:
    """Eight samples in train.txt, and parts of them; tests leave them as they are, or copy them."""
    root = fake_datasets.drive(tmp_path_factory.mktemp("drives"), frames=10)
    parts = {"six": range(1, 7), "four": (1, 3, 4, 7), "two": (2, 5), "one": (5,)}
    for name, frames in parts.items():
        (root / f"{name}.txt").write_text("".join(f"drive {frame} l\n" for frame in frames))
    return root


@pytest.fixture(scope="session")
def tiny_settings(drives) -> TrainConfig:
    """Stereo pairs at one scale train fastest; each test sets an output folder."""
    return tiny_training(
        Path("run"),
        split(drives, "four"),
        validation=[split(drives, "one")],
        objective=ObjectiveConfig(frames=["s"], options={"scales": [0]}),
        optimiser=OptimiserConfig(1e-3, decay_after=1, decay=0.5),
        batch_size=1,
    )


@pytest.fixture
def tiny(tiny_settings, tmp_path):
    return replace(tiny_settings, output=str(tmp_path / "run"))


@pytest.fixture(scope="module")
def trained(tiny_settings, tmp_path_factory):
    """The config of such a run, of the same data, that nothing disturbed."""
    config = replace(tiny_settings, output=str(tmp_path_factory.mktemp("trained") / "run"))
    train(config)
    return config
