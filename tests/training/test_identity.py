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
import torch
import yaml
from torch.utils.data import DataLoader

import fake_datasets
from hrdepth.config import DatasetConfig, ObjectiveConfig
from hrdepth.data import build_mix, open_data
from hrdepth.data.layers import Depth, Objects
from hrdepth.data.map_cache import DepthHints
from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.io.images import read_image, write_image
from hrdepth.io.provenance import provenance
from hrdepth.training import train
from hrdepth.training.identity import describe_data, refuse_changed_data
from hrdepth.training.state import LAST, _without_paths
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
        "other": {"name": "distillation", "options": {"teacher": "a path", "cache": "a path", "block": 16}}
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


def make_hints(folder, part, depth=10.0):
    """Hints of a part's frames; the folder may have some."""
    folder.mkdir(exist_ok=True)
    write_json(folder / DepthHints.ABOUT, {"size": [64, 96], "canonical_focal": None, "offsets": [-1]})
    hints = DepthHints.open(folder)
    (data,) = open_data([part], [])
    for line in data.neighbours.reader.targets:
        map_ = np.full((64, 96), 1 / depth, np.float32)
        hints.write(data.neighbours.target(line), map_, *hints.deciding(data.neighbours.reader, line))
    return folder


@pytest.fixture
def hinted(begun, tmp_path):
    """A run of one epoch that learns from hints and the teacher of another run, to be resumed for another epoch."""
    config, root = begun
    part = split(root, "train")
    teacher, hints = f"{config.output}/last.safetensors", make_hints(tmp_path / "hints", part)
    options = {"teacher": teacher, "hints": str(hints), "scales": [0]}
    config = replace(
        config, train=[part], validation=[part], epochs=1, resume=None, output=str(tmp_path / "hinted"),
        objective=ObjectiveConfig("distillation", [], options),
    )  # fmt: skip
    train(config)
    return replace(config, epochs=2, resume="last"), root, hints


def with_hints(config, hints):
    options = {**config.objective.options, "hints": hints}
    return replace(config, objective=replace(config.objective, options=options))


def test_hints_that_were_removed_or_added_are_noticed(hinted):
    config, _, hints = hinted
    with pytest.raises(InputError, match="hints is null, but .* was written with a path; resume a run with the sett"):
        train(with_hints(config, None))
    start = replace(with_hints(config, None), epochs=1, resume=None, output=f"{config.output}-not")
    train(start)
    with pytest.raises(InputError, match="hints is a path, but .* was written with null; resume a run with the sett"):
        train(with_hints(replace(start, epochs=2, resume="last"), str(hints)))


def test_hints_whose_files_changed_are_other_data(hinted):
    config, _, hints = hinted
    *removed, _ = kept = sorted(hints.rglob("*.npy"))
    contents = [file.read_bytes() for file in kept]
    for file in removed:
        file.unlink()
    sentence = "the layer 'hint' of data set train 1 has changed since .*; restore what it was"
    with pytest.raises(InputError, match=sentence):
        train(config)
    make_hints(hints, config.train[0], depth=0.2)
    with pytest.raises(InputError, match=sentence):
        train(config)
    for file, content in zip(kept, contents, strict=True):
        file.write_bytes(content)
    train(config)


def test_hints_that_moved_are_the_same_data(hinted, tmp_path):
    config, root, hints = hinted
    shutil.copytree(hints, tmp_path / "other" / "hints", copy_function=shutil.copyfile)
    shutil.copytree(root, tmp_path / "other" / "data", copy_function=shutil.copyfile)
    shutil.rmtree(hints)
    shutil.rmtree(root)
    part = split(tmp_path / "other" / "data", "train")
    config = with_hints(replace(config, train=[part], validation=[part]), str(tmp_path / "other" / "hints"))
    train(config)


def without_files(facts):
    """What an earlier version wrote of a run."""
    for part in facts["data"].values():
        del part["files"]
    return facts


def test_a_checkpoint_of_an_earlier_version_is_resumed(hinted):
    """It does not say what the files of its layers hold."""
    config, _, hints = hinted
    path = Path(config.output) / LAST
    content = torch.load(path, weights_only=True)
    without_files(content["hrdepth"]["data"])
    torch.save(content, path)
    make_hints(hints, config.train[0], depth=0.2)
    train(config)


def later_drives(root):
    """Twelve drives with masks, objects and depth."""
    for number in range(12):
        fake_datasets.objects(fake_datasets.drive(root, f"d{number:02d}"), f"d{number:02d}")
        write_image(root / f"d{number:02d}" / "mask.png", np.full((64, 96, 3), 255, np.uint8))
    (root / "train.txt").write_text("".join(f"d{number:02d} {frame} l\n" for number in range(12) for frame in (1, 2)))
    return root


def identity_of(part, *layers):
    mix = build_mix([part], [-1, 1], (64, 96), layers=layers)
    return describe_data({"train": DataLoader(mix)}, {})


def change_mask(root):
    mask = np.full((64, 96, 3), 255, np.uint8)
    mask[32:] = 0
    write_image(root / "d10" / "mask.png", mask)


def change_depth(root):
    file = root / "d10" / "depth" / "000001.npy"
    np.save(file, np.load(file) * 2)


def change_objects(root):
    file = root / "d10" / "left_objects" / "000003.png"  # of a source alone
    write_image(file, 3 - np.array(read_image(file)))


@pytest.mark.parametrize(
    ("change", "layer"),
    [
        (change_mask, "mask"),
        (lambda root: (root / "d10" / "mask.png").unlink(), "mask"),
        (lambda root: [file.unlink() for file in root.glob("*/mask.png")], "mask"),
        (change_depth, "depth"),
        (lambda root: (root / "d10" / "depth" / "000002.npy").unlink(), "depth"),
        (lambda root: (root / "d10" / "depth" / "000001.npy").rename(root / "d10" / "depth" / "000002.npy"), "depth"),
        (change_objects, "objects"),
    ],
)
def test_a_layer_of_any_sample_that_changed_is_noticed(tmp_path, change, layer):
    root = later_drives(tmp_path / "data")
    layers = (Depth(1.0), Objects())
    first = identity_of(split(root), *layers)
    shutil.copytree(root, tmp_path / "moved", copy_function=shutil.copyfile)
    refuse_changed_data(first, identity_of(split(tmp_path / "moved"), *layers), tmp_path / LAST)
    change(tmp_path / "moved")
    changed = identity_of(split(tmp_path / "moved"), *layers)
    with pytest.raises(InputError, match=f"the layer '{layer}' of data set train 1 has changed since"):
        refuse_changed_data(first, changed, tmp_path / LAST)
    if layer in changed["data"]["train 1"]["layers"]:  # an earlier version looked at some samples alone
        refuse_changed_data(without_files(first), changed, tmp_path / LAST)


def test_masks_that_were_added_are_noticed(tmp_path):
    root = fake_datasets.drive(tmp_path)
    first = identity_of(split(root))
    write_image(root / "drive" / "mask.png", np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(InputError, match="the layer 'mask' of data set train 1 has changed since"):
        refuse_changed_data(first, identity_of(split(root)), tmp_path / LAST)
