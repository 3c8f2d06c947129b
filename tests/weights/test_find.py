"""Tests of weights/find.py.

Weights by name: bundled with the package, and on the Hugging Face Hub (the real library against a server here).
"""

import json
import logging
import sys

import numpy as np
import pytest
import torch

import hrdepth
from hrdepth.cli import main
from hrdepth.errors import InputError
from hrdepth.inference.pack import STREETS
from hrdepth.inference.predictor import Predictor
from hrdepth.weights.card import card_text
from hrdepth.weights.checkpoint import load_network, read_checkpoint
from hrdepth.weights.find import DEFAULT, bundled, download, locate_weights
from weights_files import COMMIT, FACTS, save


def test_without_bundled_weights_every_command_reports_it(empty_bundle, image, path, capsys, monkeypatch):
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
    assert main(["models"]) == 0
    assert "bundled weights: none" in capsys.readouterr().out
    assert Predictor.from_pretrained(path, runtime="pytorch").source == path


def test_bundled_networks_are_the_files_of_the_folder(empty_bundle, caplog):
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


def test_a_teacher_may_be_a_bundled_network(empty_bundle):
    from hrdepth.teachers.network import NetworkTeacher

    save(empty_bundle / "street.safetensors", **FACTS)
    teacher = NetworkTeacher.read("street")
    assert teacher.about()["file"] == "street.safetensors"


@pytest.mark.parametrize("name", list(bundled()) or [pytest.param("", marks=pytest.mark.skip("no bundled network"))])
def test_the_real_bundled_weights_load(name):
    file = bundled()[name]
    checkpoint = read_checkpoint(file)
    assert file.stat().st_size <= 8e6
    assert None not in (checkpoint.sha256, checkpoint.licence, checkpoint.name)
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    assert card == card_text(checkpoint, "" if name == DEFAULT else f'"{name}"')
    assert checkpoint.sha256 in card
    assert checkpoint.licence in card
    predictor = Predictor.from_pretrained(name, device="cpu", runtime="pytorch")
    for street in sorted(STREETS.glob("*.jpg")):
        depth = predictor(street).depth
        quarter = len(depth) // 4
        assert np.median(depth[-quarter:]) < 0.6 * np.median(depth[quarter : 2 * quarter])  # the road is near


def test_weights_are_downloaded_from_the_hub_and_cached(server, path, point_to, caplog):
    found = locate_weights("hf://me/lane")
    assert found.read_bytes() == path.read_bytes()
    assert locate_weights(f"hf://me/lane@{COMMIT}/small/net.safetensors").name == "net.safetensors"
    load_network("hf://me/lane")
    said = next(record.getMessage() for record in caplog.records if "licence" in record.getMessage())
    assert said == "weights 'hf://me/lane': licence CC-BY-NC-SA-3.0 (non-commercial use only)"
    predictor = Predictor.from_pretrained("hf://me/lane", runtime="pytorch")
    assert (predictor.size, predictor.source) == ((64, 96), found)
    assert set(load_network("hf://me/lane")(torch.zeros(1, 3, 64, 96))) == {0, 1, 2, 3}
    point_to("http://127.0.0.1:9")
    assert locate_weights("hf://me/lane") == found  # off line, from the cache


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("hf://me/other", "no such repository, or it is not open to you"),
        ("hf://me/lane/none.safetensors", "holds no such file"),
        ("hf://me/lane@v9", "no such revision"),
        ("hf://lane", "is no address on the Hugging Face Hub"),
        ("hf://me/..--x", "no name of a repository|no such repository"),
    ],
)
def test_weights_missing_on_the_hub_are_refused_with_a_message(server, address, sentence):
    with pytest.raises(InputError, match=sentence):
        download(address)


def test_being_offline_is_reported_with_a_message(offline):
    with pytest.raises(InputError, match="cannot be reached; connect"):
        download("hf://me/lane")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'hrdepth\[hub\]'"):
        download("hf://me/lane")
