"""Tests of evaluation/corruptions.py and evaluation/corruption_errors.py.

Corruption errors by hand, through a library that stands in for the real one.
"""

import json
import logging
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import CorruptionsConfig, DepthProtocol, GroundTruthConfig, NetworkConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.corruption_errors import (
    KITTI_C,
    corrupted,
    estimation_error,
    measure,
    relative_errors,
    resilience,
)
from hrdepth.evaluation.corruptions import PartialResults, corruptions
from hrdepth.io.files import file_sha256
from hrdepth.networks import build_network
from hrdepth.truth import build_ground_truth
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

WHOLE = DepthProtocol(crop="none")
MONODEPTH2 = NetworkConfig("monodepth2", {"backbone": "test_efficientnet"})


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


def test_corruption_errors_agree_with_a_calculation_by_hand():
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


def test_the_image_is_corrupted_and_nothing_else(library, data):
    truths = build_ground_truth(data)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    found = measure(brightness, truths, WHOLE, ["fog", "snow"], [1, 5])
    assert found["fog"]["5"] == found["clean"]["0"]  # the stand-in leaves fog out
    assert found["clean"]["0"]["abs_rel"] < found["snow"]["1"]["abs_rel"] < found["snow"]["5"]["abs_rel"]
    assert measure(brightness, truths, WHOLE, ["snow"], [1])["snow"]["1"] == found["snow"]["1"]  # drawn alike
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    image = Image.new("RGB", (40, 40), (200, 200, 200))
    assert not np.array_equal(corrupted(brightness, "snow", 1)(image), corrupted(brightness, "frost", 1)(image))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, build_network(MONODEPTH2), MONODEPTH2, size=(64, 96), provenance={"learned": "by heart"})
    return str(path)


SETTINGS = {"protocol": WHOLE, "kinds": ["fog", "snow"], "severities": [1], "runtime": "pytorch"}


def test_the_command_writes_errors_tables_and_where_they_come_from(library, data, weights, tmp_path, capsys):
    out = tmp_path / "out"
    found = corruptions(CorruptionsConfig(data, weights, weights, out=str(out), **SETTINGS))
    assert found["relative_errors"] == {"fog": 1, "snow": 1, "mCE": 1}
    assert found["lacking"] == ["dark", "color_quant", "iso_noise"]
    written = json.loads((out / "corruptions.json").read_text())
    assert written["errors"] == found["errors"]
    assert sorted(path.name for path in out.iterdir()) == ["corruptions.json", "table.md"]
    assert "the library lacks dark, color_quant, iso_noise" in (out / "table.md").read_text()
    about = {"weights": "net.safetensors", "weights_sha256": file_sha256(weights), "size": [64, 96]}
    about |= {"runtime": "pytorch", "precision": "float32", "weights_provenance": {"learned": "by heart"}}
    assert about.items() <= written["provenance"].items()
    assert about.items() <= written["base"].items()
    assert written["base"]["network"]["name"] == "monodepth2"
    again = corruptions(CorruptionsConfig(data, weights, str(out / "corruptions.json"), **SETTINGS))
    assert again["relative_errors"]["mCE"] == 1
    assert again["base"] == {**written["base"], "measured_in": "out/corruptions.json"}
    without = corruptions(CorruptionsConfig(data, weights, **SETTINGS))
    assert "relative_errors" not in without
    assert "no CE: --base was not given" in capsys.readouterr().out
    other = {**SETTINGS, "protocol": DepthProtocol(crop="none", max_depth=70.0)}
    with pytest.raises(InputError, match="another protocol"):
        corruptions(CorruptionsConfig(data, weights, str(out / "corruptions.json"), **other))
    more = {**SETTINGS, "severities": [2]}
    with pytest.raises(InputError, match="not a corruptions.json with these"):
        corruptions(CorruptionsConfig(data, weights, str(out / "corruptions.json"), **more))


