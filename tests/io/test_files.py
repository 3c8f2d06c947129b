"""Tests of io/files.py."""

import json
import os
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, read_json, resume, write_json

SETTINGS = {"settings": {"size": (192, 640), "car": None}, "weights": "a" * 64}


def test_the_same_settings_return_the_record(tmp_path):
    record = tmp_path / "record.json"
    record.write_text(json.dumps({**SETTINGS, "settings": {"size": [192, 640]}, "measured": 3}))
    found = resume(record, SETTINGS)
    assert found is not None
    assert found["measured"] == 3


def test_settings_that_differ_are_named(tmp_path):
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"settings": {"size": [96, 320], "seed": 3}, "weights": "b" * 64}))
    with pytest.raises(InputError, match=r"\(size \[96, 320\], now \[192, 640\], seed 3, now null, weights\); choose"):
        resume(record, SETTINGS)
    assert resume(record, SETTINGS, overwrite=True) is None


@pytest.mark.parametrize(("content", "message"), [(None, "has no record.json"), ("{", "damaged"), ("[]", "damaged")])
def test_a_missing_or_damaged_record_is_refused(content, message, tmp_path):
    record = tmp_path / "record.json"
    if content is not None:
        record.write_text(content)
    with pytest.raises(InputError, match=message):
        resume(record, SETTINGS)
    assert resume(record, SETTINGS, overwrite=True) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows opens no folders")
@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_file_is_on_the_disk_before_it_has_its_name_and_then_the_folder_is(tmp_path, monkeypatch, durable):
    path, synced = tmp_path / "file.txt", []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((os.fstat(handle).st_ino, path.exists())))
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_text("whole")
    expected = [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
    assert synced == (expected if durable else [])


def test_json_has_null_for_numbers_that_are_not_finite(tmp_path):
    @dataclass(frozen=True)
    class Ends:
        low: float
        high: np.float64

    file = tmp_path / "results.json"
    write_json(file, {"mean": float("nan"), "ends": [Ends(0.25, np.float64("inf"))], "pair": (1, -float("inf"))})
    assert read_json(file) == {"mean": None, "ends": [{"low": 0.25, "high": None}], "pair": [1, None]}
