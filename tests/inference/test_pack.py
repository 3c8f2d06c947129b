"""Tests of inference/pack.py.

`hrdepth pack`: small, checked, and with a card; nothing is left of what fails.
"""

import json

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from hrdepth.cli import main
from hrdepth.config import NetworkConfig, PackConfig
from hrdepth.errors import InputError
from hrdepth.inference.pack import STREETS, pack
from hrdepth.inference.runtimes.source import open_source
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.blocks import DisparityHead
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint

CONFIG = NetworkConfig("hrdepth", {"backbone": "test_resnet"})
POSE = NetworkConfig("posenet", {"backbone": "test_resnet"})
ROW = {"abs_rel": 0.1, "sq_rel": 0.7, "rmse": 4.5, "rmse_log": 0.2, "delta1": 0.9, "delta2": 0.95, "delta3": 0.98}


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = build_network(CONFIG)
    for module in network.modules():
        if isinstance(module, DisparityHead):
            torch.nn.init.normal_(module.conv.weight, 0, 0.5)
    path = tmp_path / "runs" / "best.safetensors"
    path.parent.mkdir()
    save_checkpoint(
        path, network, CONFIG, size=(64, 96), pose_network=build_pose_network(POSE), pose_network_config=POSE,
        canonical_focal=0.58, provenance={"command": "hrdepth train", "step": 840, "data": ["folder: drives, a.txt"]},
    )  # fmt: skip
    return path


def test_packed_weights_have_all_metadata_and_predict_the_same(weights, tmp_path, capsys):
    Image.linear_gradient("L").resize((120, 80)).save(tmp_path / "street.png")
    (tmp_path / "card.yaml").write_text(yaml.safe_dump({"title": "Lane", "terms": "non-commercial use only"}))
    results = {"results": {"lanes": {"pictures": 8, "network": ROW, "blocks": [1, 2]}}, "protocol": {"crop": "none"}}
    (tmp_path / "metrics.json").write_text(json.dumps(results))
    out = tmp_path / "lane.safetensors"
    arguments = [
        "--licence",
        "CC-BY-NC-SA-3.0",
        "--card",
        tmp_path / "card.yaml",
        "--results",
        tmp_path / "metrics.json",
    ]
    assert (
        main([str(a) for a in ("pack", weights, "--out", out, "--pictures", tmp_path / "street.png", *arguments)]) == 0
    )
    assert "licence CC-BY-NC-SA-3.0" in capsys.readouterr().out
    checkpoint = read_checkpoint(out)
    assert (checkpoint.name, checkpoint.licence, checkpoint.pose_network) == ("lane", "CC-BY-NC-SA-3.0", None)
    assert (checkpoint.size, checkpoint.scale.canonical_focal) == ((64, 96), 0.58)
    assert checkpoint.provenance["packed"]["source"] == "best.safetensors"
    assert open_source(out).description.licence == "CC-BY-NC-SA-3.0"
    card = (tmp_path / "lane.md").read_text()
    for said in (
        "# Lane", "| lanes, 8 images | Abs Rel |", "| network | 0.100 | 0.700 | 4.500 | 0.200 | 0.900 |",
        "crop: none", "non-commercial use only", "840 steps", "folder: drives, a.txt", checkpoint.sha256,
    ):  # fmt: skip
        assert said in card
    assert {p.name for p in tmp_path.iterdir()} == {
        "runs", "street.png", "card.yaml", "metrics.json", "lane.safetensors", "lane.md"
    }  # fmt: skip
    # What is packed is kept when it is packed again, the card too.
    pack(PackConfig(str(out), str(tmp_path / "again.safetensors"), dtype="float32"))
    assert read_checkpoint(tmp_path / "again.safetensors").card == checkpoint.card


def test_metrics_of_evaluate_fill_the_card(weights, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"metrics": ROW, "images": 4, "ground_truth": "drive x"}))
    out = tmp_path / "n.safetensors"
    report = pack(PackConfig(str(weights), str(out), results=str(tmp_path / "metrics.json"), pose=True))
    assert "| drive x, 4 images |" in report.card.read_text()
    assert report.size == out.stat().st_size
    assert 0 < report.relative < 0.01
    assert read_checkpoint(out).pose_network is not None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"tolerance": 1e-9}, r"differs from .* more than the tolerance .*--dtype float32"),
        ({"megabytes": 0.01}, "more than --megabytes 0.01"),
        ({"licence": "free for all"}, "no SPDX identifier"),
        ({"card": "none.yaml"}, "the file of the card none.yaml does not exist"),
        ({"results": __file__}, "cannot be read|no 'results'"),
        ({"dtype": "int4"}, "unknown dtype 'int4'"),
        ({"images": "nowhere"}, "nowhere"),
    ],
)
def test_a_failed_pack_leaves_no_files(weights, tmp_path, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        pack(PackConfig(str(weights), str(tmp_path / "n.safetensors"), **settings))
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_unsuitable_settings_are_refused_with_a_message(weights, tmp_path):
    (tmp_path / "n.md").write_text("mine")
    with pytest.raises(InputError, match=r"n\.md exists already"):
        pack(PackConfig(str(weights), str(tmp_path / "n.safetensors")))
    with pytest.raises(InputError, match="must end in .safetensors"):
        pack(PackConfig(str(weights), str(tmp_path / "n.onnx")))
    with pytest.raises(InputError, match="tolerance 0 must be positive"):
        PackConfig("a", "b", tolerance=0)
    pack(PackConfig(str(weights), str(tmp_path / "depth.safetensors"), dtype="float32"))
    with pytest.raises(InputError, match="contains no pose network; omit --pose"):
        pack(PackConfig(str(tmp_path / "depth.safetensors"), str(tmp_path / "p.safetensors"), pose=True))


def test_a_file_of_another_network_is_refused(weights, tmp_path):
    tensors = load_file(weights)
    save_file(tensors, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="is not a weights file of hrdepth"):
        pack(PackConfig(str(tmp_path / "other.safetensors"), str(tmp_path / "p.safetensors")))


def test_the_card_says_how_to_load_what_is_bundled(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("hrdepth.inference.pack.FOLDER", tmp_path)
    for name, code in (("street", "from_pretrained()"), ("alley", 'from_pretrained("alley")')):
        report = pack(
            PackConfig(str(weights), str(tmp_path / f"{name}.safetensors"), images=str(STREETS / "street-1.jpg"))
        )
        assert code in report.card.read_text()