def test_the_baseline_must_be_a_monodepth2(library, data, weights, tmp_path):
    other, out = str(tmp_path / "other.safetensors"), tmp_path / "out"
    save_checkpoint(other, build_network(NETWORK), NETWORK, size=(64, 96))
    with pytest.raises(InputError, match=r"'monodepth2', and the base .*other.safetensors is of a network 'hrdepth'"):
        corruptions(CorruptionsConfig(data, weights, other, out=str(out), **SETTINGS))
    assert not out.exists()
    corruptions(CorruptionsConfig(data, other, out=str(out), **SETTINGS))
    result = out / "corruptions.json"
    with pytest.raises(InputError, match="is of a network 'hrdepth'"):
        corruptions(CorruptionsConfig(data, weights, str(result), **SETTINGS))
    content = json.loads(result.read_text())
    result.write_text(json.dumps({**content, "provenance": {}}))  # as they were once written
    with pytest.raises(InputError, match="does not name its network"):
        corruptions(CorruptionsConfig(data, weights, str(result), **SETTINGS))


class Interrupted:
    """The stand-in for the library, interrupted at an image."""

    def __init__(self, monkeypatch, at):
        self.seen, self.at = [], at
        monkeypatch.setattr(sys.modules["imagecorruptions"], "corrupt", self)

    def __call__(self, pixels, corruption_name, severity):
        if len(self.seen) == self.at:
            self.at = None
            raise KeyboardInterrupt
        self.seen.append((corruption_name, severity))
        return corrupt(pixels, corruption_name, severity)


