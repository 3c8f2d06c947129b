"""Tests of examples/cuda_check.py and cuda_check.sh: what a machine with a card is asked to do can be understood."""

import subprocess
from pathlib import Path

import cuda_check
import pytest

import fake_datasets
from hrdepth.cli.parser import parse

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("dry", [True, False])
def test_every_step_is_a_command(tmp_path, dry):
    data = fake_datasets.drive(tmp_path / "data", frames=8)
    found = cuda_check.steps(dry, data, tmp_path)
    assert list(found) == ["tests", "benchmark train", "benchmark predict", "training", "labels", "prediction"]
    assert sum(most for most, _ in found.values()) < 900
    for name, (_, arguments) in found.items():
        if name != "tests":
            assert arguments[:2] == ["-m", "hrdepth.cli"]
            command, config = parse(arguments[2:])
            assert command.split()[0] == arguments[2]
            assert getattr(config, "device", "cpu") == ("cpu" if dry else "cuda")


def test_the_script_explains_itself():
    done = subprocess.run([ROOT / "examples" / "cuda_check.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cuda_check.sh run OUT" in done.stdout
