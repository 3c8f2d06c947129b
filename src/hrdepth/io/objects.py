"""Files in object stores, by URL: `s3://BUCKET/FOLDER`, `gs://...`, `memory://...`; `file://...` is a path.

A store is read and written here; `io.local_copies` keeps copies of its files, and `io.staging` runs a command on them.
Functions that take an address take a path too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from hrdepth.errors import InputError, first_line, require
from hrdepth.io.files import atomic_path, file_sha256, json_object, user_cache, write_json

__all__ = [
    "copy_path",
    "fetch_file",
    "is_url",
    "join_url",
    "last_part",
    "open_store",
    "plain_path",
    "put_folder",
    "put_json",
    "read_remote_json",
    "read_remote_text",
    "remote_files",
    "store_errors",
]

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "sftp", "hdfs", "memory", "file")
URL = re.compile(rf"({'|'.join(SCHEMES)})://.+")


def is_url(text: object) -> bool:
    """Return whether a path is a URL of a store.

    Example:
        >>> is_url("s3://bucket/drive.mp4"), is_url("drive.mp4"), is_url("hf://owner/repo")
        (True, False, False)
    """
    return isinstance(text, str) and URL.fullmatch(text) is not None


def last_part(url: str | Path) -> str:
    """Return the name of what a URL or a path leads to."""
    return PurePosixPath(str(url).rstrip("/")).name


def join_url(folder: str | Path, name: str) -> str:
    """Return the URL, or the path, of a file in a folder."""
    return f"{str(folder).rstrip('/')}/{name}" if name else str(folder)


def plain_path(address: str) -> Path:
    """Return the path that a `file://` URL stands for; a path as it is."""
    return Path(unquote(address.removeprefix("file://"))) if is_url(address) else Path(address)


def copy_path(url: str, cache: str | Path | None = None) -> Path:
    """Return where a local copy of a URL lies: `CACHE/DIGEST/NAME`.

    Args:
        url: of a file or folder.
        cache: the folder of copies; None for `HRDEPTH_CACHE/objects`, or the one in the user's own cache folder.
    """
    folder = user_cache("objects") if cache is None else Path(cache)
    return folder / hashlib.sha256(url.encode()).hexdigest()[:16] / last_part(url)


def open_store(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the URL's path in it.

    Raises:
        InputError: a package that the URL's scheme needs is missing.
    """
    library = require("fsspec", "objects", f"{url} needs")
    with store_errors(url):
        store, remote = library.core.url_to_fs(url)
    return store, remote.rstrip("/")


@contextmanager
def store_errors(url: str, *, must_exist: bool = False) -> Iterator[None]:
    """Turn an error of a store into one sentence; its classes differ between stores.

    Args:
        url: that is read or written.
        must_exist: whether a `FileNotFoundError`, which passes otherwise, is such an error.

    Raises:
        InputError: the store cannot be used.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        if must_exist:
            raise InputError(f"{url} cannot be written: there is no such bucket or folder") from error
        raise
    except (ImportError, ValueError) as error:
        if "install" not in str(error).lower():
            raise InputError(f"{url} cannot be used ({error})") from error
        raise InputError(f"{url}: {error}; s3fs comes with pip install 'hrdepth[objects]'") from error
    except Exception as error:
        raise InputError(
            f"the store of {url} cannot be used ({first_line(error)}); check the address, the credentials and the "
            "connection"
        ) from error


def remote_files(url: str) -> dict[str, dict[str, Any]]:
    """Return what a store has below a URL: fsspec's facts by the name relative to the URL, "" for the URL itself.

    Raises:
        InputError: the store cannot be read.
    """
    store, remote = open_store(url)
    try:
        with store_errors(url):
            store.invalidate_cache()
            found = store.find(remote, detail=True)
    except FileNotFoundError:  # not even a bucket
        found = {}
    files = {}
    for path, info in found.items():
        name = path[len(remote) + 1 :]
        if path != remote and not path.startswith(f"{remote}/"):
            continue
        if ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise InputError(f"{url} holds a file called '{name}', which would lie outside the folder")
        if not name.endswith("/"):  # markers of empty folders
            files[name] = info
    return files


def fetch_file(url: str, path: Path, *, sha256: str | None = None) -> None:
    """Fetch one file of a store; it appears whole or not at all.

    Args:
        url: of the file.
        path: where it is written; its folder is made.
        sha256: that it must have.

    Raises:
        FileNotFoundError: there is none.
        InputError: the store cannot be read, the disk is full, or the file is not what it must be.
    """
    store, remote = open_store(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        with store_errors(url):
            store.invalidate_cache()
            store.get_file(remote, str(temporary))
        if sha256 is not None and file_sha256(temporary) != sha256:
            raise InputError(f"{url} is damaged, or was not fetched whole; put it into the store again")


def put_folder(folder: Path, target: str, last: str = "") -> None:
    """Put the files of a folder into another one on the same disk, or a URL; each whole, the manifest last.

    Args:
        folder: whose files are put; a local target takes them over.
        target: a folder, made if it is missing, or a URL.
        last: the manifest's name.

    Raises:
        InputError: the target cannot be written.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names.sort(key=lambda name: name == last)
    if is_url(target):
        store, remote = open_store(target)
        with store_errors(target, must_exist=True):
            for name in names:
                store.put_file(str(folder / name), f"{remote}/{name}")
        return
    try:
        for name in names:
            (Path(target) / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(Path(target) / name)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror})") from error


def put_json(address: str, content: dict[str, Any]) -> None:
    """Write a JSON object into a folder, which is made if it is missing, or a store."""
    if not is_url(address):
        Path(address).parent.mkdir(parents=True, exist_ok=True)
        write_json(address, content)
        return
    store, remote = open_store(address)
    with store_errors(address, must_exist=True):
        store.pipe_file(remote, (json.dumps(content, indent=2) + "\n").encode())


def read_remote_text(address: str) -> str | None:
    """Return the text of a file in a store or a folder; None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if not is_url(address) or address.startswith("file://"):
            return plain_path(address).read_text(encoding="utf-8")
        store, remote = open_store(address)
        with store_errors(address):
            store.invalidate_cache()
            content: bytes = store.cat_file(remote)
        return content.decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{address} is damaged ({error})") from error


def read_remote_json(address: str) -> dict[str, Any] | None:
    """Return a JSON object in a store or a folder; None where there is none.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    if (text := read_remote_text(address)) is None:
        return None
    try:
        return json_object(text)
    except ValueError as error:
        raise InputError(f"{address} is damaged ({error})") from error
