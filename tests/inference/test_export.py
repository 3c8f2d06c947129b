"""Tests of inference/export.py.

`hrdepth export`: files that say what they are, that are checked, and that other programs can read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import SUFFIXES, load_runtime, unavailable
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint

CONFIG = NetworkConfig("hrdepth", {"backbone": "test_resnet", "min_depth": 0.2, "max_depth": 80.0})
DEPLOY = Path(__file__).resolve().parents[2] / "examples" / "deploy.py"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = build_network(CONFIG).eval()
    torch.nn.init.normal_(network.decoder.heads[0].conv.weight, 0, 0.5)
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    made = {"command": "hrdepth train", "licence": "CC-BY-4.0"}
    save_checkpoint(path, network, CONFIG, size=(64, 96), metres_per_unit=5.4, canonical_focal=0.6, provenance=made)
    return path


@pytest.fixture
def image(tmp_path):
    fake_datasets.save(fake_datasets.image(5, size=(120, 200)), tmp_path / "pictures" / "street.png")
    return tmp_path / "pictures" / "street.png"


def needs(suffix):
    if reason := unavailable(SUFFIXES[suffix]):
        pytest.skip(reason)


def export(*arguments):
    return main(["export", *map(str, arguments)])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_exported_file_has_its_metadata_and_predicts_the_same(weights, image, tmp_path, suffix, capsys):
    needs(suffix)
    out = tmp_path / f"net{suffix}"
    assert export(weights, "--out", out) == 0
    assert "differs from PyTorch's by" in capsys.readouterr().out
    exported = Predictor.from_file(out, trust=True)
    described = exported.network.description
    assert described.network == {"name": CONFIG.name, "options": CONFIG.options}
    assert (described.size, described.fixed, described.output, described.precision) == (
        (64, 96),
        True,
        "disparity",
        "float32",
    )
    assert (described.scale.min_depth, described.scale.max_depth, described.scale.metres_per_unit) == (0.2, 80.0, 5.4)
    assert (described.scale.canonical_focal, described.licence) == (0.6, "CC-BY-4.0")
    assert described.provenance["weights_provenance"]["command"] == "hrdepth train"
    intrinsics = [[120, 0, 100], [0, 120, 60], [0, 0, 1]]
    expected = Predictor.from_file(weights, runtime="pytorch")(image, intrinsics)
    np.testing.assert_allclose(exported(image, intrinsics).depth_metres, expected.depth_metres, rtol=1e-3)
    with pytest.raises(InputError, match="accepts only images of 64x96 .*, not 96x96"):
        Predictor.from_file(out, size=(96, 96), trust=True)(image)
    assert export(weights, "--out", out) == 2
    assert f"{out} exists already" in capsys.readouterr().err or suffix == ".xml"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_of_one_size_takes_several_images(weights, image, tmp_path, suffix):
    needs(suffix)
    out = tmp_path / f"net{suffix}"
    assert export(weights, "--out", out) == 0
    fake_datasets.save(fake_datasets.image(6, size=(120, 200)), image.with_name("other.png"))
    command = ["predict", str(image.parent), "--weights", str(out), "--trust", "--flip", "--batch", "2"]
    assert main([*command, "--out", str(tmp_path / "o")]) == 0
    with np.load(tmp_path / "o" / "street.npz") as found:
        expected = Predictor.from_file(weights, runtime="pytorch", flip=True)(image).disparity
        np.testing.assert_allclose(found["disparity"], expected, atol=1e-4)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_exports_support_depth_output_raw_input_and_any_size(weights, image, tmp_path, suffix):
    needs(suffix)
    out = tmp_path / f"net{suffix}"
    assert export(weights, "--out", out, "--dynamic", "--depth", "true", "--normalisation", "false") == 0
    exact = load_runtime(weights, "pytorch")
    for size in ((64, 96), (96, 160)):
        expected = Predictor(exact, size)(image)
        found = Predictor.from_file(out, size=size)(image)
        np.testing.assert_allclose(found.depth, expected.depth, rtol=1e-3)
    runtime = load_runtime(out)
    image = np.random.default_rng(0).random((2, 3, 64, 96), dtype=np.float32)
    metres = runtime.infer((image - np.float32(0.45)) / np.float32(0.225))
    low, high = 1 / 80, 1 / 0.2
    np.testing.assert_allclose(metres, 5.4 / (low + (high - low) * runtime(image)), rtol=1e-3, atol=1e-3)


def test_a_program_for_any_size_is_exported_of_a_backbone_with_same_padding(image, tmp_path):
    """Its padding depends on the size, which torch.export could not follow to an end."""
    config = NetworkConfig("monodepth2", {"backbone": "tf_mobilenetv3_small_minimal_100"})
    torch.manual_seed(0)
    network, path, out = build_network(config).eval(), tmp_path / "net.safetensors", tmp_path / "net.pt2"
    torch.nn.init.normal_(network.decoder.heads[0].conv.weight, 0, 0.5)
    save_checkpoint(path, network, config, size=(64, 96))
    assert export(path, "--out", out, "--dynamic") == 0
    exact = load_runtime(path, "pytorch")
    for size in ((64, 96), (96, 160)):
        expected = Predictor(exact, size)(image)
        found = Predictor.from_file(out, size=size, trust=True)(image)
        np.testing.assert_allclose(found.disparity, expected.disparity, atol=1e-4)


@pytest.mark.slow
def test_int8_exports_have_int8_layers_and_stay_near_float32(weights, image, tmp_path, capsys):
    needs(".xml")
    pytest.importorskip("nncf", reason="nncf is not installed")
    out = tmp_path / "net.xml"
    assert export(weights, "--out", out, "--int8", "--calibration", image.parent) == 0
    runtime = load_runtime(out)
    assert runtime.precision == "int8"
    assert out.with_suffix(".bin").stat().st_size < 0.4 * weights.stat().st_size
    exact, rough = Predictor.from_file(weights)(image), Predictor.from_file(out)(image)
    assert 0 < np.abs(rough.disparity / exact.disparity - 1).mean() < 0.05
    # Of eight bits something is lost: a tolerance of nothing refuses.
    refused = tmp_path / "refused.xml"
    settings = ("--int8", "--calibration", image.parent, "--tolerance", "1e-9")
    assert export(weights, "--out", refused, *settings) == 2
    assert "refused.xml was not written" in capsys.readouterr().err
    assert not list(tmp_path.glob("refused*"))


def test_an_export_reports_abs_rel_before_and_after(weights, tmp_path, capsys, monkeypatch):
    needs(".onnx")
    root = fake_datasets.drive(tmp_path / "data", frames=4)
    data = ("--data.kind", "drive", "--data.root", root, "--protocol.crop", "none")
    assert export(weights, "--out", tmp_path / "net.onnx", *data) == 0
    assert "Abs Rel" in capsys.readouterr().out
    assert export(weights, "--out", tmp_path / "worse.onnx", *data, "--max_loss", "-0.1") == 2
    assert "Abs Rel" in capsys.readouterr().err
    assert not (tmp_path / "worse.onnx").exists()


def test_a_failed_export_leaves_the_old_file(weights, tmp_path, monkeypatch, capsys):
    needs(".onnx")
    out = tmp_path / "net.onnx"
    out.write_bytes(before := b"of another day")
    monkeypatch.setattr("hrdepth.inference.runtimes.graphs.Graph.forward", lambda self, image: self.finest(image) * 0.9)
    assert export(weights, "--out", out, "--overwrite", "true") == 2
    assert "differs from PyTorch by at most" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.parametrize(("suffix", "damaged"), [(".onnx", ".onnx"), (".xml", ".bin"), (".xml", ".xml")])
def test_a_file_that_changed_since_its_export_is_refused(weights, image, tmp_path, suffix, damaged, capsys):
    needs(suffix)
    out = tmp_path / f"net{suffix}"
    assert export(weights, "--out", out, "--size", "64x96") == 0
    if damaged == ".xml":  # that of another export
        file = tmp_path / "net.xml"
        file.write_text(file.read_text().replace("CC-BY-4.0", "CC-BY-9.0", 1))
    else:
        file = out.with_suffix(damaged)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(bytes(content))
    capsys.readouterr()
    command = ["predict", str(image), "--weights", str(out), "--out", str(tmp_path / "o")]
    assert main(command) == 2
    assert "is not as it was exported" in capsys.readouterr().err
    assert main([*command, "--trust"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "net.bin"], "suffix of net.bin is not that of a format"),
        (["--out", "net.xml", "--format", "onnx"], "must end in .onnx"),
        (["--out", "net.onnx", "--format", "onxn"], "did you mean 'onnx'"),
        (["--out", "net.onnx", "--int8", "--calibration", "IMAGES"], "int8 is for --format openvino"),
        (["--out", "net.xml", "--int8"], "give their folder with --calibration"),
        (["--out", "net.onnx", "--calibration", "IMAGES"], "--calibration is for int8"),
        (["--out", "net.onnx", "--size", "[60,96]"], "multiples of 32"),
        (["--out", "nowhere/net.onnx"], "cannot be written"),
    ],
)
def test_bad_settings_are_refused_with_a_message(
    weights, image, arguments, sentence, tmp_path_factory, monkeypatch, capsys
):
    needs(".onnx")
    needs(".xml")
    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.chdir(folder)
    assert export(weights, *(str(image.parent) if one == "IMAGES" else one for one in arguments)) == 2
    assert sentence in capsys.readouterr().err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("suffix", "settings"), [(".onnx", ()), (".xml", ("--depth", "true", "--normalisation", "false"))]
)
def test_the_example_deploys_without_torch_and_hrdepth(weights, image, tmp_path, suffix, settings):
    needs(suffix)
    network, out = tmp_path / f"net{suffix}", tmp_path / "depth.png"
    assert export(weights, "--out", network, *settings) == 0
    blocked = "import runpy, sys; sys.modules.update(torch=None, hrdepth=None); sys.argv = sys.argv[1:]; "
    script = blocked + "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", script, str(DEPLOY), str(network), str(image), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = np.asarray(Image.open(out)) / 256
    expected = Predictor.from_file(weights, runtime="pytorch")(image).depth_metres
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0.02)
    lines = [line for line in DEPLOY.read_text().split('"""', 2)[2].splitlines() if line.strip()]
    assert len(lines) <= 40
    assert "torch" not in "".join(lines)


def test_predict_and_evaluate_take_a_runtime_by_config(weights, image, tmp_path):
    root = fake_datasets.drive(tmp_path / "data", frames=3)
    for runtime, precision in (("pytorch", "bfloat16"), ("onnxruntime", "float32")):
        if unavailable(runtime):
            continue
        chosen = ["--weights", str(weights), "--runtime", runtime, "--precision", precision, "--threads", "1"]
        assert main(["predict", str(image), "--out", str(tmp_path / f"p-{runtime}"), *chosen]) == 0
        data = ["--data.kind", "drive", "--data.root", str(root), "--protocol.crop", "none"]
        assert main(["evaluate", *data, "--out", str(tmp_path / f"e-{runtime}"), *chosen]) == 0
        said = json.loads((tmp_path / f"e-{runtime}" / "metrics.json").read_text())["provenance"]
        assert (said["runtime"], said["precision"]) == (runtime, precision)
