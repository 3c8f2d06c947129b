"""What is remembered of visitors, and when it goes."""

import pytest

from hrdepth.app import sessions
from hrdepth.app.sessions import Sessions
from hrdepth.errors import InputError


def test_visitors_do_not_meet_and_go_alone(tmp_path):
    book = Sessions(tmp_path)
    first, second = book.of("a"), book.of("b")
    assert book.of("a") is first
    assert first.folder != second.folder
    first.fresh(".png").write_text("x")
    book.close("a")
    book.close("unknown")
    assert not first.folder.exists()
    assert second.folder.exists()
    assert book.of("a") is not first


def test_the_longest_silent_goes_when_there_are_too_many(tmp_path):
    book = Sessions(tmp_path, most=2)
    first, second = book.of("a"), book.of("b")
    book.of("a")
    book.of("c")
    assert len(book) == 2
    assert first.folder.exists()
    assert not second.folder.exists()


def test_an_hours_silence_is_an_end(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(sessions, "monotonic", lambda: clock[0])
    book = Sessions(tmp_path)
    first = book.of("a")
    clock[0] = 3601.0
    book.of("b")
    assert not first.folder.exists()


def test_an_answers_files_go_with_the_next(tmp_path):
    session = Sessions(tmp_path).of("a")
    session.begin()
    old = session.fresh(".png")
    old.write_text("x")
    session.begin()
    assert not old.exists()
    assert session.fresh(".png").parent.is_dir()
    with pytest.raises(InputError, match="no image yet"):
        _ = session.answered
