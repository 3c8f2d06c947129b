"""Tests of training/identity.py.

A run is resumed with the data that it began with, wherever they lie, or refused.
"""

import csv
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from torch.utils.data import DataLoader

import fake_datasets
from hrdepth.config import DatasetConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.data.map_cache import DepthHints
from hrdepth.errors import InputError
from hrdepth.io.images import read_image, write_image
from hrdepth.io.provenance import provenance
from hrdepth.training import train
from hrdepth.training.identity import describe_data, refuse_changed_data
from hrdepth.training.state import _without_paths
from tiny_training import split


@pytest.fixture
def begun(tiny, tmp_path):
    """A run of one epoch, with data of its own, to be resumed for another."""
    root = Path(shutil.copytree(tiny.train[0].root, tmp_path / "own"))
    config = replace(tiny, train=[split(root, "two")], validation=[split(root, "two")], epochs=1)
    train(config)
    return replace(config, epochs=2, resume="last"), root


def change_camera(root):
    file = next(root.rglob("camera.yaml"))
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "fx": content["fx"] * 0.8}))


def replace_image(root):
    file = sorted(root.rglob("left/*.png"))[5]
    write_image(file, 255 - np.array(read_image(file)))


def change_split(root):
    file = root / "two.txt"
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (change_camera, r"the camera of '.*' in data set train 1 has changed since .*last\.ckpt.*: \[.*, now \["),
        (replace_image, "the images of data set train 1 have changed since"),
        (change_split, "the list of frames of data set train 1 has changed since"),
    ],
)
def test_a_run_whose_data_changed_is_not_resumed(begun, change, sentence):
    config, root = begun
    change(root)
    with pytest.raises(InputError, match=sentence):
        train(config)


def test_a_run_whose_data_moved_is_resumed(begun, tmp_path):
    """A copy has other paths and times of change; a resumed run ends as one that was not interrupted."""
    config, root = begun
    shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)
    shutil.rmtree(root)
    moved = split(tmp_path / "moved", "two")
    train(replace(config, train=[moved], validation=[moved]))
    with (Path(config.output) / "metrics.csv").open() as file:
        validated = [row["epoch"] for row in csv.DictReader(file) if row["val/loss"]]
    assert validated == ["0", "1"]


def test_a_teacher_within_another_objective_is_known_by_its_content(tmp_path):
    class File:
        def __init__(self, digest):
            self.sha256 = lambda: digest

    loaders = {"train": DataLoader(build_mix([split(fake_datasets.drive(tmp_path))], [], (64, 96)))}
    first, second = (
        describe_data(loaders, {"other": {"name": "distillation", "options": {"teacher": File(digest)}}})
        for digest in "ab"
    )
    assert first["inputs"] == {"teacher": "a"}
    with pytest.raises(InputError, match="teacher"):
        refuse_changed_data(first, second, tmp_path / "last.ckpt")


def test_where_the_files_of_an_objective_within_another_lie_does_not_count(tiny):
    other = {"name": "distillation", "options": {"teacher": "a.safetensors", "cache": "a", "block": 16}}
    settings = asdict(replace(tiny, objective=ObjectiveConfig("supervised", [], {"other": other})))
    assert _without_paths(settings)["objective"]["options"] == {
        "other": {"name": "distillation", "options": {"block": 16}}
    }


def test_hints_that_were_made_in_another_way_are_other_data(tmp_path):
    """A folder of hints is known by how it was made, not by where it lies or when it was made."""

    def identity(folder, **about):
        folder.mkdir()
        settings = {"size": [64, 96], "canonical_focal": 0.58, "planes": 88, "offsets": [-1, 1], **about}
        (folder / DepthHints.ABOUT).write_text(json.dumps(settings | provenance(0)))
        part = DatasetConfig("images", str(fake_datasets.images(folder / "images")))
        mix = build_mix([part], [], (64, 96), layers=[DepthHints.open(folder)])
        return describe_data({"train": DataLoader(mix)}, {})

    first = identity(tmp_path / "a")
    refuse_changed_data(first, identity(tmp_path / "b"), tmp_path / "last.ckpt")
    with pytest.raises(InputError, match="the layer 'hint' of data set train 1 has changed since"):
        refuse_changed_data(first, identity(tmp_path / "c", planes=44), tmp_path / "last.ckpt")
