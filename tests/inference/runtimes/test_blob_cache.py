"""Tests of inference/runtimes/blob_cache.py: what OpenVINO compiled is kept, found again, and never trusted."""

import os
import subprocess
import sys

import numpy as np
import pytest

from hrdepth.inference.runtimes import blob_cache, load_runtime, unavailable
from hrdepth.inference.runtimes.blob_cache import MOST_FILES, read_blob, write_blob
from hrdepth.weights.find import locate_weights

WRITE_OFTEN = """
from hrdepth.inference.runtimes.blob_cache import read_blob, write_blob

for _ in range(200):
    write_blob({"n": 1}, bytes(10**5))
    assert read_blob({"n": 1}) == bytes(10**5)
"""
IMAGE = np.random.default_rng(0).random((1, 3, 64, 96), dtype=np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(blob_cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_a_blob_comes_back_by_its_key(folder):
    assert read_blob({"shape": [1, 2]}) is None
    write_blob({"shape": (1, 2), "version": "1"}, b"compiled")
    assert read_blob({"version": "1", "shape": [1, 2]}) == b"compiled"
    assert read_blob({"version": "2", "shape": [1, 2]}) is None
    assert len(list(folder.iterdir())) == 1, "nothing temporary stays"


def test_the_folder_is_the_users_or_the_one_that_is_given(monkeypatch, tmp_path):
    monkeypatch.delenv("HRDEPTH_CACHE", raising=False)
    assert "hrdepth" in blob_cache.cache_folder().parts
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path))
    assert blob_cache.cache_folder() == tmp_path


@pytest.mark.parametrize("damage", [lambda full: full[:-1], lambda full: full[:40] + b"x" + full[41:], lambda _: b""])
def test_a_damaged_blob_is_none(folder, damage):
    write_blob({"a": 1}, b"compiled network")
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert read_blob({"a": 1}) is None


def test_a_folder_that_cannot_be_written_is_no_error(folder):
    folder.write_text("a file in its place")
    write_blob({"a": 1}, b"compiled")
    assert read_blob({"a": 1}) is None


def test_the_oldest_blobs_are_removed(folder):
    for number in range(MOST_FILES + 3):
        write_blob({"number": number}, b"compiled")
        os.utime(blob_cache._file({"number": number}), (number, number))
    assert len(list(folder.iterdir())) == MOST_FILES
    assert read_blob({"number": 0}) is None
    assert read_blob({"number": MOST_FILES + 2}) == b"compiled"


@pytest.mark.skipif(unavailable("openvino") is not None, reason="openvino is not installed")
def test_openvino_gives_the_same_from_the_cache(folder, monkeypatch):
    first = load_runtime(locate_weights(), "openvino", threads=1)(IMAGE)
    (file,) = folder.iterdir()
    compiled = []
    second = load_runtime(locate_weights(), "openvino", threads=1)
    monkeypatch.setattr(second, "_compile", lambda shape: compiled.append(shape))
    assert np.array_equal(second(IMAGE), first)
    assert not compiled
    file.write_bytes(b"damaged" + file.read_bytes())
    assert np.array_equal(load_runtime(locate_weights(), "openvino", threads=1)(IMAGE), first)
    (folder / "other").touch()
    load_runtime(locate_weights(), "openvino", threads=1, cache=False)(IMAGE[:, :, :, :64])
    assert {path.name for path in folder.iterdir()} == {file.name, "other"}, "without a cache nothing is written"


@pytest.mark.skipif(unavailable("openvino") is not None, reason="openvino is not installed")
def test_a_blob_that_openvino_refuses_is_compiled_again(folder):
    expected = load_runtime(locate_weights(), "openvino", threads=1)(IMAGE)
    runtime = load_runtime(locate_weights(), "openvino", threads=1)
    write_blob(runtime._key(IMAGE.shape), b"of another version")
    assert np.array_equal(runtime(IMAGE), expected)
    assert read_blob(runtime._key(IMAGE.shape)) != b"of another version"


def test_two_processes_write_at_once(tmp_path):
    environment = {**os.environ, "HRDEPTH_CACHE": str(tmp_path)}
    processes = [subprocess.Popen([sys.executable, "-c", WRITE_OFTEN], env=environment) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1