def test_an_interrupted_evaluation_is_resumed(library, data, weights, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    out = tmp_path / "out"
    config = CorruptionsConfig(data, weights, weights, out=str(out), **SETTINGS)
    whole = corruptions(CorruptionsConfig(data, weights, weights, **SETTINGS))
    stand_in = Interrupted(monkeypatch, at=4 + 3)  # after the network: the base's second image in snow
    with pytest.raises(KeyboardInterrupt):
        corruptions(config)
    assert [path.name for path in out.iterdir()] == ["unfinished.json"]
    partial = json.loads((out / "unfinished.json").read_text())["measured"]
    assert {part: list(kinds) for part, kinds in partial.items()} == {
        "weights": ["clean", "fog", "snow"], "base": ["clean", "fog"],
    }  # fmt: skip
    stand_in.seen.clear()
    found = corruptions(config)
    assert stand_in.seen == [("snow", 1)] * 2  # nothing else is measured again
    assert found["errors"] == whole["errors"]
    assert found["relative_errors"] == whole["relative_errors"]
    assert sorted(path.name for path in out.iterdir()) == ["corruptions.json", "table.md"]
    assert "resuming from" in caplog.text


def test_neither_partial_nor_finished_results_are_overwritten_silently(
    library, data, weights, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    out = tmp_path / "out"
    Interrupted(monkeypatch, at=3)
    with pytest.raises(KeyboardInterrupt):
        corruptions(CorruptionsConfig(data, weights, out=str(out), **SETTINGS))
    partial = (out / "unfinished.json").read_bytes()
    for changed, hint in (
        ({"severities": [2]}, r"\(severities \[1\], now \[2\]\)"),
        ({"protocol": DepthProtocol(crop="none", max_depth=70.0)}, r"\(protocol.max_depth 80.0, now 70.0\)"),
        ({"size": (32, 96)}, r"\(weights.size "),
        ({"base": weights}, r"\(base\)"),
    ):
        with pytest.raises(InputError, match=f"unfinished.json was written with other settings {hint}.*--overwrite"):
            corruptions(CorruptionsConfig(data, weights, out=str(out), **{**SETTINGS, **changed}))
    (out / "unfinished.json").write_bytes(b"{")
    with pytest.raises(InputError, match="is damaged"):
        corruptions(CorruptionsConfig(data, weights, out=str(out), **SETTINGS))
    (out / "unfinished.json").write_bytes(partial)
    anew = {**SETTINGS, "severities": [2], "overwrite": True}
    found = corruptions(CorruptionsConfig(data, weights, out=str(out), **anew))
    assert list(found["errors"]["fog"]) == ["2"]
    assert "starting over" in caplog.text
    result = (out / "corruptions.json").read_bytes()
    # A finished result stays until another replaces it, which was asked for;
    with pytest.raises(InputError, match="is not empty"):
        corruptions(CorruptionsConfig(data, weights, out=str(out), **SETTINGS))
    Interrupted(monkeypatch, at=3)
    with pytest.raises(KeyboardInterrupt):
        corruptions(CorruptionsConfig(data, weights, out=str(out), **{**SETTINGS, "overwrite": True}))
    assert (out / "corruptions.json").read_bytes() == result
    # the same command then ends what was interrupted.
    found = corruptions(CorruptionsConfig(data, weights, out=str(out), **SETTINGS))
    assert list(found["errors"]["fog"]) == ["1"]
    assert (out / "corruptions.json").read_bytes() != result
    assert not (out / "unfinished.json").exists()


def test_a_command_killed_after_its_results_were_written_ends_when_repeated(
    library, data, weights, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    config = CorruptionsConfig(data, weights, out=str(out), **SETTINGS)
    with monkeypatch.context() as patched:
        patched.setattr(PartialResults, "done", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            corruptions(config)
    result = json.loads((out / "corruptions.json").read_text())
    assert corruptions(config)["errors"] == result["errors"]
    assert sorted(path.name for path in out.iterdir()) == ["corruptions.json", "table.md"]


def test_measurements_belong_to_the_content_of_images_and_depth(library, data, weights, tmp_path, monkeypatch):
    out = tmp_path / "out"
    Interrupted(monkeypatch, at=3)
    with pytest.raises(KeyboardInterrupt):
        corruptions(CorruptionsConfig(data, weights, out=str(out), **SETTINGS))
    moved = replace(data, root=str(shutil.copytree(data.root, tmp_path / "moved")))
    depth = np.load(tmp_path / "moved" / "depth" / "a.npy")
    np.save(tmp_path / "moved" / "depth" / "a.npy", depth + 0.5)
    with pytest.raises(InputError, match=r"\(data\)"):
        corruptions(CorruptionsConfig(moved, weights, out=str(out), **SETTINGS))
    np.save(tmp_path / "moved" / "depth" / "a.npy", depth)
    found = corruptions(CorruptionsConfig(moved, weights, out=str(out), **SETTINGS))
    np.save(tmp_path / "moved" / "depth" / "a.npy", depth + 0.5)
    with pytest.raises(InputError, match="other frames"):
        corruptions(CorruptionsConfig(moved, weights, str(out / "corruptions.json"), **SETTINGS))
    assert found["errors"] == corruptions(CorruptionsConfig(data, weights, **SETTINGS))["errors"]


def test_the_data_sets_default_protocol_is_used(library, weights, tmp_path):
    root = fake_datasets.cityscapes(tmp_path / "cs")
    data = GroundTruthConfig("cityscapes", str(root))
    found = corruptions(CorruptionsConfig(data, weights, kinds=["fog"], severities=[1], runtime="pytorch"))
    assert (found["protocol"]["crop"], found["protocol"]["max_depth"]) == ("none", 80.0)


def test_an_image_that_is_too_small_is_refused(library, data, weights, capsys):
    Image.new("RGB", (45, 30)).save(f"{data.root}/image/b.png")
    given = ["--data.kind", "folder", "--data.root", data.root, "--weights", weights, "--kinds", "[fog]"]
    assert main(["corruptions", *given, "--severities", "[1]", "--runtime", "pytorch"]) == 2
    error = capsys.readouterr().err
    assert "b.png: the image is 45x30 (width x height); corruptions need at least 32 pixels" in error
    assert "Traceback" not in error


def test_the_real_library_corrupts_an_image():
    library = pytest.importorskip("imagecorruptions")
    known = library.get_corruption_names("all")
    assert [kind for kind in KITTI_C if kind not in known] == ["dark", "color_quant", "iso_noise"]
    image = fake_datasets.image(0, size=(32, 48))
    for kind in (kind for kind in KITTI_C if kind in known):
        clear, same, strong = (
            corrupted(lambda image: np.asarray(image), kind, severity)(image) for severity in (1, 1, 5)
        )
        assert clear.shape == (32, 48, 3)
        assert not np.array_equal(clear, np.asarray(image))
        assert not np.array_equal(clear, strong)
        np.testing.assert_array_equal(clear, same, err_msg=kind)  # drawn alike


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"kinds": ["iso_noise"]}, "has no 'iso_noise'.*lacks dark, color_quant, iso_noise"),
    ({"kinds": ["fogg"]}, "fog"),
    ({"severities": [0]}, "1 to 5"),
    ({"severities": []}, "1 to 5"),
    ({"protocol": DepthProtocol(post_process=True)}, "flip"),
])  # fmt: skip
def test_bad_settings_are_refused(library, data, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        corruptions(CorruptionsConfig(data, "net.safetensors", **settings))


def test_a_missing_library_is_named(monkeypatch, data):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(InputError, match=r"pip install 'hrdepth\[corruptions\]'"):
        corruptions(CorruptionsConfig(data, "net.safetensors"))
