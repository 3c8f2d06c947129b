"""Tests of prepare/hints.py and prepare/structure.py.

`hrdepth prepare hints`: the depth of a drive by geometry, in a network's units, and a training that learns it.
"""

import csv
import os
import platform
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import corridor
from hrdepth.cli import main
from hrdepth.config import (
    DatasetConfig,
    LogConfig,
    NetworkConfig,
    ObjectiveConfig,
    OptimiserConfig,
    PrepareHintsConfig,
    PrepareShardsConfig,
    TrainConfig,
)
from hrdepth.config.setting_files import plain_settings, read_train_config
from hrdepth.data.folder import Folder
from hrdepth.data.layers import Frames
from hrdepth.data.reader import SplitLine
from hrdepth.data.sample import WHOLE
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.prepare import hints as module
from hrdepth.prepare.hints import prepare_hints
from hrdepth.prepare.shards import pack_shards
from hrdepth.prepare.structure import Structure
from hrdepth.training import train
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

SIZE = (96, 256)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "start.safetensors", NETWORK)


def write_weights(path, config):
    """Write a network that sees 2 units, 10 metres, everywhere."""
    torch.manual_seed(0)
    network = build_network(config)
    network.start_at(2.0)
    for head in (part for name, part in network.named_modules() if name.endswith("heads.0.conv")):
        nn.init.zeros_(head.weight)
    save_checkpoint(path, network, config, size=SIZE, metres_per_unit=5.0, canonical_focal=0.6)
    return str(path)


def config_of(root, weights, tmp_path, **settings):
    part = DatasetConfig("folder", str(root), str(root / "train.txt"))
    training = TrainConfig([part], [replace(part, split=str(root / "val.txt"))], str(tmp_path / "unused"), size=SIZE)
    return PrepareHintsConfig(training, str(tmp_path / "hints"), weights, **settings)


def known(images, intrinsics):
    """The true way of the camera in a unit of its own, in place of what COLMAP would find."""
    poses, points = {}, {}
    if intrinsics is not None:
        # Centres of pixels do not scale exactly.
        assert intrinsics == pytest.approx(corridor.intrinsics(), abs=0.51)
    for image in images:
        pose = np.eye(4)
        pose[2, 3] = -corridor.STEP * int(image.stem) / 3
        poses[image] = pose
        depth = corridor.view(int(image.stem))[1]
        row, column = np.mgrid[4 : SIZE[0] : 8, 4 : SIZE[1] : 8].reshape(2, -1)
        points[image] = np.stack([column, row, depth[row, column] / 3], -1)
    return Structure(poses, points)


def read(hints, root, frame, side="left"):
    """Return 1/depth as a training reads it."""
    reader = Folder(str(root), every_frame=True)
    line = SplitLine("drive", frame, side[0])
    return hints.read(Frames(line, reader.camera(line), reader.image(line, 0), [], reader), SIZE, WHOLE)[0].numpy()


def compare(hints, root, frame, side="left"):
    """Return the relative error of a hint's depth, up to one factor, and how much of the image it covers."""
    map_ = read(hints, root, frame, side)
    true = corridor.view(frame, side == "right")[1]
    there = map_ > 0
    ratio = 1 / map_[there] / true[there]
    return float(np.median(abs(ratio / np.median(ratio) - 1))), float(np.median(ratio)), float(there.mean())


