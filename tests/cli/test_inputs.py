"""Tests of cli/inputs.py: a wrong argument is answered before PyTorch, or any other large package, is imported.

Times are not asserted: the large packages are hidden, so that a command that imports one says what to install instead.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import hrdepth.training  # noqa: F401
from hrdepth.cli import main
from hrdepth.cli.commands import COMMANDS
from without_extras import run

DATA = ["--data.kind", "folder", "--data.root", "data"]
NETWORK = ["--weights", "street"]
PARTS = ("table1", "table2", "table3", "table4", "figure2", "resolution", "figure4", "figure5")
REPRODUCED = [f"reproduce {part}" for part in PARTS]
# Of each command: arguments of which one is wrong, and a word of the answer.
WRONG = {
    "train": [
        (["--config", "none.yaml"], "none.yaml"),
        (["--config", "demo"], "demo/drive does not exist"),
        (["--config", "twice.yaml"], "twice.yaml: 'epochs' is given twice"),
        (["--config", "empty.yaml"], "empty.yaml holds no settings"),
        (["--config", "kitti-hrdepth-m-640x19"], "did you mean kitti-hrdepth-m-640x192?"),
        (["--data", "none"], "none does not exist"),
        (["--config", "train.yaml", "--precision", "bf17"], "bf16-mixed"),
        (["--config", "train.yaml", "--size", "[100, 96]"], "multiples of 32"),
        (["--config", "train.yaml", "--device", "cudo"], "unknown device 'cudo'"),
        (["--config", "train.yaml", "--init", "stret"], "stret does not exist"),
        (["--config", "train.yaml", "--output", "data", "--resume", "none.ckpt"], "no training checkpoint none.ckpt"),
        (["--config", "train.yaml", "--objective.options.teacher", "stret"], "stret does not exist"),
        (
            [
                "--config",
                "train.yaml",
                "--objective.name",
                "supervised",
                "--objective.options.other",
                "{name: distillation, options: {teacher: stret}}",
            ],
            "stret does not exist",
        ),
        (["--config", "train.yaml", "--augment.hue", "0.7"], "between 0 and 0.5"),
        (["--config", "train.yaml", "--device", "meta"], "unknown device 'meta'"),
        (["--config", "train.yaml", "--optimiser.decay_after", "0"], "decay_after 0 must be at least 1"),
        (["--config", "train.yaml", "--network.name", "hrdpeth"], "did you mean 'hrdepth'"),
        (["--config", "train.yaml", "--pose_network.name", "posnet"], "did you mean 'posenet'"),
        (["--config", "train.yaml", "--objective.name", "view_synthesi"], "did you mean 'view_synthesis'"),
        (["--config", "train.yaml", "--train", "[{dataset: foldre, root: data}]"], "did you mean 'folder'"),
        (["--config", "train.yaml", "--train", "[{dataset: folder, root: data, options: {x: 1}}]"], "option 'x'"),
    ],
    "diagnose": [(["none"], "no run's folder")],
    "scan": [(["--config", "none"], "none"), (["--config", "demo"], "demo/drive does not exist")],
    "report": [(["none"], "no run's folder")],
    "recipes list": [(["--jsn"], "--jsn")],
    "recipes show": [(["kitti-hrdepth"], "unknown recipe")],
    "recipes copy": [(["kitti-hrdepth"], "unknown recipe"), (["demo", "data"], "data")],
    "evaluate": [
        (["--data.kind", "foldre", "--data.root", "data"], "did you mean 'folder'"),
        (["--data.kind", "folder", "--data.root", "none"], "none does not exist"),
        ([*DATA, "--weights", "stret"], "stret does not exist"),
        ([*DATA, "--disparities", "none.npy"], "none.npy does not exist"),
        ([*DATA, "--runtime", "onnx"], "unknown runtime"),
        ([*DATA, "--bootstrap", "99999999999999999999"], "must lie between 40 and 100000"),
        ([*DATA, "--bootstrap", "5"], "bootstrap 5 must lie between 40 and 100000, or be 0 for none"),
        ([*DATA, "--points_threshold", "0"], "points_threshold 0 must be positive, and finite"),
        ([*DATA, "--precision", "int9"], "did you mean 'int8'"),
        ([*DATA, "--protocol.crop", "eigen"], "eigen"),
        ([*DATA, "--format", "html"], "html"),
    ],
    "corruptions": [
        (["--data.kind", "folder", "--data.root", "none", *NETWORK], "none does not exist"),
        ([*DATA, "--weights", "stret"], "stret does not exist"),
        ([*DATA, *NETWORK, "--base", "none.json"], "none.json does not exist"),
    ],
    "tabulate": [(["none"], "none"), (["data", "--metrics", "[x]"], "unknown metric")],
    "compare": [
        (["stret", *DATA, "--out", "out"], "stret does not exist"),
        (["street", "--data.kind", "folder", "--data.root", "none", "--out", "out"], "none does not exist"),
    ],
    "odometry": [
        (["none", *NETWORK, "--out", "out"], "none does not exist"),
        (["rtsp://host/a", *NETWORK, "--out", "out"], "live"),
        (["data", "--weights", "stret", "--out", "out"], "stret does not exist"),
        (["data", *NETWORK, "--out", "out", "--poses", "none.txt"], "none.txt does not exist"),
        (["data", *NETWORK, "--out", "out", "--size", "0x0"], "size 0 must lie between 1 and 16384"),
    ],
    "calibrate-scale": [
        (["street", "--out", "out", "--input", "data"], "at least one of camera_height"),
        (["street", "--out", "out", "--input", "none", "--speed", "9"], "none does not exist"),
        (["street", "--out", "out", "--input", "data", "--poses", "none.txt"], "none.txt does not exist"),
        (["street", "--out", "net.onnx", "--input", "data", "--speed", "9"], "must end in .safetensors"),
    ],
    "predict": [
        ([""], "input is empty"),
        (["deep"], "deep contains no images (such as .jpg or .png), but sub"),
        (["image.png", "--intrinsics", "0.58,1.92,0.5,0.5"], "cannot be pixels of a 96x64 image"),
        (["image.png", "--intrinsics", "1e300,700,48,32"], "cannot be pixels of a 96x64 image"),
        (["none.jpg"], "none.jpg does not exist"),
        (["image.png", "none.jpg"], "none.jpg does not exist"),
        (["image.png", "data"], "data is a folder; of several inputs each must be an image"),
        (["image.png", "image.png", "--ray", "auto"], "on a Ray cluster give one input"),
        (["camera:77"], "there is no camera 77"),
        (["image.png", "--weights", "stret"], "stret does not exist; bundled: street"),
        (["image.png", "--runtime", "onx"], "unknown runtime"),
        (["image.png", "--precision", "int9"], "did you mean 'int8'"),
        (["image.png", "--device", "cudo"], "unknown device"),
        (["image.png", "--write", "[x]"], "unknown output 'x'"),
        (["image.png", "--smooth", "flow"], "not one image"),
        (["image.png", "--size", "[100, 96]"], "multiples of 32"),
        (["image.png", "--threads", "0"], "0 threads"),
        (["image.png", "--threads", "99999999999999999999"], "threads: give 1 to 4096"),
        (["image.png", "--batch", "0"], "batch 0 must lie between 1 and"),
        (["data", "--batch", "99999999999999999999"], "batch 99999999999999999999 must lie between 1 and"),
        (["image.png", "--size", "999968x999968"], "is too large for a network"),
        (["image.png", "--intrinsics", "1,2,3"], "expected four finite numbers, fx,fy,cx,cy in pixels"),
        (["image.png", "--ray_gpus", ".nan"], "ray_gpus nan must be 0 or more, and finite"),
        (["image.png", "--precision", "int8", "--calibration", "none"], "none does not exist"),
        (["image.png", "--out", "data"], "not empty"),
    ],
    "app": [
        (["--weights", "[stret]"], "stret does not exist"),
        (["--runs", "[none]"], "none does not exist"),
        (["--device", "cudo"], "unknown device"),
        (["--port", "-1"], "port -1 must lie between"),
        (["--limits.megabytes", "-5"], "megabytes -5 must be positive, and finite"),
        (["--limits.seconds", ".nan"], "seconds nan must be positive, and finite"),
        (["--limits.visitor_megabytes", "0"], "visitor_megabytes 0 must be positive, and finite"),
    ],
    "export": [
        (["street", "--out", "net.onnx", "--tolerance", "-1"], "tolerance -1 must be positive, and finite"),
        (["stret", "--out", "net.onnx"], "stret does not exist"),
        (["street", "--out", "net.xyz"], "net.xyz"),
        (["street", "--out", "net.onnx", "--format", "tflite"], "unknown format"),
        (["street", "--out", "net.xml", "--int8", "--calibration", "none"], "none does not exist"),
    ],
    "pack": [
        (["stret", "--out", "net.safetensors"], "stret does not exist"),
        (["street", "--out", "net.pth"], "must end in .safetensors"),
        (["street", "--out", "net.safetensors", "--card", "none.yaml"], "none.yaml does not exist"),
        (["street", "--out", "net.safetensors", "--images", "none"], "none does not exist"),
        (["street", "--out", "net.safetensors", "--dtype", "float8"], "did you mean 'float"),
    ],
    "import-weights": [
        (["--network", "hrdepth", "--encoder", "none.pth", "--depth", "d.pth", "--out", "n.safetensors"], "none.pth"),
        (["--network", "hrdepth", "--encoder", "e.pth", "--depth", "d.pth", "--out", "n.pth"], "end in .safetensors"),
        (["--network", "hrdpeth", "--encoder", "e.pth", "--depth", "d.pth", "--out", "n.safetensors"], "'hrdepth'?"),
        (["--network", "packnet", "--encoder", "e.pth", "--depth", "d.pth", "--out", "n.safetensors"], "published"),
    ],
    "serve": [(["data"], "data"), (["none"], "none"), (["data", "--port", "65536"], "port 65536 must lie between")],
    "render": [(["out", "--frames", "0"], "frames 0 must lie between 3 and")],
    "models": [(["--jsn"], "--jsn")],
    "prepare video": [
        (["none.mp4", "--out", "out"], "none.mp4 does not exist"),
        (["data", "--out", "out", "--intrinsics", "none.yaml"], "none.yaml does not exist"),
        (["data", "--out", "out", "--fit", "squash"], "squash"),
        (["data", "--out", "out", "--fov", "80", "--camera", "3"], "--camera 3 names a camera of a calibration file"),
        (["data", "--out", "out", "--fov", "80", "--fps", "1e-320"], "must lie between 1e-09 and 1e+09"),
    ],
    "prepare cache": [
        (["--cache", "cache", "--config", "none.yaml"], "none.yaml"),
        (["--cache", "none", "--verify"], "none does not exist"),
        (["--config", "elsewhere.yaml", "--cache", "cache"], "none does not exist"),
    ],
    "prepare hints": [
        (["--config", "none.yaml", "--out", "out"], "none.yaml"),
        (["--config", "train.yaml", "--out", "out", "--weights", "stret"], "stret does not exist"),
        (["--config", "elsewhere.yaml", "--out", "out"], "none does not exist"),
    ],
    "prepare shards": [
        (["--config", "none.yaml", "--out", "out"], "none.yaml"),
        (["--config", "elsewhere.yaml", "--out", "out"], "none does not exist"),
    ],
    "prepare labels": [
        (["--data", "none", "--teacher", "street"], "none does not exist"),
        (["--data", "data", "--teacher", "stret"], "stret does not exist"),
    ],
    "prepare kitti": [
        (["none"], "none does not exist"),
        (["data", "--lists", "[eigen_zho/train]"], "did you mean 'eigen_zhou/train'"),
        (["data", "--test", "none.txt"], "none.txt does not exist"),
    ],
    "prepare kitti-odometry": [(["none"], "none does not exist"), (["data", "--train", "[x]"], "archives missing")],
    "prepare cityscapes": [(["none"], "none does not exist"), (["data", "--parts", "[all]"], "all")],
    "doctor": [
        (["none"], "none does not exist"),
        (["image.png"], "image.png is a file"),
        (["data", "--ignore", "[x]"], "unknown kind of finding 'x'"),
    ],
    "benchmark load": [
        (["--config", "none.yaml"], "none.yaml"),
        (["--config", "elsewhere.yaml"], "none does not exist"),
    ],
    "benchmark train": [
        (["--device", "cudo"], "unknown device"),
        (["--network.name", "hrdpeth"], "did you mean 'hrdepth'"),
    ],
    "benchmark predict": [
        ([], "either --weights"),
        (["--weights", "stret"], "stret does not exist"),
        (["--network", "hrdpeth"], "did you mean 'hrdepth'"),
        ([*NETWORK, "--runtimes", "[onx]"], "unknown runtime"),
        ([*NETWORK, "--table", "table.doc"], "table.doc"),
    ],
    "benchmark evaluate": [(["--table", "table.doc"], "table.doc")],
    "benchmark export": [
        (["--weights", "stret"], "stret does not exist"),
        (["--network", "hrdpeth"], "did you mean 'hrdepth'"),
        ([*NETWORK, "--formats", "[tflite]"], "unknown format"),
    ],
    "benchmark start": [(["--weights", "stret"], "stret does not exist"), (["--runtimes", "[onx]"], "unknown runtime")],
    "benchmark app": [(["--weights", "stret"], "stret does not exist"), (["--network", "x"], "unknown network 'x'")],
    **{
        name: [
            (["--config", "none.yaml"], "none.yaml"),
            (["x=stret", *DATA, "--out", "out"], "stret does not exist"),
            (["x=lr=1.safetensors", *DATA, "--out", "out"], " lr=1.safetensors does not exist"),
            (["--data.kind", "folder", "--data.root", "none", "--out", "out"], "none does not exist"),
        ]
        for name in REPRODUCED
    },
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image, a folder of two, and a training config whose lists are missing."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    (tmp_path / "data").mkdir()
    (tmp_path / "deep" / "sub").mkdir(parents=True)
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    (tmp_path / "twice.yaml").write_text("epochs: 1\nepochs: 2\n")
    for name in ("image.png", "data/a.png", "data/b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    part = {"dataset": "folder", "root": "data", "split": "data/train.txt"}
    settings = {"train": [part], "validation": [part], "output": "run", "size": [64, 96]}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))
    missing = {**part, "root": "none"}
    (tmp_path / "elsewhere.yaml").write_text(yaml.safe_dump({**settings, "train": [missing]}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_answers_a_wrong_argument_without_large_packages(folder):
    before = {path.name for path in Path().iterdir()}
    commands = [([*name.split(), *arguments], word) for name, cases in WRONG.items() for arguments, word in cases]
    answers = run(*(command for command, _ in commands))
    wrong = {
        " ".join(command): error[-300:]
        for (command, word), (status, _, error) in zip(commands, answers, strict=True)
        if status != 2 or word not in error or "pip install" in error or "Traceback" in error
    }
    assert not wrong, json.dumps(wrong, indent=1)
    assert {path.name for path in Path().iterdir()} == before


def test_every_command_has_a_case():
    assert set(WRONG) == set(COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network.name", "hrdpeth"], "did you mean 'hrdepth'"),
        (["--network.options.nothing", "1"], "nothing"),
        (["--pose_network.name", "posnet"], "did you mean 'posenet'"),
        (["--objective.name", "view_synthesi"], "did you mean 'view_synthesis'"),
        (["--objective.options.nothing", "1"], "nothing"),
    ],
)
def test_options_of_networks_and_objectives_are_checked_before_data_are_opened(
    folder, arguments, message, capsys, monkeypatch
):
    def opened(*_):
        raise AssertionError("data are opened")

    monkeypatch.setattr(sys.modules["hrdepth.training.train"], "check_data", opened)
    assert main(["train", "--config", "train.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err
