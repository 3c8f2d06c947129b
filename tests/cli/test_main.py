"""Tests of cli/main.py and the commands.

The command line as a user meets it: good commands work, bad input gets a sentence and status 2.
"""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import fake_datasets
from hrdepth.cli import main
from hrdepth.cli.commands import COMMANDS
from hrdepth.config import ModelsConfig, NetworkConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK


@pytest.fixture
def data(tmp_path):
    return fake_datasets.drive(tmp_path / "data")


@pytest.fixture
def weights(tmp_path):
    save_checkpoint(tmp_path / "net.safetensors", build_network(NETWORK), NETWORK, size=(64, 96))
    return tmp_path / "net.safetensors"


@pytest.fixture
def train_config(data, tmp_path):
    part = {"dataset": "folder", "root": str(data), "split": str(data / "train.txt")}
    config = {
        "train": [part], "validation": [part], "output": str(tmp_path / "run"), "size": [64, 96], "batch_size": 2,
        "epochs": 1, "workers": 0, "network": asdict(NETWORK), "pose_network": asdict(POSE_NETWORK),
        "log": {"panels_every_steps": 0},
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "config.yaml"


def refused(capsys, *arguments):
    """Run a command that must fail; return its one sentence."""
    assert main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("hrdepth: ")
    assert "Traceback" not in said
    assert "\n" not in said
    return said


def test_help_and_version_never_import_torch():
    code = "import sys\nfrom hrdepth.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
    code += "assert 'torch' not in sys.modules, 'torch was imported'"
    for arguments in (["--help"], ["train", "--help"], ["--version"]):
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_train_takes_a_config_and_overrides(train_config, tmp_path, capsys):
    assert main(["train", "--config", str(train_config), "--objective.frames", "[s]", "--seed", "7"]) == 0
    assert "best.safetensors" in capsys.readouterr().out
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (written["objective"]["frames"], written["seed"]) == (["s"], 7)
    # The config that a run writes is one that a run reads.
    assert main(["train", "--config", str(tmp_path / "run" / "config.yaml"), "--output", str(tmp_path / "two")]) == 0


def test_predict_writes_images_and_numbers(weights, data, tmp_path):
    assert main(["predict", str(data / "drive" / "left"), "--weights", str(weights), "--out", str(tmp_path / "o")]) == 0
    content = np.load(tmp_path / "o" / "000000.npz")
    assert content["disparity"].shape == content["depth"].shape == fake_datasets.SIZE
    np.testing.assert_allclose(content["depth"], 1 / (0.01 + 9.99 * content["disparity"]), rtol=1e-5)


def test_options_may_use_hyphens_or_underscores(capsys):
    said = refused(capsys, "import-weights", "--network", "hrdepth", "--encoder", "e.pth", "--depth", "d.pth",
                   "--pose-encoder", "p.pth", "--out", "n.safetensors")  # fmt: skip
    assert "--pose" in said


@pytest.mark.parametrize("written", [["--intrinsics", "60,61.5,48,3.2e1"], ["--intrinsics=[60, 61.5, 48, 32]"]])
def test_numbers_need_no_brackets(weights, data, tmp_path, written):
    image = str(data / "drive" / "left" / "000000.png")
    command = ["predict", image, "--weights", str(weights), "--out", str(tmp_path / "o"), "--runtime", "pytorch"]
    assert main([*command, *written]) == 0
    camera = np.load(tmp_path / "o" / "000000.npz")["intrinsics"]
    assert camera.tolist() == [[60, 0, 48], [0, 61.5, 32], [0, 0, 1]]


def test_unknown_settings_are_refused(train_config, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--config", str(train_config), "--network.nmae", "hrdepth"])
    assert stop.value.code == 2
    assert "nmae" in capsys.readouterr().err


def test_an_unknown_network_suggests_the_nearest(train_config, capsys):
    said = refused(capsys, "train", "--config", train_config, "--network.name", "lite_hrdpeth")
    assert "did you mean 'lite_hrdepth'" in said


def test_control_characters_of_values_are_shown_as_escapes(train_config, capsys):
    assert main(["train", "--config", str(train_config), "--network.name", "a\x1b]0;title\x07b\x9b"]) == 2
    shown = capsys.readouterr().err
    assert "a\\x1b]0;title\\x07b\\x9b" in shown
    assert not set(shown) & set("\x1b\x07\x9b")


def test_a_size_that_is_not_a_multiple_of_32_is_refused(train_config, capsys):
    assert "multiples of 32" in refused(capsys, "train", "--config", train_config, "--size", "[100, 96]")


def test_a_missing_neighbour_is_named_by_line(train_config, data, capsys):
    (data / "drive" / "left" / "000002.png").unlink()
    assert "train.txt:1" in refused(capsys, "train", "--config", train_config)


def test_a_wrong_split_line_is_named(train_config, data, capsys):
    (data / "train.txt").write_text("drive 1 l\ndrive one l\n")
    assert "train.txt:2" in refused(capsys, "train", "--config", train_config)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named(train_config, data, capsys, workers):
    file = data / "drive" / "left" / "000002.png"
    file.write_bytes(file.read_bytes()[:400])
    said = refused(capsys, "train", "--config", train_config, "--workers", workers)
    assert str(file) in said


@pytest.mark.parametrize(("key", "value"), [("fx", 0.58), ("cx", 5000.0), ("fy", 3.6e-3)])
def test_a_camera_matrix_in_the_wrong_unit_is_refused(train_config, data, capsys, key, value):
    file = data / "drive" / "camera.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {key: value}))
    said = refused(capsys, "train", "--config", train_config)
    assert "pixels" in said
    assert "camera.yaml" in said


def test_a_checkpoint_of_another_network_is_refused(train_config, weights, capsys):
    lite = NetworkConfig("lite_hrdepth")
    save_checkpoint(weights, build_network(lite), lite, size=(64, 96))
    said = refused(capsys, "train", "--config", train_config, "--init", weights, "--network.name", "hrdepth")
    assert "holds lite_hrdepth" in said


def test_a_missing_config_file_is_named(capsys):
    assert main(["train", "--config", "nowhere.yaml"]) == 2
    assert "no file and no recipe 'nowhere.yaml'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p.mkdir(), "input is empty"),
        (lambda p: p.with_suffix(".jpg").write_bytes(b"\xff\xd8\xff"), "input.jpg"),
        (lambda p: p.with_suffix(".mp4").write_bytes(b"no video"), "input.mp4"),
        (lambda p: None, "does not exist"),
    ],
)
def test_inputs_without_images_are_refused(weights, tmp_path, capsys, make, sentence):
    make(tmp_path / "input")
    path = next(tmp_path.glob("input*"), tmp_path / "input")
    assert sentence in refused(capsys, "predict", path, "--weights", weights, "--out", tmp_path / "o")