@pytest.mark.parametrize("calibrated", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_monocular_drive_gets_hints_in_the_networks_units(tmp_path, weights, monkeypatch, calibrated):
    root = corridor.drive(tmp_path / "data", calibrated=calibrated)
    monkeypatch.setattr(module, "structure_from_motion", known)
    hints = prepare_hints(config_of(root, weights, tmp_path, nearest=0.3, planes=44))
    errors, ratio, share = compare(hints, root, 4)
    assert errors < 0.04
    assert share > 0.3
    # The network says 2 units where the median point is as far as it is.
    depths = np.concatenate(
        [points[:, 2] for points in known(sorted((root / "drive/left").iterdir()), None).points.values()]
    )
    assert ratio == pytest.approx(2 / (3 * np.median(depths)), rel=0.1)
    lines = (tmp_path / "hints" / "train-1.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["0", "2", "4", "6", "8"], "every second frame"
    assert (tmp_path / "hints" / "validation-1.txt").read_text() == "drive 2 l\n"


def test_existing_hints_stay_and_missing_ones_are_computed(tmp_path, weights, monkeypatch):
    root = corridor.drive(tmp_path / "data", frames=8)
    calls = []
    monkeypatch.setattr(module, "structure_from_motion", lambda *given: calls.append(1) or known(*given))
    config = config_of(root, weights, tmp_path, every=3, planes=16)
    hints = prepare_hints(config)
    before = {path: path.stat().st_mtime_ns for path in hints.folder.rglob("*.npy")}
    assert len(before) == 3
    prepare_hints(config)
    assert {path: path.stat().st_mtime_ns for path in hints.folder.rglob("*.npy")} == before
    assert len(calls) == 1
    next(iter(before)).unlink()
    prepare_hints(config)
    assert len(list(hints.folder.rglob("*.npy"))) == 3
    with pytest.raises(InputError, match="choose another folder"):
        prepare_hints(replace(config, config=replace(config.config, size=(64, 256))))


def test_hints_are_written_one_by_one_and_a_second_call_makes_those_that_are_missing(tmp_path, weights, monkeypatch):
    """The third is written as soon as the five sweeps that it needs are there."""
    root = corridor.drive(tmp_path / "data", frames=7)
    monkeypatch.setattr(module, "structure_from_motion", known)
    monkeypatch.setattr(module, "parallel_map", lambda work, items: map(work, items))
    sweep, swept = module.plane_sweep, []

    def broken_off(target, *given):
        swept.append(target)
        if len(swept) == 6:
            raise KeyboardInterrupt
        return sweep(target, *given)

    config = config_of(root, weights, tmp_path, every=1, planes=8)
    config = replace(config, config=replace(config.config, validation=[]))
    monkeypatch.setattr(module, "plane_sweep", broken_off)
    with pytest.raises(KeyboardInterrupt):
        prepare_hints(config)
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "hints").rglob("*.npy")}
    assert len(there) == 3
    prepare_hints(config)
    assert {path: path.stat().st_mtime_ns for path in there} == there
    again = {path: path.read_bytes() for path in (tmp_path / "hints").rglob("*.npy")}
    assert len(again) == 7
    prepare_hints(replace(config, out=str(tmp_path / "at once")))
    assert {path.name: path.read_bytes() for path in (tmp_path / "at once").rglob("*.npy")} == {
        path.name: content for path, content in again.items()
    }


@pytest.mark.parametrize("lost", [1, 9])
def test_frames_whose_pose_is_not_found_are_looked_for_once(tmp_path, weights, monkeypatch, lost):
    root = corridor.drive(tmp_path / "data", frames=9)
    calls = []

    def partly(images, intrinsics):
        calls.append(1)
        found = known(images, intrinsics)
        return Structure(*({image: part[image] for image in images[lost:]} for part in found))

    monkeypatch.setattr(module, "structure_from_motion", partly)
    config = config_of(root, weights, tmp_path, every=4, planes=8)
    hints = prepare_hints(config)
    assert len(list(hints.folder.rglob("*.npy"))) == (2 if lost == 1 else 0)
    prepare_hints(config)
    assert len(calls) == 1
    lines = (hints.folder / "train-1.txt").read_text().splitlines()
    assert "drive 0 l" not in lines
    (root / "drive" / "left" / "000000.png").write_bytes((root / "drive" / "left" / "000001.png").read_bytes())
    prepare_hints(config)
    assert len(calls) == 2, "it is another image now"


def test_a_network_without_depth_gives_no_scale(tmp_path, weights):
    network = build_network(NETWORK)
    network.scale = replace(network.scale, shift=None)
    save_checkpoint(tmp_path / "affine.safetensors", network, NETWORK, size=SIZE)
    root = corridor.drive(tmp_path / "data", frames=2)
    with pytest.raises(InputError, match="this network gives no depth"):
        prepare_hints(config_of(root, str(tmp_path / "affine.safetensors"), tmp_path))


def test_hints_of_shards_are_refused_where_files_are_needed(tmp_path, weights):
    root = corridor.drive(tmp_path / "data", frames=7)
    config = config_of(root, weights, tmp_path)
    training = replace(config.config, objective=ObjectiveConfig("distillation", []), validation=[])
    pack_shards(PrepareShardsConfig(str(tmp_path / "packed"), training, threads=1))
    packed = read_train_config(tmp_path / "packed" / "train.yaml")
    with pytest.raises(InputError, match="make hints of the data sets before hrdepth prepare shards"):
        prepare_hints(replace(config, config=replace(training, train=packed.train)))


def test_stereo_pairs_give_metres_without_motion(tmp_path, weights, monkeypatch):
    root = corridor.drive(tmp_path / "data", frames=2, stereo=True)
    monkeypatch.setattr(module, "structure_from_motion", lambda *given: pytest.fail("the stereo pair is enough"))
    hints = prepare_hints(config_of(root, weights, tmp_path, nearest=1.5, planes=44))
    errors, ratio, share = compare(hints, root, 1)
    factor = corridor.FOCAL / (0.6 * SIZE[1])  # the canonical camera sees it nearer or farther
    assert (errors < 0.04, share > 0.4, ratio == pytest.approx(1 / factor, rel=0.03)) == (True, True, True)


