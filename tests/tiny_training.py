"""The config of a training that takes seconds: tiny networks, 64x96, batches of two, on the CPU."""

from pathlib import Path
from typing import Any

from hrdepth.config import DatasetConfig, LogConfig, TrainConfig
from tiny_networks import NETWORK, POSE_NETWORK


def split(root: Path, name: str = "train") -> DatasetConfig:
    """One split of a folder of drives."""
    return DatasetConfig("folder", str(root), str(root / f"{name}.txt"))


def tiny_training(output: Path, *train: DatasetConfig, **changes: Any) -> TrainConfig:
    """A run on `train`, which also validates there; `changes` are fields of the config."""
    settings = {
        "train": list(train), "validation": list(train), "output": str(output),
        "network": NETWORK, "pose_network": POSE_NETWORK, "log": LogConfig(every_steps=1, panels_every_steps=0),
        "size": (64, 96), "batch_size": 2, "epochs": 2, "workers": 0, "device": "cpu",
    }  # fmt: skip
    return TrainConfig(**{**settings, **changes})
