"""Tests of io/files.py."""

import json

import pytest

from hrdepth.errors import InputError
from hrdepth.io.files import resume

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
