"""Write files so that nothing is lost, and resume work from what is there."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrdepth.errors import InputError
from hrdepth.io.locks import TEMPORARY, locked_temporary, remove_leftovers, remove_leftovers_once, unlock

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "atomic_path",
    "begin",
    "existing_file",
    "existing_folder",
    "file_sha256",
    "json_object",
    "last_parts",
    "output_file",
    "output_folder",
    "parse_json",
    "read_json",
    "regular_file",
    "resume",
    "stamp",
    "user_cache",
    "write_array",
    "write_bytes",
    "write_failure",
    "write_json",
    "write_text",
]

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)

SHORT = 24  # characters of a setting's value that is still shown


@contextmanager
def atomic_path(path: str | Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on error.

    The temporary name has the same suffix, so that writers that guess the format from it still work. If the process
    is killed, the next one that writes into this folder removes the temporary file.

    Args:
        path: of the file to write.
        durable: wait until the disk has it, so that it outlives a loss of power.

    Raises:
        InputError: the folder does not exist, cannot be written, or its disk is full.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "answer.txt"
        >>> with atomic_path(target) as temporary:
        ...     _ = temporary.write_text("42")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('42', 1)
    """
    path = Path(path)
    with _reported(path):
        remove_leftovers_once(path.parent)
        temporary, handle = locked_temporary(
            lambda: tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
        )
    try:
        with _reported(path, temporary):
            yield temporary
            # mkstemp makes private files; a result should have the mode that an ordinary open() gives.
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            if durable:
                _sync(temporary)
            temporary.replace(path)
            if durable and os.name != "nt":
                _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        unlock(handle)


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file, atomically.

    Files of libraries are composed in memory and written here, as Pillow and NumPy overlook a disk that fills up.

    Raises:
        InputError: as `atomic_path`.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(content)


def write_text(path: str | Path, text: str) -> None:
    """Write a file of text in UTF-8, atomically.

    Raises:
        InputError: as `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_array(path: str | Path, array: NDArray[Any]) -> None:
    """Write an array as .npy, atomically, without pickle.

    Raises:
        InputError: as `atomic_path`.
    """
    import numpy as np

    content = BytesIO()
    np.save(content, array, allow_pickle=False)
    write_bytes(path, content.getbuffer())


@contextmanager
def _reported(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Report a failure to write `path`; errors that name another file pass."""
    try:
        yield
    except OSError as error:
        about_it = error.filename is None or temporary is None or str(error.filename) == str(temporary)
        if error.errno is None or not about_it:
            raise
        advice = "make room, or choose another folder" if error.errno in FULL else "choose another folder"
        raise InputError(f"{path} cannot be written ({write_failure(error)}); {advice}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno in (*FULL, errno.EIO):
            raise
        log.debug("%s cannot be synchronised: %s", path, error)  # some network disks
    finally:
        os.close(handle)


def output_folder(path: str | Path, *, overwrite: bool = False) -> Path:
    """Create the folder `path` for results and return it.

    Raises:
        InputError: it cannot be created or written, or is not empty and `overwrite` is false.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
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


def existing_folder(root: str, advice: str = "") -> Path:
    """Return the folder of a data set.

    Raises:
        InputError: it does not exist; the sentence ends with the advice.
    """
    folder = Path(root)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"the data folder {root} {what}{advice and f'; {advice}'}")
    return folder


def regular_file(path: Path) -> Path:
    """Return the path of a file with content; reading a pipe in its place would wait for ever.

    Raises:
        OSError: it is missing, or no file.
    """
    if not path.is_file():
        path.stat()  # which says that it is missing
        raise OSError(errno.EINVAL, "a folder, a pipe or a device in place of a file", str(path))
    return path


def last_parts(path: str | Path) -> str:
    """Return the last two parts of a path, for descriptions."""
    return "/".join(Path(path).parts[-2:])


def stamp(path: Path) -> list[int]:
    """Return size and time of change of a file."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with (path if isinstance(path, Path) else Path(path)).open("rb") as file:  # which may lie in a shard
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def user_cache(part: str) -> Path:
    """Return a folder of what can be made or fetched again: `part` of `HRDEPTH_CACHE`, or of the user's own cache."""
    if given := os.environ.get("HRDEPTH_CACHE"):
        return Path(given) / part
    from platformdirs import user_cache_path

    return user_cache_path("hrdepth", appauthor=False) / part


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or something else than an object.
    """
    return json_object(regular_file(Path(path)).read_text(encoding="utf-8"))


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the object that JSON describes.

    Raises:
        ValueError: it is damaged, or something else than an object.
    """
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError(f"not an object, but {json.dumps(content)[:SHORT]}")
    return content


def parse_json(text: str | bytes) -> Any:
    """Return the content of JSON.

    Raises:
        ValueError: it is damaged, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def write_failure(error: Exception) -> str:
    """Return why a file cannot be written, in words, without its name."""
    if isinstance(error, InputError):  # of `atomic_path`
        error = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if not isinstance(error, OSError):
        return str(error)
    return "the disk is full" if error.errno in FULL else str(error.strerror or error)


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write `content` as indented JSON, atomically; numbers that are not finite, which JSON does not have, as null."""
    text = json.dumps(_for_json(content), indent=2, allow_nan=False)
    with atomic_path(path, durable=True) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def _for_json(content: Any) -> Any:
    """Return dataclasses as dictionaries, tuples as lists, and None for numbers that are not finite."""
    if is_dataclass(content) and not isinstance(content, type):
        content = asdict(content)
    if isinstance(content, Mapping):
        return {key: _for_json(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_for_json(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def begin(record: Path, content: dict[str, Any], refusal: str) -> bool:
    """Write the JSON record that long work in a folder begins with, unless it is there.

    Several processes may begin together.

    Args:
        record: the JSON file; its folder is made if it is missing.
        content: of the record.
        refusal: what is wrong where the folder holds other things.

    Returns:
        Whether this process wrote it.

    Raises:
        InputError: `refusal`, or as `output_folder`.
    """
    folder = record.parent
    occupied = folder.is_dir() and not all(path.name.startswith(TEMPORARY) for path in folder.iterdir())
    # In this order: what another process writes behind its record is not taken for other things.
    if record.is_file():
        return False
    if occupied:
        raise InputError(refusal)
    output_folder(folder, overwrite=True)
    write_json(record, content)
    return True


def resume(record: Path, settings: Mapping[str, Any], *, overwrite: bool | None = False) -> dict[str, Any] | None:
    """Read the record of interrupted work, if its settings are the same.

    Long work writes a JSON record of its settings at the start.

    Args:
        record: the JSON file that was written when the work began.
        settings: what determines the results, JSON-able; compared with the record's values of the same names.
        overwrite: start over instead of refusing; None where the command has no such option.

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
        content = read_json(record)
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
        advice = "" if overwrite is None else ", or pass --overwrite true to start over"
        raise InputError(f"{why}; choose another folder{advice}")
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
