"""Tests of weights/share.py.

Weights to share: a folder, and the Hugging Face Hub.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.weights.card import Card, card_text, read_card
from hrdepth.weights.checkpoint import read_checkpoint
from weights_files import CONFIG, FACTS


def test_a_shared_folder_contains_weights_card_and_config(path, tmp_path, image):
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


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"limits": "cannot see"}, "limits must be a list of sentences, not 'cannot see'"),
        ({"notes": [1]}, "notes must be a list of sentences"),
        ({"title": ["a"]}, "title must be text"),
        ({"results": [1]}, "results must be names with values"),
        ({"results": {"streets": 1}}, "has no 'results' by set and row"),
        ({"results": {"streets": {"network": {"abs_rel": [1]}}}}, "is damaged"),
        ({"protocol": "median"}, "protocol must be names with values"),
    ],
)
def test_a_card_with_fields_of_another_kind_is_refused(tmp_path, facts, message):
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(facts))
    with pytest.raises(InputError, match=message):
        read_card(tmp_path / "card.yaml", None, Card())


def test_results_of_a_card_are_those_of_a_file_of_results(path, tmp_path):
    """As the docstring of `Card` gives them, in a file and in Python."""
    results = {"streets": {"images": 8, "network": {"abs_rel": 0.125}}}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump({"results": results}))
    for card in (read_card(tmp_path / "card.yaml", None, Card()), Card(results=results)):
        text = card_text(replace(read_checkpoint(path), card=card.as_dict()), "'x'")
        assert "| streets, 8 images | Abs Rel |" in text
        assert "| network | 0.125 |" in text


def test_weights_that_cannot_be_shared_are_refused_with_a_message(path, tmp_path):
    in_memory = Predictor(build_network(CONFIG), (64, 96), device="cpu")
    with pytest.raises(InputError, match="was not read from a file"):
        in_memory.save_pretrained(tmp_path / "a")
    in_memory.source = tmp_path / "net.onnx"
    with pytest.raises(InputError, match="is an exported file"):
        in_memory.save_pretrained(tmp_path / "a")
    (tmp_path / "card.yaml").write_text("licance: MIT\n")
    with pytest.raises(InputError, match="has no option 'licance'"):
        Predictor.from_file(path, runtime="pytorch").save_pretrained(tmp_path / "a", card=tmp_path / "card.yaml")
    assert not (tmp_path / "a").exists()


def test_a_push_without_the_hub_is_refused_with_a_message(offline, path):
    with pytest.raises(InputError, match="cannot be reached"):
        Predictor.from_file(path, runtime="pytorch").push_to_hub("me/lane", token="t")


def test_a_push_uploads_weights_card_and_config(path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (extra hub)")
    sent = {}

    class Interface:
        def __init__(self, **settings):
            sent.update(settings)

        def create_repo(self, repo_id, **settings):
            sent.update(settings, repo=repo_id)
            return hub.RepoUrl(f"https://huggingface.co/{repo_id}")

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            sent["files"] = {path.name: path.read_bytes() for path in folder_path.iterdir()}
            sent["message"] = commit_message

    monkeypatch.setattr(hub, "HfApi", Interface)
    predictor = Predictor.from_file(path, runtime="pytorch")
    assert (
        predictor.push_to_hub("hf://me/lane", private=True, token="t", message="first")
        == "https://huggingface.co/me/lane"
    )
    assert (sent["repo"], sent["private"], sent["token"], sent["exist_ok"]) == ("me/lane", True, "t", True)
    assert set(sent["files"]) == {"model.safetensors", "README.md", "config.json"}
    assert b'from_pretrained("hf://me/lane")' in sent["files"]["README.md"]
