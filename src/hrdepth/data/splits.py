"""Splits: lists of frames, from a file or bundled."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

from hrdepth.config.safe_yaml import read_text
from hrdepth.config.setting_files import recipe
from hrdepth.data.reader import SplitLine
from hrdepth.errors import InputError
from hrdepth.io.files import parse_json, write_text
from hrdepth.io.locks import locked_folder
from hrdepth.registry import lookup

LONGEST_NAME = 255  # bytes of a file's name, of nearly all file systems

__all__ = ["SPLITS", "read_split", "replace_lines", "replaced_lines", "split_lines"]


def split_lines(name: str) -> list[SplitLine]:
    """Return a split of KITTI raw that is bundled.

    `eigen_zhou/train` (39810) and `eigen_zhou/val` (4424) are the lists to learn from, sorted; `eigen/test`
    (697) and `eigen_benchmark/test` (652 with improved ground truth) are in the order that exchanged
    prediction arrays follow.

    Raises:
        InputError: there is no such split; the nearest is suggested.

    Source: Eigen et al. 2014, section 4; Zhou et al., Unsupervised Learning of Depth and Ego-Motion from
        Video, section 4.1 (without static frames).

    Example:
        >>> lines = split_lines("eigen/test")
        >>> len(lines), lines[0].name
        (697, '2011_09_26/2011_09_26_drive_0002_sync 0000000069 l')
    """
    return list(lookup(SPLITS, name, "split")())


def read_split(path_or_name: str | Path) -> list[SplitLine]:
    """Read a split file, or return a split that is bundled.

    A file holds lines of `folder frame side`; the side is `l`, `r` or missing (`l`). Blank lines and lines
    that begin with `#` are skipped.

    Raises:
        InputError: lines are wrong (all named by path and number), there is none, or the file does not exist.
    """
    if str(path_or_name) in SPLITS:
        return split_lines(str(path_or_name))
    path = Path(path_or_name)
    if not path.exists():
        path = recipe(str(path)) or path
    if not path.exists():
        if path.suffix or path.is_absolute():
            raise InputError(f"the split file {path} does not exist; bundled are {', '.join(sorted(SPLITS))}")
        return split_lines(str(path_or_name))
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"the split {path} cannot be read ({error})") from error
    numbered = enumerate((line.strip() for line in text.splitlines()), start=1)
    lines, wrong = [], []
    for number, line in numbered:
        try:
            lines += [_parse(line, f"{path}:{number}")] if line and line[0] != "#" else []
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError.several(wrong)
    if not lines:
        raise InputError(f"the split file {path} is empty; it needs lines of: folder frame side")
    return lines


def replaced_lines(present: list[str], folder: str, lines: list[str]) -> list[str]:
    """Return a split file's lines with those of one recording replaced where they stand, or appended if it is new.

    The order stays, since measurements and training samples follow it.
    """
    own = [number for number, line in enumerate(present) if line.split()[:1] == [folder]]
    before = present[: own[0]] if own else present
    after = present[len(before) :]
    return [*before, *lines, *(line for line in after if line.split()[:1] != [folder])]


def replace_lines(file: Path, folder: str, lines: list[str]) -> None:
    """Replace a recording's lines in a split file (see `replaced_lines`); write no empty file.

    Several processes may do this at once: the file's folder is locked meanwhile, so that the caller must not have
    locked it.
    """
    with locked_folder(file.parent, None):
        present = [line for line in read_text(file).splitlines() if line.split()] if file.is_file() else []
        content = replaced_lines(present, folder, lines)
        if not content:
            file.unlink(missing_ok=True)
        elif content != present:
            write_text(file, "\n".join(content) + "\n")


def _parse(line: str, origin: str) -> SplitLine:
    fields = line.split()
    if len(fields) not in (2, 3):
        raise InputError(f"{origin}: '{line[:LONGEST_NAME]}' is no split line; write: folder frame side (l or r)")
    folder, frame, side = (*fields, "l")[:3]
    if max(map(len, os.fsencode(folder).split(b"/"))) > LONGEST_NAME:
        raise InputError(f"{origin}: the folder '{folder[:LONGEST_NAME]}...' is too long a name")
    if folder.startswith("/") or ".." in folder.split("/"):
        raise InputError(f"{origin}: the folder '{folder[:LONGEST_NAME]}' must be one below the data's root")
    if not (frame.isascii() and frame.isdigit() and len(frame) <= 18):
        raise InputError(f"{origin}: the frame '{frame[:LONGEST_NAME]}' must be a number, as in: folder 0000000012 l")
    if side not in ("l", "r"):
        raise InputError(f"{origin}: the side '{side[:LONGEST_NAME]}' must be l or r")
    return SplitLine(folder.rstrip("/"), int(frame), cast("Literal['l', 'r']", side), frame, origin)


@cache
def _facts() -> dict[str, dict[str, str]]:
    text = resources.files("hrdepth.data").joinpath("eigen.json").read_text(encoding="utf-8")
    facts: dict[str, Any] = parse_json(text)
    return {key: value for key, value in facts.items() if key != "about"}


def _frames(text: str) -> Iterator[int]:
    """Yield the frames of `3-5 9`: 3, 4, 5, 9."""
    for item in text.split():
        first, _, last = item.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _line(drive: str, frame: int, side: str, split: str) -> SplitLine:
    # A drive's folder lies in that of its date, which its name begins with.
    left_or_right = cast("Literal['l', 'r']", side)
    return SplitLine(f"{drive[:10]}/{drive}", frame, left_or_right, f"{frame:010d}", split)


def _zhou(split: str, *, validation: bool) -> Iterator[SplitLine]:
    facts = _facts()
    for drive, frames in facts["zhou_all"].items():
        for side in "lr":
            held_out = set(_frames(facts["zhou_val"].get(f"{drive} {side}", "")))
            for frame in _frames(frames):
                if (frame in held_out) == validation:
                    yield _line(drive, frame, side, split)


def _test(split: str, *, improved_only: bool) -> Iterator[SplitLine]:
    facts = _facts()
    for drive, frames in facts["test"].items():
        missing = set(_frames(facts["benchmark_without"].get(drive, ""))) if improved_only else set()
        yield from (_line(drive, frame, "l", split) for frame in _frames(frames) if frame not in missing)


SPLITS: dict[str, Callable[[], Iterator[SplitLine]]] = {
    "eigen/test": lambda: _test("eigen/test", improved_only=False),
    "eigen_benchmark/test": lambda: _test("eigen_benchmark/test", improved_only=True),
    "eigen_zhou/train": lambda: _zhou("eigen_zhou/train", validation=False),
    "eigen_zhou/val": lambda: _zhou("eigen_zhou/val", validation=True),
}
