"""The wheel, installed alone: without PyTorch, small, and able to predict and evaluate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
MOST_WHEEL, MOST_INSTALLED = 60e6, 400e6
PREDICT = """
import sys
from pathlib import Path
import hrdepth

prediction = hrdepth.Predictor.from_pretrained()(sys.argv[1])
assert prediction.depth.shape == (60, 90)
assert prediction.runtime == "onnxruntime, float32"
assert not {"torch", "matplotlib", "scipy"} & set(sys.modules)
import importlib.util
assert not any(map(importlib.util.find_spec, ("torch", "torchvision", "timm", "lightning", "matplotlib", "scipy")))
print(Path(hrdepth.__file__).parent)
"""


def run(*command: object, cwd: Path = ROOT) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs_index(*command: object) -> None:
    """Run a command of pip; skip where the package index cannot be reached."""
    try:
        run(*command)
    except AssertionError as error:
        if any(
            sign in str(error) for sign in ("No matching distribution", "Connection", "Max retries", "Temporary fail")
        ):
            pytest.skip(f"packages cannot be fetched here: {str(error)[-300:]}")
        raise


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    needs_index(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT)
    (built,) = folder.glob("hrdepth-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", folder)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    needs_index(binaries / "python", "-m", "pip", "install", "-q", wheel)
    return binaries


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size <= MOST_WHEEL


def test_the_installation_is_small(installed: Path) -> None:
    (packages,) = installed.parent.glob("[Ll]ib/**/site-packages")
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"installed: {size / 1e6:.0f} MB")
    assert size <= MOST_INSTALLED


def test_the_installed_wheel_predicts_and_evaluates(installed: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    (tmp_path / "image").mkdir()
    (tmp_path / "depth").mkdir()
    image = tmp_path / "image" / "a.png"
    Image.fromarray(pixels).save(image)
    np.save(tmp_path / "depth" / "a.npy", np.tile(np.linspace(60, 5, 60, dtype=np.float32)[:, None], (1, 90)))
    home = run(installed / "python", "-c", PREDICT, image, cwd=tmp_path)
    assert str(installed.parent.resolve()) in str(Path(home.strip()).resolve())
    command = installed / "hrdepth"
    run(command, "predict", image, "--out", tmp_path / "out", "--ply", "--glb", "--depth-png", cwd=tmp_path)
    assert (tmp_path / "out" / "a.glb").stat().st_size > 1000
    run(
        command,
        "evaluate",
        "--data.kind",
        "folder",
        "--data.root",
        tmp_path,
        "--out",
        tmp_path / "results",
        cwd=tmp_path,
    )
    assert json.loads((tmp_path / "results" / "metrics.json").read_text())["images"] == 1
    assert "--weights" in run(command, "predict", "--help", cwd=tmp_path)


def test_recipes_are_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    command = installed / "hrdepth"
    assert "kitti-hrdepth-m-640x192 " in run(command, "recipes", cwd=tmp_path)
    shown = run(command, "recipes", "show", "kitti-hrdepth-m-640x192", cwd=tmp_path)
    run(command, "recipes", "copy", "kitti-hrdepth-m-640x192", "mine.yaml", cwd=tmp_path)
    assert (tmp_path / "mine.yaml").read_text() == shown
    assert "root: kitti/raw" in shown


def test_a_training_says_what_it_needs(installed: Path, tmp_path: Path) -> None:
    command = [str(installed / "hrdepth"), "train", "--config", "kitti-hrdepth-m-640x192"]
    for sentence in ("the data folder kitti/raw does not exist", "pip install 'hrdepth[train]'"):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        (tmp_path / "kitti" / "raw").mkdir(parents=True, exist_ok=True)
