"""Local copies of files and folders in object stores: `CACHE/objects/DIGEST/NAME`.

What the store has is fetched before a command; what the command writes is published while it runs and at its end: each
file whole, manifests last, since a store has no rename.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, read_json, stamp, write_json
from hrdepth.io.locks import TEMPORARY, SharedLock
from hrdepth.io.objects import copy_path, open_store, plain_path, remote_files, store_errors
from hrdepth.io.parallel import parallel_map

__all__ = ["LocalCopy", "fetched"]

log = logging.getLogger(__name__)

TRANSFERS = 8  # at once: they wait for the network


def fetched(url: str) -> Path:
    """Return the local copy of a file or folder in a store, with its present content; `file://` is the path itself.

    Raises:
        InputError: there is none, or the store cannot be read.
    """
    if url.startswith("file://"):
        return plain_path(url)
    with LocalCopy(url) as copy:
        if not copy.fetch():
            raise InputError(f"{url} does not exist")
        return copy.local


class LocalCopy:
    """A local file or folder that stands for a URL; a context manager that holds it while it is used.

    Args:
        url: of the file or folder, which need not exist.

    Attributes:
        local: where it lies here.

    Raises:
        InputError: a package that the URL's scheme needs is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.store, self.remote = open_store(self.url)
        self.local = copy_path(self.url)
        self.folder = self.local.parent
        # By name: as last fetched or published, here and there.
        self._known: dict[str, dict[str, Any]] = {}
        self._publishing = Lock()
        self._lock = SharedLock(self.folder / "lock")

    def __enter__(self) -> LocalCopy:
        """Lock the copy: alone while it is fetched, together with other processes then."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be created ({error.strerror}); set HRDEPTH_CACHE to a folder for copies"
            ) from error
        self.alone = self._lock.lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.unlock()

    def fetch(self) -> bool:
        """Bring the local copy to what the store has; return whether it has anything.

        While another process uses the copy, files that are there stay as they are.

        Raises:
            InputError: the store cannot be read, or the disk is full.
        """
        remote = remote_files(self.url)
        record = self.folder / "record.json"
        before = read_json(record) if record.is_file() else {}
        here = self._local_files()

        def is_current(name: str) -> bool:
            if not self.alone:
                return name in here
            known = before.get(name, {})
            return bool(known.get("local") == here.get(name) and known.get("remote") == _state(remote[name]))

        wanted = [name for name in remote if not is_current(name)]
        if self.alone:
            for name in here.keys() - remote.keys():
                self._path(name).unlink(missing_ok=True)
        for _ in parallel_map(lambda name: self._get(name, remote[name]), wanted, TRANSFERS):
            pass
        there = self._local_files()
        self._known = {
            name: {"local": there[name], "remote": _state(info)} for name, info in remote.items() if name in there
        }
        if self.alone:
            write_json(record, self._known)
            self._lock.share()
        if wanted:
            log.info("fetched %d of %d files of %s", len(wanted), len(remote), self.url)
        return bool(remote)

    def publish(self, names: Mapping[str, str] | None = None) -> int:
        """Put what is new or has changed here into the store, manifests last, and remove what is gone here.

        Args:
            names: local paths and the URLs that replace them in .json and .yaml files.

        Returns:
            How many files were put.

        Raises:
            InputError: the store cannot be written.
        """
        with self._publishing:
            here = self._local_files()
            changed = [name for name, state in here.items() if self._known.get(name, {}).get("local") != state]
            plain = [name for name in changed if not name.endswith(".json")]
            # A checkpoint counts the rows of the log beside it: the log must not be older.
            first, others = [n for n in plain if n.endswith(".ckpt")], [n for n in plain if not n.endswith(".ckpt")]
            deepest_first = sorted(set(changed) - set(plain), key=lambda name: (-name.count("/"), name))
            for group, at_once in ((first, 1), (others, TRANSFERS), (deepest_first, 1)):
                for name, state in parallel_map(lambda name: self._put(name, names or {}), group, at_once):
                    self._known[name] = {"local": here[name], "remote": state}
            gone = [name for name in self._known if name not in here]
            for name in gone:
                with store_errors(self.url), contextlib.suppress(FileNotFoundError):
                    self.store.rm_file(self._address(name))
                del self._known[name]
            if changed or gone:
                write_json(self.folder / "record.json", self._known)
            return len(changed)

    def _get(self, name: str, info: Mapping[str, Any]) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            with store_errors(self.url):
                self.store.get_file(self._address(name), str(temporary))
            if (size := temporary.stat().st_size) != info["size"]:
                raise InputError(f"{self._address(name)} was not fetched whole: {size} of {info['size']} bytes")
            if (changed := info.get("LastModified") or info.get("created")) and hasattr(changed, "timestamp"):
                # The same on every machine, as names of hints and labels depend on it.
                os.utime(temporary, ns=(nanoseconds := int(changed.timestamp()) * 10**9, nanoseconds))

    def _put(self, name: str, names: Mapping[str, str]) -> tuple[str, list[Any]]:
        path, address = self._path(name), self._address(name)
        with store_errors(self.url, must_exist=True):
            content = path.read_bytes() if path.suffix in (".json", ".yaml") else None
            if content is not None and any(local.encode() in content for local in names):
                for local, url in names.items():
                    content = content.replace(local.encode(), url.encode())
                self.store.pipe_file(address, content)
            else:
                self.store.put_file(str(path), address)
            return name, _state(self.store.info(address))

    def _path(self, name: str) -> Path:
        return self.local / name if name else self.local

    def _address(self, name: str) -> str:
        return f"{self.remote}/{name}" if name else self.remote

    def _local_files(self) -> dict[str, list[int]]:
        """Return size and time of change of the files here, by name, without unfinished ones."""
        if self.local.is_file():
            return {"": stamp(self.local)}
        found = {}
        for folder, _, files in os.walk(self.local):
            if TEMPORARY in folder:
                continue
            for file in files:
                path = Path(folder) / file
                if not file.startswith(TEMPORARY):
                    with contextlib.suppress(OSError):  # renamed meanwhile
                        found[path.relative_to(self.local).as_posix()] = stamp(path)
        return found


def _state(info: Mapping[str, Any]) -> list[Any]:
    """Return what changes when an object does, JSON-able."""
    return [info["size"], str(info.get("ETag") or info.get("LastModified") or info.get("created") or "")]
