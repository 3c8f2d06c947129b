"""Tests of `benchmark_load` of benchmark/train.py.

`hrdepth benchmark load` measures sources and cache side by side and writes what it found.
"""

import json

import pytest
import yaml

import fake_datasets
from hrdepth.cli import main


@pytest.fixture
def config(tmp_path):
    root = fake_datasets.drive(tmp_path / "data")
    part = {"dataset": "folder", "root": str(root), "split": str(root / "train.txt")}
    content = {"train": [part], "validation": [part], "output": "run", "size": [64, 96], "batch_size": 2}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "train.yaml"


def test_a_tiny_run_writes_valid_json(config, tmp_path, capsys):
    cache, out = tmp_path / "cache", tmp_path / "results.json"
    assert main(["prepare", "--config", str(config), "--cache", str(cache)]) == 0
    command = ["benchmark", "load", "--config", str(config), "--cache", str(cache), "--seconds", "0.2",
               "--workers", "[0,1]", "--out", str(out)]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    content = json.loads(out.read_text())
    names = ["sources, main process", "cache, main process", "sources, 1 worker", "cache, 1 worker"]
    assert [one["name"] for one in content["measurements"]] == names
    assert all(name in printed for name in names)
    for one in content["measurements"]:
        assert one["unit"] == "samples/s"
        assert one["median"] > 0
        assert one["samples"] == 12
    assert content["settings"]["config"]["size"] == [64, 96]
    assert content["peak_memory_mib"]["main_process"] > 50
    assert content["provenance"]["machine"]["memory_gib"] > 0
    assert content["provenance"]["versions"]["torch"]
    # Results are not overwritten silently.
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "value"), [("--workers", "[]"), ("--workers", "[-1]"), ("--seconds", "0"), ("--cache", "nowhere")]
)
def test_bad_settings_are_refused_with_a_message(setting, value, config, capsys):
    assert main(["benchmark", "load", "--config", str(config), setting, value]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("hrdepth: ")
    assert setting[2:] in printed