@pytest.mark.slow
def test_a_changed_camera_or_neighbour_makes_hints_anew(tmp_path, weights, monkeypatch):
    """Half the baseline halves all depth: 1/depth of the wall ahead, at 22 m from frame 0, doubles."""
    root = corridor.drive(tmp_path / "data", frames=3, stereo=True)
    config = config_of(root, weights, tmp_path, nearest=1.5)
    first = read(prepare_hints(config), root, 0)
    camera = root / "drive" / "camera.yaml"
    text = camera.read_text()
    camera.write_text(text.replace("baseline: 0.5", "baseline: 0.25"))
    hints = prepare_hints(config)
    second = read(hints, root, 0)
    there = (first > 0) & (second > 0)
    assert np.median(second[there] / first[there]) == pytest.approx(2, rel=0.02)
    camera.write_text(text.replace("baseline: 0.5", "baseline: 0.25").replace("fx: 150.0", "fx: 120.0"))
    assert not read(hints, root, 0).any(), "a training with another K does not use them"
    third = read(prepare_hints(config), root, 0)
    there = (second > 0) & (third > 0)
    # Depth is fx x baseline / shift, in units of a camera of 0.6 widths: fx cancels.
    assert np.median(third[there] / second[there]) == pytest.approx(1, rel=0.02)
    camera.write_text(text)
    assert (read(hints, root, 0) == first).all(), "the first hints are still there"
    (root / "drive" / "right" / "000000.png").write_bytes((root / "drive" / "right" / "000001.png").read_bytes())
    assert not read(hints, root, 0).any(), "the other image of the pair is another one"
    for setting in ({"planes": 44}, {"nearest": 1.0}, {"offsets": [-1, 1]}, {"every": 1}):
        with pytest.raises(InputError, match=next(iter(setting))):
            prepare_hints(replace(config, **setting))


def test_a_pair_is_compared_once_for_both_images(tmp_path, weights, monkeypatch):
    root = corridor.drive(tmp_path / "data", frames=2, stereo=True)
    (root / "train.txt").write_text("drive 0 l\ndrive 0 r\n")
    sweeps = []
    sweep = module.plane_sweep
    monkeypatch.setattr(module, "plane_sweep", lambda *given: sweeps.append(1) or sweep(*given))
    config = config_of(root, weights, tmp_path, nearest=1.5, planes=44)
    hints = prepare_hints(replace(config, config=replace(config.config, validation=[])))
    assert len(sweeps) == 2, "one for each image"
    for side in ("left", "right"):
        errors, _, share = compare(hints, root, 0, side)
        assert (errors < 0.04, share > 0.4) == (True, True), side


def test_a_static_camera_gets_no_hints(tmp_path, weights, monkeypatch):
    root = corridor.drive(tmp_path / "data", frames=7)
    monkeypatch.setattr(module, "structure_from_motion", lambda *_: Structure({}, {}))
    hints = prepare_hints(config_of(root, weights, tmp_path))
    assert not list(hints.folder.rglob("*.npy"))
    assert (hints.folder / "train-1.txt").read_text() == ""


def test_structure_from_motion_recovers_the_trajectory(tmp_path):
    pycolmap = pytest.importorskip("pycolmap", reason="needs pycolmap (extra hints)")
    assert pycolmap
    from hrdepth.prepare.structure import structure_from_motion

    root = corridor.drive(tmp_path / "data", frames=9)
    images = sorted((root / "drive" / "left").iterdir())
    found = structure_from_motion(images, corridor.intrinsics())
    assert len(found.poses) >= 7
    places = np.array([-pose[:3, :3].T @ pose[:3, 3] for _, pose in sorted(found.poses.items())])
    steps = np.diff(places, axis=0)
    assert np.linalg.norm(steps, axis=1) == pytest.approx(np.linalg.norm(steps, axis=1).mean(), rel=0.1)
    # Depth of the points, in steps of the camera.
    errors = []
    for image, points in found.points.items():
        column, row, depth = points.T
        true = corridor.view(int(image.stem))[1][row.round().astype(int), column.round().astype(int)]
        errors.append(depth / np.linalg.norm(steps, axis=1).mean() * corridor.STEP / true - 1)
    assert np.median(abs(np.concatenate(errors))) < 0.05


