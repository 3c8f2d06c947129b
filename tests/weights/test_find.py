"""Weights files: hashes, half precision, bundled networks by name, folders to hand on."""

import json
import logging

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import hrdepth
from hrdepth.cli import main
from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.pack import STREETS
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network, summary
from hrdepth.networks.blocks import DisparityHead
from hrdepth.weights import find
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from hrdepth.weights.find import bundled, locate_weights

CONFIG = NetworkConfig("hrdepth", {"backbone": "test_resnet"})
FACTS = {"licence": "CC-BY-NC-SA-3.0", "card": {"terms": "non-commercial use only"}}


def save(path, **facts):
    torch.manual_seed(0)
    network = build_network(CONFIG).eval()
    for module in network.modules():
        if isinstance(module, DisparityHead):
            torch.nn.init.normal_(module.conv.weight, 0, 0.5)
    save_checkpoint(path, network, CONFIG, size=(64, 96), metres_per_unit=5.4, **facts)
    return path


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "net.safetensors", **FACTS)


@pytest.fixture
def empty_bundle(tmp_path, monkeypatch):
    """An empty folder in place of the one with the bundled networks."""
    folder = tmp_path / "board"
    folder.mkdir()
    monkeypatch.setattr(find, "FOLDER", folder)
    monkeypatch.setattr(find, "_announced", set())
    monkeypatch.setattr(find, "_names", {})
    return folder


@pytest.fixture
def image(tmp_path):
    Image.linear_gradient("L").resize((120, 80)).save(tmp_path / "street.jpg")
    return tmp_path / "street.jpg"


def test_a_changed_bit_is_noticed(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    load_file(path)  # as a safetensors file it is still whole
    with pytest.raises(InputError, match=r"net.safetensors is damaged: its tensors are not those"):
        read_checkpoint(path)


def test_files_without_a_hash_load_and_changed_metadata_leaves_it_right(path):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file(tensors, path, metadata | {"metres_per_unit": "2.0"})
    checkpoint = read_checkpoint(path)
    assert (checkpoint.scale.metres_per_unit, checkpoint.sha256) == (2.0, json.loads(metadata["sha256"]))
    assert (checkpoint.licence, checkpoint.card) == (FACTS["licence"], FACTS["card"])
    del metadata["sha256"], metadata["licence"], metadata["card"], metadata["name"]
    save_file(tensors, path, metadata)
    old = read_checkpoint(path)
    assert (old.sha256, old.licence, old.card, old.name) == (None, None, {}, None)


def test_half_precision_takes_half_the_room_and_loads_as_float32(path, tmp_path):
    half = save(tmp_path / "half.safetensors", dtype="float16")
    stored = load_file(half)
    assert {value.dtype for value in stored.values() if value.ndim > 1} == {torch.float16}
    assert {v.dtype for v in stored.values() if v.ndim == 1} == {torch.float32}
    assert half.stat().st_size < 0.6 * path.stat().st_size
    image = torch.rand(1, 3, 64, 96)
    one, other = hrdepth.load_network(path), hrdepth.load_network(half)
    assert {value.dtype for value in other.parameters()} == {torch.float32}
    with torch.inference_mode():
        before, after = one(image)[0], other(image)[0]
    assert before.std() > 0.005
    assert 0 < (before - after).abs().max() < 0.001


def test_what_overflows_stays_as_it_is(tmp_path):
    network = build_network(CONFIG)
    heads = [module for module in network.modules() if isinstance(module, DisparityHead)]
    with torch.no_grad():
        heads[0].conv.weight.fill_(1e6)
    save_checkpoint(tmp_path / "n.safetensors", network, CONFIG, size=(64, 96), dtype="float16")
    read = [m for m in hrdepth.load_network(tmp_path / "n.safetensors").modules() if isinstance(m, DisparityHead)]
    assert torch.equal(read[0].conv.weight, heads[0].conv.weight)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [({"dtype": "float8"}, "unknown dtype 'float8'"), ({"licence": "non commercial!"}, "is no SPDX identifier")],
)
def test_what_cannot_be_stored_gets_a_sentence(tmp_path, facts, sentence):
    with pytest.raises(InputError, match=sentence):
        save(tmp_path / "net.safetensors", **facts)
    assert not list(tmp_path.iterdir())


def test_without_bundled_weights_everything_says_so(empty_bundle, image, path, capsys, monkeypatch):
    monkeypatch.chdir(image.parent)
    assert bundled() == {}
    for load in (Predictor.from_pretrained, locate_weights, lambda: hrdepth.load_network(None)):
        with pytest.raises(InputError, match=r"comes without weights; name a weights file, such as --weights"):
            load()
    with pytest.raises(InputError, match=r"without weights, and the weights file net does not exist"):
        Predictor.from_pretrained("net")
    assert main(["predict", str(image)]) == 2
    assert "comes without weights" in capsys.readouterr().err
    assert not (image.parent / "street_depth").exists()
    monkeypatch.setattr(summary, "summaries", list)  # its table is tested in tests/networks
    assert main(["models"]) == 0
    assert "bundled weights: none" in capsys.readouterr().out
    assert Predictor.from_pretrained(path, runtime="pytorch").source == path


