"""Write files so that nothing is lost, and resume work from what is there."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hrdepth.errors import InputError

__all__ = [
    "atomic_path",
    "existing_file",
    "file_sha256",
    "output_file",
    "output_folder",
    "resume",
    "write_failure",
    "write_json",
]

log = logging.getLogger(__name__)

SHORT = 24  # characters of a setting's value that is still shown


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on error.

    The temporary name has the same suffix, so that writers that guess the format from it still work.

    Raises:
        InputError: the folder does not exist or cannot be written.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "answer.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("42")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('42', 1)
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another folder") from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; a result should have the mode that an ordinary open() gives.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def output_folder(path: str | Path, *, overwrite: bool = False) -> Path:
    """Create the folder `path` for results and return it.

    Raises:
        InputError: it cannot be created or written, or is not empty and `overwrite` is false.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        occupied = any(path.iterdir())
    except OSError as error:
        raise InputError(f"the output folder {path} cannot be created ({error.strerror}); choose another") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"the output folder {path} cannot be written; choose another")
    if occupied and not overwrite:
        raise InputError(
            f"the output folder {path} is not empty; choose another, or pass --overwrite true where there is one"
        )
    return path


def output_file(path: str | Path, *, overwrite: bool = False) -> Path:
    """Return `path`, a file to write.

    Raises:
        InputError: it exists and `overwrite` is false.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists already; choose another name, or pass --overwrite true")
    return path


def existing_file(path: str | Path, what: str) -> Path:
    """Return `path` if it is a file.

    Raises:
        InputError: there is none; the message names `what` was looked for.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist" if not path.exists() else f"{what} {path} is not a file")
    return path


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def write_failure(error: OSError) -> str:
    """Return why a file cannot be written, in words."""
    return "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def resume(record: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> dict[str, Any] | None:
    """Read the record of interrupted work, if its settings are the same.

    Long work writes a JSON record of its settings at the start.

    Args:
        record: the JSON file that was written when the work began.
        settings: what determines the results, JSON-able; compared with the record's values of the same names.
        overwrite: start over instead of refusing.

    Returns:
        The record; None if `overwrite` lets the work start over.

    Raises:
        InputError: there is no record, it is damaged, or its settings differ, which are named.

    Example:
        >>> import tempfile
        >>> record = Path(tempfile.mkdtemp()) / "manifest.json"
        >>> _ = record.write_text('{"size": [192, 640], "fit": "crop", "complete": false}')
        >>> resume(record, {"size": (192, 640), "fit": "crop"})["complete"]
        False
    """
    try:
        content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        before = {name: content.get(name) for name in settings}
    except FileNotFoundError:
        why = f"{record.parent} has no {record.name} that describes how its content was made"
    except (OSError, ValueError, AttributeError) as error:
        why = f"{record} is damaged ({error!r})"
    else:
        differing = list(_differing(before, json.loads(json.dumps(settings))))  # tuples as lists, as they are read
        if not differing:
            log.info("resuming from %s", record)
            return content
        why = f"{record} was written with other settings ({', '.join(differing)})"
    if not overwrite:
        raise InputError(f"{why}; choose another folder, or pass --overwrite true to start over")
    log.info("%s; starting over", why)
    return None


def _differing(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of settings that differ, with their values if they are short."""
    for name in dict.fromkeys([*now, *before]):
        old, new, full_name = before.get(name), now.get(name), f"{prefix}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differing(old, new, f"{full_name}.")
        elif old != new:
            values = [json.dumps(value) for value in (old, new)]
            shown = f" {values[0]}, now {values[1]}" if max(map(len, values)) <= SHORT else ""
            yield f"{full_name.removeprefix('settings.')}{shown}"
