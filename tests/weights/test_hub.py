"""The Hugging Face Hub: the real library against a small server here, and sentences for what goes wrong."""

import hashlib
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import load_network, save_checkpoint
from hrdepth.weights.find import download, locate_weights

hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (extra hub)")

CONFIG = NetworkConfig("hrdepth", {"backbone": "test_resnet"})
COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """Answers for the files of one repository, me/lane, as the Hub does."""

    def __init__(self, files, *arguments):
        self.files = files
        super().__init__(*arguments)

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        owner, repo, _, revision, file = [*self.path.strip("/").split("/", 4), "", "", "", "", ""][:5]
        content = self.files.get(file) if (owner, repo) == ("me", "lane") else None
        if content is None or revision not in ("main", COMMIT):
            known = (owner, repo) == ("me", "lane")
            code = (
                ("EntryNotFound" if revision in ("main", COMMIT) else "RevisionNotFound") if known else "RepoNotFound"
            )
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, build_network(CONFIG), CONFIG, size=(64, 96), licence="MIT")
    return path


def point_to(monkeypatch, address):
    """Have the library ask `address`, as HF_ENDPOINT does before it is imported."""
    monkeypatch.setattr(hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No server where the Hub should be, and an empty cache."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    point_to(monkeypatch, "http://127.0.0.1:9")
    at_once = SimpleNamespace(**vars(time) | {"sleep": lambda _: None})  # between its attempts; others sleep as ever
    monkeypatch.setattr("huggingface_hub.utils._http.time", at_once)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hrdepth.weights.find._announced", set())
    monkeypatch.setattr("hrdepth.weights.find._names", {})


@pytest.fixture
def server(offline, weights, monkeypatch):
    files = {"model.safetensors": weights.read_bytes(), "small/net.safetensors": weights.read_bytes()}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, files)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        point_to(monkeypatch, f"http://127.0.0.1:{running.server_port}")
        yield
        running.shutdown()


def test_weights_come_from_the_hub_and_stay(server, weights, caplog, monkeypatch):
    found = locate_weights("hf://me/lane")
    assert found.read_bytes() == weights.read_bytes()
    assert locate_weights(f"hf://me/lane@{COMMIT}/small/net.safetensors").name == "net.safetensors"
    load_network("hf://me/lane")
    said = next(record.getMessage() for record in caplog.records if "licence" in record.getMessage())
    assert said == "weights 'hf://me/lane': licence MIT"
    predictor = Predictor.from_pretrained("hf://me/lane", runtime="pytorch")
    assert (predictor.size, predictor.source) == ((64, 96), found)
    assert set(load_network("hf://me/lane")(torch.zeros(1, 3, 64, 96))) == {0, 1, 2, 3}
    point_to(monkeypatch, "http://127.0.0.1:9")
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
def test_what_is_not_on_the_hub_gets_a_sentence(server, address, sentence):
    with pytest.raises(InputError, match=sentence):
        download(address)


def test_off_line_gets_a_sentence(offline, weights):
    with pytest.raises(InputError, match="cannot be reached; connect"):
        download("hf://me/lane")
    with pytest.raises(InputError, match="cannot be reached"):
        Predictor.from_file(weights, runtime="pytorch").push_to_hub("me/lane", token="t")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'hrdepth\[hub\]'"):
        download("hf://me/lane")


def test_a_push_uploads_weights_card_and_config(weights, monkeypatch):
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
    predictor = Predictor.from_file(weights, runtime="pytorch")
    assert (
        predictor.push_to_hub("hf://me/lane", private=True, token="t", message="first")
        == "https://huggingface.co/me/lane"
    )
    assert (sent["repo"], sent["private"], sent["token"], sent["exist_ok"]) == ("me/lane", True, "t", True)
    assert set(sent["files"]) == {"model.safetensors", "README.md", "config.json"}
    assert b'from_pretrained("hf://me/lane")' in sent["files"]["README.md"]