@pytest.mark.slow
def test_a_student_learns_from_hints(tmp_path, monkeypatch):
    root, lite = corridor.drive(tmp_path / "data", frames=6), NetworkConfig("lite_hrdepth")
    weights = write_weights(tmp_path / "lite.safetensors", lite)
    monkeypatch.setattr(module, "structure_from_motion", known)
    config = config_of(root, weights, tmp_path, every=1, nearest=0.3)
    hints = prepare_hints(config)
    objective = ObjectiveConfig("distillation", [], {"teacher": weights, "hints": str(hints.folder), "norm": "log-l1"})
    run = replace(
        config.config, objective=objective, network=lite, init=weights, canonical_focal=0.6, size=(64, 96),
        output=str(tmp_path / "run"), batch_size=3, epochs=10, workers=0, device="cpu", log=LogConfig(1, 0),
        optimiser=OptimiserConfig(1e-3, schedule="constant"),
    )  # fmt: skip
    train(run)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(losses) == 20
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    with pytest.raises(InputError, match="hold for canonical_focal 0.6, the run has 0.5"):
        train(replace(run, canonical_focal=0.5, init=None, output=str(tmp_path / "other"),
                      objective=replace(objective, options={**objective.options, "teacher_focal": 0.5})))  # fmt: skip


def test_what_a_process_had_claimed_when_it_was_killed_is_done_by_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "POLL", 0.05)
    runs = [[SplitLine(name, 0, "l")] for name in ("a", "b")]
    claims = tmp_path / "claims"
    for _ in module._claimed(runs, claims, "train-1"):
        (mine,) = claims.iterdir()  # of the first, `a`
        break
    other = subprocess.Popen(["sleep", "600"])
    mine.write_text(f"{platform.node()} {other.pid}")
    found = module._claimed(runs, claims, "train-1")
    assert next(found) == runs[1]
    threading.Timer(0.3, lambda: (other.kill(), other.wait())).start()
    assert list(found) == [runs[0]]
    assert not list(claims.iterdir())


TOGETHER = """
import sys, time
from pathlib import Path
from hrdepth.cli import main
from hrdepth.prepare.hints import _HintMaker
folder, own = Path(sys.argv[1]), sys.argv[2]
write = _HintMaker._write
def slowly(self, image, *given, **named):
    with (folder / f"{own}.log").open("a") as file:
        file.write(f"{image}\\n")
    time.sleep(0.2)
    write(self, image, *given, **named)
_HintMaker._write = slowly
(folder / f"{own}.ready").touch()
while len(list(folder.glob("*.ready"))) < 2:
    time.sleep(0.01)
options = ["--config", str(folder / "run.yaml"), "--out", str(folder / "hints"), *sys.argv[3:]]
sys.exit(main(["prepare", "hints", *options]))
"""


@pytest.mark.slow
def test_two_processes_that_begin_together_make_each_hint_once(tmp_path, weights):
    root = tmp_path / "data"
    made = corridor.drive(tmp_path / "made", frames=8, stereo=True) / "drive"
    for number in range(8):
        for side in ("left", "right"):
            folder = root / f"drive{number // 2}" / side
            folder.mkdir(parents=True, exist_ok=True)
            (made / side / f"{number:06d}.png").rename(folder / f"{number % 2:06d}.png")
        (folder.parent / "camera.yaml").write_bytes((made / "camera.yaml").read_bytes())
    (root / "train.txt").write_text("".join(f"drive{n // 2} {n % 2} l\n" for n in range(8)))
    config = replace(config_of(root, weights, tmp_path).config, validation=[])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(plain_settings(config)))
    command = [sys.executable, "-c", TOGETHER, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([*command, own, "--weights", weights], env=environment, stderr=subprocess.PIPE, text=True)
        for own in ("one", "two")
    ]
    errors = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    lines = [(tmp_path / f"{own}.log").read_text().splitlines() for own in ("one", "two")]
    assert all(lines), "one of them has done everything"
    assert sorted(lines[0] + lines[1]) == sorted(str(path) for path in root.glob("*/left/*.png"))
    assert len(list((tmp_path / "hints").rglob("*.npy"))) == 8
    assert len((tmp_path / "hints" / "train-1.txt").read_text().splitlines()) == 8
    assert not list((tmp_path / "hints" / "claims").iterdir())


def test_bad_input_is_refused_with_a_message(tmp_path, weights, capsys):
    root = corridor.drive(tmp_path / "data", frames=2)
    for settings, sentence in (
        ({"every": 0}, "every 0"), ({"offsets": [0]}, "none of them 0"), ({"planes": 3}, "planes 3: give 8 to 1000"),
        ({"nearest": 0.0}, "must be positive"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=sentence):
            config_of(root, weights, tmp_path, **settings)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not empty and contains no hints"):
        prepare_hints(replace(config_of(root, weights, tmp_path), out=str(tmp_path / "mine")))
    with pytest.raises(SystemExit) as stopped:
        main(["prepare", "hints", "--out", "x"])
    assert stopped.value.code == 2
    assert "config" in capsys.readouterr().err
