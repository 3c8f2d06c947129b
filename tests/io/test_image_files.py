"""Tests of io/image_files.py.

Which files are images, behind links too, and how their results are called.
"""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path

import pytest

from hrdepth.io.image_files import distinct_names, find_image, list_images, walk


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_hidden_and_temporary_files_are_no_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ("10.png", "9.JPG", "a.webp", "._9.png", "~9.png", "9.tmp.png", "9.png.part", ".9x8.png", "notes.txt")
    touch(*(tmp_path / name for name in names))
    with caplog.at_level(logging.WARNING):
        assert [path.name for path in list_images(tmp_path, announce=True)] == ["9.JPG", "10.png", "a.webp"]
        list_images(tmp_path, announce=True)
    assert caplog.text.count("6 files are left out") == 1


def test_links_are_followed_without_end(tmp_path: Path) -> None:
    data, disk = tmp_path / "data", tmp_path / "disk"
    touch(data / "a" / "1.png", disk / "b" / "deep" / "2.png", disk / "c.png")
    touch(data / ".trash" / "3.png", data / "c.part" / "4.png")
    (data / "b").symlink_to(disk / "b")
    (data / "c.png").symlink_to(disk / "c.png")
    (data / "gone").symlink_to(disk / "gone")
    (disk / "b" / "loop").symlink_to(data)
    found = [path.relative_to(data).as_posix() for path in walk(data)]
    assert found == ["a/1.png", "b/deep/2.png", "c.part/4.png", "c.png"]


def test_names_of_results_never_collide() -> None:
    files = ["x.jpg", "x.png", "x.jpg.png", "y.png", "y.png.png", "y.png.jpg", "z.jpeg"]
    names = distinct_names([Path(file) for file in files])
    assert len(set(names)) == len(files)
    assert names[-1] == "z"
    # Nor on a disk that is not told by case, or by how Unicode spells a letter.
    files = ["A.jpg", "a.jpg", "\u00fc.png", "u\u0308.png", "B.jpg", "b.png", "Stra\u00dfe.png", "strasse.png", "c.png"]
    names = distinct_names([Path(file) for file in files])
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(files)
    assert names[-1] == "c"


def test_long_names_leave_room_for_what_results_append(tmp_path: Path) -> None:
    """Of 255 bytes at most, in any alphabet; none collide, and the images are found."""
    names = ["a" * 251, "a" * 250 + "b", "\u00e4" * 125, "\u6c49" * 83, "short"]
    for name in names:
        (tmp_path / f"{name}.png").touch()
    found = distinct_names(list_images(tmp_path))
    assert len(set(found)) == 5
    assert "short" in found
    assert max(len(name.encode()) for name in found) <= 200
    assert all(find_image(tmp_path, name) == tmp_path / f"{name}.png" for name in names)
    assert find_image(tmp_path, "a" * 255) is None