def test_an_output_folder_that_cannot_be_created_is_named(weights, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    Image.new("RGB", (96, 64)).save(tmp_path / "p.png")
    said = refused(capsys, "predict", tmp_path / "p.png", "--weights", weights, "--out", tmp_path / "file" / "o")
    assert "file/o" in said.replace("\\", "/")


def test_results_are_not_overwritten_silently(weights, tmp_path, capsys):
    Image.new("RGB", (96, 64)).save(tmp_path / "p.png")
    command = ["predict", tmp_path / "p.png", "--weights", weights, "--out", tmp_path / "o", "--runtime", "pytorch"]
    assert main(list(map(str, command))) == 0
    capsys.readouterr()
    refused(capsys, *command)
    assert main([*map(str, command), "--overwrite", "true"]) == 0


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path, capsys):
    Image.new("RGB", (96, 64)).save(tmp_path / "p.png")
    (tmp_path / "net.safetensors").write_bytes(b"hello")
    said = refused(capsys, "predict", tmp_path / "p.png", "--weights", tmp_path / "net.safetensors", "--out", "o")
    assert "net.safetensors" in said
    assert not Path("o").exists()


def test_a_network_and_its_saved_predictions_evaluate_the_same(weights, data, tmp_path, capsys):
    truth = ["--data.kind", "drive", "--data.root", str(data), "--protocol.crop", "none"]
    assert main(["evaluate", "--weights", str(weights), *truth, "--out", str(tmp_path / "a")]) == 0
    assert "Abs Rel" in capsys.readouterr().out
    predictor = Predictor.from_file(weights)
    files = [data / "drive" / "left" / f"{number:06d}.png" for number in range(1, 5)]
    np.save(tmp_path / "p.npy", np.stack([predictor.scaled_disparity(Image.open(file)) for file in files]))
    assert main(["evaluate", "--disparities", str(tmp_path / "p.npy"), *truth, "--out", str(tmp_path / "b")]) == 0
    a, b = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in "ab")
    assert a["metrics"] == pytest.approx(b["metrics"])
    assert (a["images"], a["protocol"]["crop"], a["provenance"]["weights"]) == (4, "none", "net.safetensors")
    assert len((tmp_path / "a" / "per_image.csv").read_text().splitlines()) == 5


