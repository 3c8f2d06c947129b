"""Tests of benchmark/start.py.

`hrdepth benchmark start` measures whole processes and writes what they took.
"""

import json

import pytest

from hrdepth.benchmark import start
from hrdepth.benchmark.start import benchmark_start
from hrdepth.cli import main
from hrdepth.config import BenchmarkStartConfig
from hrdepth.inference.runtimes import unavailable


def test_every_process_is_measured(tmp_path, capsys):
    out = tmp_path / "start.json"
    assert main(["benchmark", "start", "--rounds", "2", "--image_size", "[60, 90]", "--out", str(out)]) == 0
    written = json.loads(out.read_text())
    rows = {row["name"]: row for row in written["measurements"]}
    wanted = {"import numpy, PIL, onnxruntime", "import hrdepth", "hrdepth --help", "predict, onnxruntime"}
    if unavailable("openvino") is None:
        wanted |= {"predict, openvino, first run", "predict, openvino"}
    assert wanted <= set(rows)
    assert all(row["median"] > 0 for row in rows.values())
    # Processor seconds of the same runs: without PyTorch they are few, on however busy a machine.
    processor = {name: min(one[1] for one in samples) for name, samples in written["samples"].items()}
    assert processor["predict, onnxruntime"] < 3
    assert processor["predict, an image that does not exist"] < 1
    # Of each process itself: this one, which starts them, has PyTorch.
    peak = {name: max(one[2] for one in samples) for name, samples in written["samples"].items()}
    assert not peak["predict, onnxruntime"] > 300
    assert not peak["import hrdepth"] > 25
    assert "MiB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runtimes", "[onnxrutime]"], "did you mean 'onnxruntime'"),
        (["--rounds", "0"], "rounds 0"),
        (["--image_size", "0x90"], "must be positive"),
        (["--weights", "nothing"], "weights file nothing does not exist"),
    ],
)
def test_bad_settings_are_refused(arguments, message, capsys):
    assert main(["benchmark", "start", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_weights_are_named_to_the_processes_by_their_whole_path(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(start, "_measure", lambda command, folder: commands.append(command) or (1.0, 1.0, 1.0))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"")
    benchmark_start(BenchmarkStartConfig(weights="net.onnx", runtimes=["onnxruntime"], image_size=(6, 9), rounds=1))
    [given] = [command[command.index("--weights") + 1] for command in commands if "--weights" in command]
    assert given == str(tmp_path / "net.onnx")


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path, monkeypatch):
    monkeypatch.setattr(start, "_measure", lambda command, folder: (1.0, float("nan"), float("inf")))
    out = tmp_path / "start.json"
    benchmark_start(BenchmarkStartConfig(runtimes=["onnxruntime"], image_size=(6, 9), rounds=1, out=str(out)))
    samples = json.loads(out.read_text(), parse_constant=pytest.fail)["samples"]
    assert all(one == [1.0, None, None] for values in samples.values() for one in values)


def test_the_default_image_is_of_kittis_size():
    assert BenchmarkStartConfig().image_size == (375, 1242)
