"""Tests of io/arrays.py; damaged and expanding files are attacks/test_bombs.py."""

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from hrdepth.io.arrays import array_from_bytes, load_array, map_array, open_archive
from hrdepth.io.visualize import _table

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("array", [ROWS, np.asfortranarray(ROWS), ROWS[0, 0], ROWS.astype(">i2"), ROWS > 3])
def test_arrays_are_read_as_written(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    for read in (load_array, map_array):
        found = read(tmp_path / "a.npy")
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert found.shape == array.shape


def test_an_empty_array_is_read(tmp_path):
    np.save(tmp_path / "a.npy", ROWS[:0])
    assert load_array(tmp_path / "a.npy").shape == (0, 4)


def test_a_mapped_array_is_read_from_the_disk(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    assert isinstance(map_array(tmp_path / "a.npy").base, np.memmap)


@pytest.mark.parametrize("read", [load_array, map_array, lambda path: array_from_bytes(path.read_bytes())])
def test_objects_are_refused(tmp_path, read):
    np.save(tmp_path / "a.npy", np.array([None]), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        read(tmp_path / "a.npy")


def test_threads_read_one_header_at_a_time(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", ROWS)
    np.savez(tmp_path / "a.npz", rows=ROWS)
    parsing, most, lock = 0, 0, threading.Lock()
    literal_eval = ast.literal_eval

    def slow(text):  # as Python 3.11 fails where two threads are in it
        nonlocal parsing, most
        with lock:
            parsing += 1
            most = max(most, parsing)
        time.sleep(0.005)
        with lock:
            parsing -= 1
        return literal_eval(text)

    def read_in_every_way(_):
        with open_archive(tmp_path / "a.npz") as archive:
            rows = archive["rows"]
        content = (tmp_path / "a.npy").read_bytes()
        _table.__wrapped__("magma")
        return [rows, load_array(tmp_path / "a.npy"), map_array(tmp_path / "a.npy"), array_from_bytes(content)]

    monkeypatch.setattr(ast, "literal_eval", slow)
    with ThreadPoolExecutor(4) as pool:
        for arrays in pool.map(read_in_every_way, range(8)):
            for array in arrays:
                np.testing.assert_array_equal(array, ROWS)
    assert most == 1
