"""Tests of examples/images.py.

`examples/images.py`, works with a tiny network, and in a browser.
"""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import need_chromium
from hrdepth.config import NetworkConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "images.py"


@pytest.fixture
def images(tmp_path, monkeypatch):
    """The script, with a tiny network for the bundled one and two tiny streets."""
    spec = importlib.util.spec_from_file_location("images", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = NetworkConfig("lite_hrdepth")
    save_checkpoint(tmp_path / "tiny.safetensors", build_network(network), network, size=(64, 96))
    monkeypatch.setattr(module, "EXAMPLES", tmp_path / "streets")
    monkeypatch.setattr(module, "WEIGHTS", str(tmp_path / "tiny.safetensors"))
    (tmp_path / "streets").mkdir()
    for number in range(2):
        street = Image.linear_gradient("L").rotate(90 * number).resize((80, 40)).convert("RGB")
        street.save(tmp_path / "streets" / f"{number}.jpg", quality=95)
    return module


def run(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["images.py", *map(str, arguments)])
    module.main()


@pytest.mark.slow
def test_each_street_is_shown_above_its_disparity(images, tmp_path, monkeypatch, capsys):
    run(images, monkeypatch, "--out", tmp_path / "out", "--no-page")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["street.jpg"]
    assert str(tmp_path / "out" / "street.jpg") in capsys.readouterr().out
    made = np.asarray(images.street())
    edge = images.EDGE
    assert made.shape == (2 * 40 + edge, 2 * 80 + edge, 3)
    assert Image.open(tmp_path / "out" / "street.jpg").size == made.shape[1::-1]
    prediction = Predictor.from_file(tmp_path / "tiny.safetensors")(tmp_path / "streets" / "1.jpg")
    np.testing.assert_array_equal(made[:40, 80 + edge :], prediction.image)
    np.testing.assert_array_equal(made[40 : 40 + edge], 255)
    colours = images.colorize_disparity(prediction.disparity)
    assert np.abs(made[40 + edge :, 80 + edge :].astype(int) - colours).mean() < 2


def test_a_missing_browser_is_reported(images, tmp_path, monkeypatch):
    pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(images.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="needs Chromium.*--no-page"):
        run(images, monkeypatch, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "app.png").exists()


@pytest.mark.slow
def test_the_page_is_photographed(images, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "PAUSE", 500)
    need_chromium()
    pytest.importorskip("gradio", reason="needs gradio (extra app)")
    # In a thread of its own: playwright refuses a second browser in one where other tests have one open.
    with ThreadPoolExecutor(1) as threads:
        threads.submit(images.photograph, tmp_path / "app.png").result()
    seen = np.asarray(Image.open(tmp_path / "app.png").convert("RGB")).astype(float)
    assert seen.shape == (images.VIEW["height"], images.VIEW["width"], 3)
    assert seen.std() > 30, "there is something to see"
