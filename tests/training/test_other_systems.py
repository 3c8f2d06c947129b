"""Tests of training/train.py with the objectives of other systems.

Objectives of other systems through a whole run: guard, panels, moving average, weights files.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import fake_datasets
from hrdepth.config import LogConfig, NetworkConfig, ObjectiveConfig
from hrdepth.errors import InputError
from hrdepth.training import train
from hrdepth.weights.checkpoint import load_network, load_pose_network
from tiny_networks import POSE_NETWORK
from tiny_training import split

WAYS = {
    "sfmlearner": (NetworkConfig("posecnn", {"explainability": True}), {}),
    "vid2depth": (NetworkConfig("posecnn"), {"points": 100}),
    "struct2depth": (POSE_NETWORK, {"object_network": "posecnn"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_a_run_ends_with_weights(name, tiny, tmp_path):
    pose_network, options = WAYS[name]
    root = Path(shutil.copytree(tiny.train[0].root, tmp_path / "data"))
    fake_datasets.objects(root, frames=10)
    config = replace(
        tiny,
        train=[split(root, "four")],
        validation=[split(root, "one")],
        pose_network=pose_network,
        objective=ObjectiveConfig(name, [-1, 1], options),
        log=LogConfig(every_steps=1, panels_every_steps=3, panels=1),
        average=0.9,
        epochs=1,
    )
    weights = train(config)
    assert load_network(weights).stride == 32
    assert load_pose_network(weights) is not None
    assert list((weights.parent / "panels").iterdir())
    header = (weights.parent / "metrics.csv").read_text().splitlines()[0]
    wanted = {"sfmlearner": "explained", "vid2depth": "loss/alignment", "struct2depth": "loss/object_size"}[name]
    assert f"train/{wanted}" in header


def test_object_motions_without_masks_are_refused_with_the_expected_path(tiny):
    with pytest.raises(InputError, match="left_objects"):
        train(replace(tiny, objective=ObjectiveConfig("struct2depth", [-1, 1])))