def test_bundled_networks_are_what_lies_in_the_folder(empty_bundle, caplog):
    default, other = save(empty_bundle / "street.safetensors", **FACTS), save(empty_bundle / "alley.safetensors")
    (empty_bundle / "street.md").write_text("card")
    assert list(bundled()) == ["street", "alley"]
    with caplog.at_level(logging.WARNING):
        assert locate_weights() == locate_weights("street") == default
        assert locate_weights("alley") == other
        assert not caplog.records  # nothing is read yet
        for path in (default, default, other):
            read_checkpoint(path)
    said = [record.getMessage() for record in caplog.records]
    assert (
        said[0]
        == f"weights 'street': licence CC-BY-NC-SA-3.0 (non-commercial use only); card: {empty_bundle / 'street.md'}"
    )
    assert said[1:] == ["weights 'alley': licence not stated"]  # and the first no second time
    default.unlink()
    assert locate_weights() == other
    save(default)
    with pytest.raises(InputError, match="the weights file lane does not exist; bundled: street, alley"):
        locate_weights("lane")
    predictor = Predictor.from_pretrained(runtime="pytorch")
    assert (predictor.size, predictor.metres_per_unit) == ((64, 96), 5.4)
    assert set(hrdepth.load_network("alley")(torch.zeros(1, 3, 64, 96))) == {0, 1, 2, 3}


def test_predict_and_evaluate_take_the_bundled_network(empty_bundle, image, monkeypatch, capsys):
    monkeypatch.chdir(image.parent)
    save(empty_bundle / "street.safetensors", **FACTS)
    assert main(["predict", str(image), "--runtime", "pytorch"]) == 0
    manifest = json.loads((image.parent / "street_depth" / "predict.json").read_text())
    assert manifest["network"]["weights"] == "street.safetensors"
    assert main(["evaluate", "--data.kind", "drive", "--data.root", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_page_offers_the_bundled_networks(empty_bundle):
    from hrdepth.app.networks import Networks

    with pytest.raises(InputError, match="comes without weights"):
        Networks([])
    save(empty_bundle / "street.safetensors"), save(empty_bundle / "alley.safetensors")
    networks = Networks([])
    assert networks.names == ["street", "alley"]
    assert networks.predictor("alley", runtime="pytorch").source == empty_bundle / "alley.safetensors"


def test_a_folder_to_hand_on(path, tmp_path, image):
    folder = tmp_path / "shared" / "lane"
    predictor = Predictor.from_file(path, runtime="pytorch")
    (tmp_path / "card.yaml").write_text(yaml.safe_dump({"data": "Walks by the river.", "limits": ["No cars."]}))
    assert predictor.save_pretrained(folder, licence="CC0-1.0", card=tmp_path / "card.yaml", dtype="float16") == folder
    again = Predictor.from_pretrained(folder, runtime="pytorch")
    assert again.source == folder / "model.safetensors"
    assert np.abs(again(image).disparity - predictor(image).disparity).max() < 0.01
    checkpoint = read_checkpoint(folder / "model.safetensors")
    assert (checkpoint.name, checkpoint.licence) == ("lane", "CC0-1.0")
    assert checkpoint.card == FACTS["card"] | {"data": "Walks by the river.", "limits": ["No cars."]}
    config = json.loads((folder / "config.json").read_text())
    assert (config["network"]["name"], config["size"], config["sha256"]) == ("hrdepth", [64, 96], checkpoint.sha256)
    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert (head["license"], head["pipeline_tag"]) == ("cc0-1.0", "depth-estimation")
    for said in (
        "Walks by the river.",
        "- No cars.",
        "metres = 5.4",
        checkpoint.sha256,
        f'from_pretrained("{folder}")',
    ):
        assert said in card
    with pytest.raises(InputError, match="is not empty"):
        predictor.save_pretrained(folder)


def test_what_cannot_be_handed_on_gets_a_sentence(path, tmp_path):
    in_memory = Predictor(build_network(CONFIG), (64, 96), device="cpu")
    with pytest.raises(InputError, match="came from no file"):
        in_memory.save_pretrained(tmp_path / "a")
    in_memory.source = tmp_path / "net.onnx"
    with pytest.raises(InputError, match="is an exported file"):
        in_memory.save_pretrained(tmp_path / "a")
    (tmp_path / "card.yaml").write_text("licance: MIT\n")
    with pytest.raises(InputError, match="has no option 'licance'"):
        Predictor.from_file(path, runtime="pytorch").save_pretrained(tmp_path / "a", card=tmp_path / "card.yaml")
    assert not (tmp_path / "a").exists()


def test_a_teacher_may_be_a_bundled_network(empty_bundle):
    from hrdepth.objectives.teacher import Teacher

    save(empty_bundle / "street.safetensors", **FACTS)
    teacher = Teacher.read("street")
    assert teacher.about()["file"] == "street.safetensors"


@pytest.mark.parametrize("name", list(bundled()) or [pytest.param("", marks=pytest.mark.skip("no bundled network"))])
def test_the_weights_that_are_really_bundled(name):
    file = bundled()[name]
    checkpoint = read_checkpoint(file)
    assert file.stat().st_size <= 8e6
    assert None not in (checkpoint.sha256, checkpoint.licence, checkpoint.name)
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert checkpoint.sha256 in card
    assert checkpoint.licence in card
    predictor = Predictor.from_pretrained(name, device="cpu", runtime="pytorch")
    for street in sorted(STREETS.glob("*.jpg")):
        depth = predictor(street).depth
        quarter = len(depth) // 4
        assert np.median(depth[-quarter:]) < 0.6 * np.median(depth[quarter : 2 * quarter])  # the road is near
