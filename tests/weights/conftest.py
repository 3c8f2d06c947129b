"""Weights files, an image, and servers in place of the Hugging Face Hub."""

import hashlib
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from PIL import Image

from hrdepth.weights import find
from weights_files import COMMIT, FACTS, save


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
def point_to(monkeypatch):
    """Have the library ask another address than the Hub's, as HF_ENDPOINT does before it is imported."""
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub (extra hub)")

    def point(address):
        monkeypatch.setattr(hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(
            hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )

    return point


@pytest.fixture
def offline(tmp_path, monkeypatch, point_to):
    """No server where the Hub should be, and an empty cache."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    point_to("http://127.0.0.1:9")
    at_once = SimpleNamespace(**vars(time) | {"sleep": lambda _: None})  # between its attempts; others sleep as ever
    monkeypatch.setattr("huggingface_hub.utils._http.time", at_once)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(find, "_announced", set())
    monkeypatch.setattr(find, "_names", {})


@pytest.fixture
def server(offline, path, point_to):
    """A server with a repository me/lane, as the Hub's."""
    files = {"model.safetensors": path.read_bytes(), "small/net.safetensors": path.read_bytes()}
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, files)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        point_to(f"http://127.0.0.1:{running.server_port}")
        yield
        running.shutdown()