def test_evaluate_needs_exactly_one_of_weights_and_predictions(weights, data, tmp_path, capsys, monkeypatch):
    truth = ["--data.kind", "drive", "--data.root", data]
    monkeypatch.setattr("hrdepth.weights.find.FOLDER", data)  # no network on board
    assert "comes without weights" in refused(capsys, "evaluate", *truth)
    assert "either --weights" in refused(capsys, "evaluate", *truth, "--weights", weights, "--disparities", weights)
    assert "p.npy does not exist" in refused(capsys, "evaluate", *truth, "--disparities", "p.npy")
    assert "drive" in refused(capsys, "evaluate", "--data.kind", "drives", "--data.root", data, "--weights", weights)


def one_box(course, seed):
    from hrdepth.synthetic import Street
    from hrdepth.synthetic.mesh import MeshBuilder, Placement

    builder = MeshBuilder()
    builder.box(Placement((0, 12), 0.0), (-4, 0, -1), (4, 3, 1), "stone")
    return Street(builder.meshes(), {"stone": np.full((8, 8, 3), 120, np.uint8)})


def test_render_writes_the_frames_and_refuses_other_settings(tmp_path, capsys, monkeypatch):
    pytest.importorskip("mitsuba", reason="rendering needs mitsuba")
    monkeypatch.setattr("hrdepth.synthetic.drive.build_street", one_box)  # a street takes seconds to build
    root = tmp_path / "drives"
    assert main(["render", str(root), "--frames", "3", "--size", "[64, 96]", "--samples_per_pixel", "1"]) == 0
    assert sorted(path.name for path in (root / "drive" / "left").iterdir()) == [f"00000{i}.png" for i in range(3)]
    assert main(["render", str(root), "--frames", "3", "--size", "[64, 128]"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_render_makes_several_drives_of_consecutive_seeds(tmp_path, monkeypatch, capsys):
    made = []
    monkeypatch.setattr("hrdepth.synthetic.render_drive", lambda **settings: made.append(settings))
    assert main(["render", str(tmp_path), "--name", "street", "--seed", "7", "--count", "2"]) == 0
    assert [(one["root"], one["name"], one["seed"]) for one in made] == [
        (str(tmp_path), "street_7", 7), (str(tmp_path), "street_8", 8),
    ]  # fmt: skip
    assert "count" not in made[0]
    assert main(["render", str(tmp_path), "--count", "0"]) == 2
    assert "count 0 must lie between 1 and" in capsys.readouterr().err


def test_a_terminal_without_unicode_loses_no_results(data, tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    arguments = ["--data.kind", "drive", "--data.root", data, "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-m", "hrdepth.cli", "evaluate", *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Abs Rel" in done.stdout
    assert (tmp_path / "out" / "metrics.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_sigterm_and_sighup_end_a_command_as_ctrl_c_does(monkeypatch, capsys, name):
    ended = []

    def command(config: ModelsConfig):
        try:
            signal.raise_signal(getattr(signal, name))
        finally:
            ended.append(config)

    before = signal.getsignal(getattr(signal, name))
    monkeypatch.setitem(COMMANDS, "models", (command, *COMMANDS["models"][1:]))
    assert main(["models"]) == 130
    assert ended
    assert "interrupted; finished results are kept" in capsys.readouterr().err
    assert signal.getsignal(getattr(signal, name)) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_command_under_nohup_goes_on_after_sighup(monkeypatch):
    def command(config: ModelsConfig):
        signal.raise_signal(signal.SIGHUP)

    monkeypatch.setitem(COMMANDS, "models", (command, *COMMANDS["models"][1:]))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["models"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_of_the_system_is_one_sentence_with_path_and_reason(monkeypatch, capsys):
    def command(config: ModelsConfig):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/file")

    monkeypatch.setitem(COMMANDS, "models", (command, *COMMANDS["models"][1:]))
    assert refused(capsys, "models") == "hrdepth: /data/file: the disk is full; finished results are kept"
