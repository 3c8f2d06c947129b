"""Corruption errors by hand, through a library that stands in for the real one."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hrdepth.checkpoints import save_checkpoint
from hrdepth.config import CorruptionsConfig, DepthProtocol, GroundTruthConfig
from hrdepth.data.ground_truth import build_ground_truth
from hrdepth.errors import InputError
from hrdepth.evaluation.corruptions import (
    KITTI_C,
    corrupted,
    corruptions,
    estimation_error,
    measure,
    relative_errors,
    resilience,
)
from hrdepth.networks import build_network
from small import NETWORK

WHOLE = DepthProtocol(crop="none")


def corrupt(pixels, corruption_name, severity):
    assert pixels.dtype == np.uint8
    noise = np.random.randint(0, 1 + 10 * severity, pixels.shape)  # noqa: NPY002 - as the library draws
    return np.clip(pixels.astype(int) - noise * (corruption_name != "fog"), 0, 255).astype(np.uint8)


@pytest.fixture
def library(monkeypatch):
    names = [kind for kind in KITTI_C if kind not in ("dark", "color_quant", "iso_noise")]
    made = SimpleNamespace(corrupt=corrupt, get_corruption_names=lambda subset: [*names, "spatter"])
    monkeypatch.setitem(sys.modules, "imagecorruptions", made)


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for kind in ("depth", "image"):
        (root / kind).mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in "ab":
        depth = random.uniform(2, 8, (64, 96)).astype(np.float32)
        np.save(root / "depth" / f"{name}.npy", depth)
        Image.fromarray(np.rint(400 / depth).astype(np.uint8)).convert("RGB").save(root / "image" / f"{name}.png")
    return GroundTruthConfig("folder", str(root))


def metrics(abs_rel, delta1):
    return {"abs_rel": abs_rel, "delta1": delta1}


def test_errors_by_hand():
    assert estimation_error(metrics(0.2, 0.7)) == pytest.approx(0.25)
    mine = {"clean": {"0": metrics(0.1, 0.9)}, "fog": {"1": metrics(0.2, 0.8), "2": metrics(0.4, 0.6)}}
    mine["snow"] = {"1": metrics(0.1, 0.9), "2": metrics(0.3, 0.7)}
    base = {
        "fog": {"1": metrics(0.3, 0.7), "2": metrics(0.5, 0.5)},
        "snow": {"1": metrics(0.1, 0.9), "2": metrics(0.1, 0.9)},
    }
    assert relative_errors(mine, base) == pytest.approx({"fog": 0.6 / 0.8, "snow": 2.0, "mCE": 1.375})
    assert relative_errors(mine, mine)["mCE"] == 1
    rates = {"fog": (0.8 + 0.6) / 2 / 0.9, "snow": (0.9 + 0.7) / 2 / 0.9}
    assert resilience(mine) == pytest.approx({**rates, "mRR": sum(rates.values()) / 2})


def brightness(image):
    return np.asarray(image.convert("L"), dtype=np.float32) / 255


def test_the_picture_is_corrupted_and_nothing_else(library, data):
    truths = build_ground_truth(data)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = measure(brightness, truths, WHOLE, ["fog", "snow"], [1, 5])
    assert found["fog"]["5"] == found["clean"]["0"]  # the stand-in leaves fog out
    assert found["clean"]["0"]["abs_rel"] < found["snow"]["1"]["abs_rel"] < found["snow"]["5"]["abs_rel"]
    assert measure(brightness, truths, WHOLE, ["snow"], [1])["snow"]["1"] == found["snow"]["1"]  # drawn alike
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    image = Image.new("RGB", (40, 40), (200, 200, 200))
    assert not np.array_equal(corrupted(brightness, "snow", 1)(image), corrupted(brightness, "frost", 1)(image))


def test_the_command(library, data, tmp_path, capsys):
    weights = tmp_path / "net.safetensors"
    save_checkpoint(weights, build_network(NETWORK), NETWORK, size=(64, 96))
    settings = {"protocol": WHOLE, "kinds": ["fog", "snow"], "severities": [1], "runtime": "pytorch"}
    out = tmp_path / "out"
    found = corruptions(CorruptionsConfig(data, str(weights), str(weights), out=str(out), **settings))
    assert found["relative_errors"] == {"fog": 1, "snow": 1, "mCE": 1}
    assert found["lacking"] == ["dark", "color_quant", "iso_noise"]
    written = json.loads((out / "corruptions.json").read_text())
    assert written["errors"] == found["errors"]
    assert "the library lacks dark, color_quant, iso_noise" in (out / "table.md").read_text()
    again = corruptions(CorruptionsConfig(data, str(weights), str(out / "corruptions.json"), **settings))
    assert again["relative_errors"]["mCE"] == 1
    without = corruptions(CorruptionsConfig(data, str(weights), **settings))
    assert "relative_errors" not in without
    assert "no CE: --base was not given" in capsys.readouterr().out
    other = {**settings, "protocol": DepthProtocol(crop="none", max_depth=70.0)}
    with pytest.raises(InputError, match="another protocol"):
        corruptions(CorruptionsConfig(data, str(weights), str(out / "corruptions.json"), **other))
    more = {**settings, "severities": [2]}
    with pytest.raises(InputError, match="no corruptions.json with these"):
        corruptions(CorruptionsConfig(data, str(weights), str(out / "corruptions.json"), **more))


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"kinds": ["iso_noise"]}, "has no 'iso_noise'.*lacks dark, color_quant, iso_noise"),
    ({"kinds": ["fogg"]}, "fog"),
    ({"severities": [0]}, "1 to 5"),
    ({"severities": []}, "1 to 5"),
    ({"protocol": DepthProtocol(post_process=True)}, "flip"),
])  # fmt: skip
def test_bad_settings(library, data, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        corruptions(CorruptionsConfig(data, "net.safetensors", **settings))


def test_without_the_library(monkeypatch, data):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(InputError, match=r"pip install 'hrdepth\[corruptions\]'"):
        corruptions(CorruptionsConfig(data, "net.safetensors"))
