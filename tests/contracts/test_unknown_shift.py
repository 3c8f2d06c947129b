"""A network that learned from an affine teacher alone has disparity and no depth: everything that it gives says so."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

import fake_datasets
from hrdepth.camera import DepthScale
from hrdepth.cli import main
from hrdepth.config import CalibrateScaleConfig, DepthProtocol, ExportConfig, GroundTruthConfig, Outputs, PackConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.evaluate import evaluate_network, protocol_for
from hrdepth.evaluation.metric_scale import calibrate_scale
from hrdepth.inference.export import export
from hrdepth.inference.folder import predict_to_folder
from hrdepth.inference.outputs import OUTPUTS
from hrdepth.inference.pack import pack
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.truth import build_ground_truth
from hrdepth.web.pack import pack_page
from hrdepth.weights.card import card_text
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK

SIZE = (64, 96)
SAID = "up to a factor and a shift that differ from image to image"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = build_network(NETWORK)
    network.scale = replace(network.scale, shift=None, canonical_focal=0.58)
    path = tmp_path_factory.mktemp("weights") / "affine.safetensors"
    save_checkpoint(path, network, NETWORK, size=SIZE, licence="MIT")
    return path


@pytest.fixture
def image(tmp_path):
    fake_datasets.save(fake_datasets.image(0), tmp_path / "pictures" / "street.png")
    return tmp_path / "pictures" / "street.png"


def test_the_weights_file_and_its_card_say_so(weights, tmp_path):
    found = read_checkpoint(weights)
    assert found.scale == DepthScale(canonical_focal=0.58, shift=None)
    report = pack(PackConfig(str(weights), str(tmp_path / "packed.safetensors")))
    assert read_checkpoint(report.path).scale.shift is None
    for card in (card_text(found, ""), report.card.read_text()):
        assert SAID in card
        assert "prediction.disparity  # (H,W); there is no depth" in card
        assert "prediction.depth" not in card


def test_a_prediction_has_disparity_and_no_depth(weights, image):
    prediction = Predictor.from_file(weights, device="cpu")(image)
    assert prediction.disparity.shape == prediction.scaled_disparity.shape
    assert SAID in prediction.scale
    for name in ("depth", "best_depth", "depth_metres"):
        with pytest.raises(InputError, match=f"gives no depth: 1/depth is known {SAID}; .* predict with --shift VALUE"):
            getattr(prediction, name)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(prediction)
    assert SAID in shown.get()
    assert "median" in shown.get()


def test_a_given_shift_gives_depth(weights, image):
    plain = Predictor.from_file(weights, device="cpu")(image)
    shifted = Predictor.from_file(weights, device="cpu", shift=0.25)(image)
    np.testing.assert_allclose(shifted.depth, 1 / (plain.scaled_disparity + 0.25), rtol=1e-5)
    assert "up to scale" in shifted.scale
    with pytest.raises(InputError, match=r"the shift 0.25 is for networks whose shift is unknown"):
        Predictor(lambda image: {0: image[:, :1]}, (32, 64), shift=0.25)


def test_files_of_depth_are_refused_and_the_manifest_says_why(weights, image, tmp_path):
    predictor = Predictor.from_file(weights, device="cpu")
    for name, output in OUTPUTS.items():
        options = {"npz": False, "panel": False} | ({} if name == "disparity" else {name: True})
        out = tmp_path / name
        if output.of_depth:
            with pytest.raises(InputError, match=f"needs depth, which this network does not give: .*{SAID}.*--shift"):
                predict_to_folder(predictor, image, out, Outputs(**options))
            assert not out.exists()
        else:
            predict_to_folder(predictor, image, out, Outputs(**options))
            about = json.loads((out / "predict.json").read_text())
            assert about["network"]["shift"] is None
            assert SAID in about["units"]["depth"]
            assert about["units"]["metres"] is None
    with np.load(tmp_path / "npz" / "street.npz") as found:
        assert {"disparity", "scale"} <= set(found)
        assert "depth" not in found
        assert SAID in str(found["scale"])


def test_the_command_gives_depth_with_a_shift_alone(weights, image, tmp_path, capsys):
    command = ["predict", str(image), "--weights", str(weights), "--device", "cpu", "--runtime", "pytorch", "--ply"]
    assert main([*command, "--out", str(tmp_path / "none")]) == 2
    assert SAID in capsys.readouterr().err
    assert main([*command, "--shift", "0.1", "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "street.ply").is_file()
    about = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert about["network"]["shift"] == 0.1
    assert "x disparity + 0.1)" in about["units"]["depth"]


def test_exported_files_carry_it_and_depth_is_not_exported(weights, image, tmp_path):
    pytest.importorskip("onnx", reason="needs onnx")
    with pytest.raises(InputError, match="gives no depth"):
        export(ExportConfig(str(weights), str(tmp_path / "depth.onnx"), depth=True))
    export(ExportConfig(str(weights), str(tmp_path / "affine.onnx")))
    predictor = Predictor.from_file(tmp_path / "affine.onnx")
    assert predictor.scale.shift is None
    with pytest.raises(InputError, match="gives no depth"):
        _ = predictor(image).depth
    deploy = Path(__file__).resolve().parents[2] / "examples" / "deploy.py"
    command = [sys.executable, str(deploy), str(tmp_path / "affine.onnx"), str(image), str(tmp_path / "depth.png")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "gives disparity and no depth" in ended.stderr


def test_the_page_without_a_server_is_refused(weights, tmp_path):
    with pytest.raises(InputError, match="gives no depth"):
        pack_page(PackConfig(str(weights), web=str(tmp_path / "page")))
    assert not (tmp_path / "page").exists()


def test_an_evaluation_aligns_scale_and_shift_and_says_so(weights, tmp_path, capsys):
    root = fake_datasets.drive(tmp_path / "data", stereo=False)
    command = [
        "evaluate",
        "--weights",
        str(weights),
        "--device",
        "cpu",
        "--runtime",
        "pytorch",
        "--data.kind",
        "drive",
        "--data.root",
        str(root),
    ]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert "scale and shift" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["protocol"]["scaling"] == "affine"
    assert content["protocol"]["in_words"]["scaling"].startswith("affine: each image's disparity")
    assert main([*command, "--protocol.scaling", "5.4"]) == 2
    assert "give --protocol.scaling affine" in capsys.readouterr().err


def test_the_alignment_leaves_no_error_of_scale_and_shift(tmp_path):
    root = fake_datasets.drive(tmp_path / "data", stereo=False)
    truths = build_ground_truth(GroundTruthConfig("drive", str(root)))
    wrong = (4 / truths[0].depth + 0.7).astype(np.float32)
    protocol = protocol_for(DepthScale(shift=None), DepthProtocol(crop="none"))
    assert protocol.scaling == "affine"
    assert evaluate_network(lambda image: wrong, truths, protocol, progress=False).mean["abs_rel"] < 1e-5
    assert evaluate_network(lambda image: wrong, truths, progress=False).mean["abs_rel"] > 0.1


def test_no_metres_can_be_measured(weights, image, tmp_path):
    config = CalibrateScaleConfig(
        input=str(image.parent), weights=str(weights), out=str(tmp_path / "metric.safetensors"), camera_height=1.5,
        intrinsics=(55.0, 60.0, 47.0, 31.0), device="cpu",
    )  # fmt: skip
    with pytest.raises(InputError, match="gives no depth"):
        calibrate_scale(config)


def test_the_page_shows_disparity_and_offers_no_points(weights, image, tmp_path):
    pytest.importorskip("gradio", reason="needs gradio (extra app)")
    from hrdepth.app import answers
    from hrdepth.app.visitors import Session
    from hrdepth.config import UploadLimits

    folder = tmp_path / "visitor"
    folder.mkdir()
    session = Session(folder)
    answers.load_upload(session, image, UploadLimits())
    answers.answer(session, Predictor.from_file(weights, device="cpu"))
    found = answers.depth_at(session, 0.5, 0.5)
    assert (found["depth"], found["unit"]) == (None, "")
    assert SAID in answers.scale_caveat(session.answered)
    assert [path.rpartition("street")[2] for path in answers.write_downloads(session)] == ["_disparity.png", ".npz"]
    with pytest.raises(InputError, match="gives no depth"):
        answers.cloud_for_page(session)


def test_networks_with_depth_are_as_before():
    assert DepthScale(0.2, 80.0, 5.4, 0.58).as_dict() == {
        "min_depth": 0.2, "max_depth": 80.0, "metres_per_unit": 5.4, "canonical_focal": 0.58,
    }  # fmt: skip
    assert DepthScale(shift=None).as_dict()["shift"] is None
    with pytest.raises(InputError, match="depth of an unknown shift has no metres"):
        DepthScale(metres_per_unit=1.0, shift=None)
    with pytest.raises(InputError, match="shift is nan"):
        DepthScale(shift=float("nan"))


def test_nothing_is_farther_than_the_range():
    scale = DepthScale(1.0, 10.0, shift=-0.5)
    np.testing.assert_allclose(scale.depth(np.array([0.0, 1.0], np.float32)), [10.0, 2.0], rtol=1e-6)


def test_a_weights_file_with_a_number_for_its_shift_is_refused(weights, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(weights, "pt") as file:
        metadata = {**file.metadata(), "shift": "0.5"}
    save_file(load_file(weights), tmp_path / "odd.safetensors", metadata)
    with pytest.raises(InputError, match=r"shift is 0.5, but a network's is 0 or unknown"):
        read_checkpoint(tmp_path / "odd.safetensors")
