"""Tests of web/onnxruntime_web.py."""

import hashlib
import io
import tarfile
from base64 import b64encode
from urllib.error import URLError

import pytest

from hrdepth.errors import InputError
from hrdepth.web import onnxruntime_web


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def archive(monkeypatch, tmp_path):
    """An archive like npm's, whose hash is the pinned one."""
    path = tmp_path / "onnxruntime-web.tgz"
    with tarfile.open(path, "w:gz") as file:
        for name in onnxruntime_web.FILES.values():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            file.addfile(member, io.BytesIO(name.encode()))
    digest = hashlib.sha512(path.read_bytes()).digest()
    monkeypatch.setattr(onnxruntime_web, "INTEGRITY", f"sha512-{b64encode(digest).decode()}")
    return path


def refuse(*_, **__):
    raise URLError("no route to host")


def test_the_files_of_a_local_archive_are_cached_and_need_no_network(archive, cache, monkeypatch):
    monkeypatch.setattr(onnxruntime_web, "urlopen", refuse)
    first = onnxruntime_web.runtime_files(str(archive))
    assert first["ort.wasm.js"] == b"ort.wasm.min.mjs"
    assert first["ort-wasm-simd-threaded.wasm.gz"][:2] == b"\x1f\x8b"
    assert first["LICENSE"].startswith(b"MIT License")
    assert b"THIRD PARTY" in first["ThirdPartyNotices.txt"].upper()[:2000]
    assert onnxruntime_web.runtime_files() == first
    assert len(list(cache.rglob("*.js"))) == 4


def test_the_runtime_is_fetched_once(archive, monkeypatch):
    asked = []

    def fetch(address, timeout):
        asked.append(address)
        return archive.open("rb")

    monkeypatch.setattr(onnxruntime_web, "urlopen", fetch)
    assert onnxruntime_web.runtime_files() == onnxruntime_web.runtime_files()
    assert asked == [f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{onnxruntime_web.VERSION}.tgz"]


def test_another_archive_is_refused_and_nothing_of_it_stays(archive, cache):
    archive.write_bytes(archive.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"onnxruntime-web.tgz is not onnxruntime-web 1.30.0: its SHA-512 differs"):
        onnxruntime_web.runtime_files(str(archive))
    assert not list(cache.rglob("*.js"))


def test_without_the_network_a_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(onnxruntime_web, "urlopen", refuse)
    with pytest.raises(InputError, match=r"cannot be fetched .*no route to host.* name it with --runtime"):
        onnxruntime_web.runtime_files()
