"""Tests of `hrdepth.errors`."""

from __future__ import annotations

import pickle

import pytest

from hrdepth.errors import LONGEST, InputError, TrainingStopped


def test_a_very_long_message_loses_its_middle_alone():
    error = InputError("start of it " + "x" * 3 * LONGEST + " end of it")
    assert str(error).startswith("start of it xxx")
    assert str(error).endswith("xxx end of it")
    assert " [...] " in str(error)
    assert len(str(error)) < LONGEST + 10


@pytest.mark.parametrize("kind", [InputError, TrainingStopped])
def test_a_message_of_usual_length_is_whole_and_survives_pickling(kind):
    message = "one sentence" * 300
    error = pickle.loads(pickle.dumps(kind(message)))
    assert type(error) is kind
    assert str(error) == message


def test_several_findings_are_lines_and_are_all_kept():
    findings = [f"finding {number}" for number in range(25)]
    error = InputError.several(findings)
    assert str(error).splitlines() == [*findings[:20], "... and 5 more"]
    assert error.findings == tuple(findings)
