"""Files and folders in object stores, by URL: `s3://BUCKET/FOLDER`, `gs://...`, `memory://...`; `file://...` is a path.

A command works on local twins of its URLs, `CACHE/objects/DIGEST/NAME`. What the store has is fetched before; what the
command writes is published while it runs and at its end: each file whole, manifests last, since a store has no rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import unquote

from hrdepth.config import TrainConfig
from hrdepth.errors import InputError, require
from hrdepth.io.files import atomic_path, file_sha256, read_json, user_cache, write_json
from hrdepth.io.locks import TEMPORARY
from hrdepth.io.parallel import parallel_map

__all__ = [
    "Twin",
    "cache_folder",
    "fetch_file",
    "fetched",
    "is_url",
    "join_url",
    "last_part",
    "list_url",
    "put_folder",
    "put_json",
    "read_remote_json",
    "staged",
]

log = logging.getLogger(__name__)

SCHEMES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "sftp", "hdfs", "memory", "file")
URL = re.compile(rf"({'|'.join(SCHEMES)})://.+")
PUBLISH_SECONDS = 30.0
"""Between two publications while a command runs: the work that a lost machine costs, besides its last checkpoint."""
TRANSFERS = 8  # at once: they wait for the network
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")

fcntl = importlib.import_module("fcntl") if find_spec("fcntl") else None


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


def cache_folder() -> Path:
    """Return the folder of local twins: `HRDEPTH_CACHE/objects`, or in the user's own cache folder."""
    return user_cache("objects")


def list_url(url: str) -> dict[str, int]:
    """Return the files of a store below a URL: names relative to it ("" for itself), and bytes.

    Raises:
        InputError: the store cannot be read.
    """
    return {name: int(info["size"]) for name, info in Twin(url).remote_files().items()}


def fetched(url: str) -> Path:
    """Return the local twin of a file or folder in a store, with its present content; `file://` is the path itself.

    Raises:
        InputError: there is none, or the store cannot be read.
    """
    if url.startswith("file://"):
        return _plain(url)
    with Twin(url) as twin:
        if not twin.fetch():
            raise InputError(f"{url} does not exist")
        return twin.local


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
    twin = Twin(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        with _store_errors(url):
            twin.store.invalidate_cache()
            twin.store.get_file(twin.remote, str(temporary))
        if sha256 is not None and file_sha256(temporary) != sha256:
            raise InputError(f"{url} is damaged, or was not fetched whole; put it into the store again")


class Twin:
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
        library = require("fsspec", "objects", f"{url} needs")
        with _store_errors(self.url):
            self.store, self.remote = library.core.url_to_fs(self.url)
        self.remote = self.remote.rstrip("/")
        self.folder = cache_folder() / hashlib.sha256(self.url.encode()).hexdigest()[:16]
        self.local = self.folder / last_part(self.url)
        # By name: as last fetched or published, here and there.
        self._known: dict[str, dict[str, Any]] = {}
        self._publishing = Lock()
        self._handle = -1

    def __enter__(self) -> Twin:
        """Lock the twin: alone while it is fetched, together with other processes then."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be created ({error.strerror}); set HRDEPTH_CACHE to a folder for copies"
            ) from error
        self.alone = True
        if fcntl is not None:
            self._handle = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR)
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.alone = False
                fcntl.flock(self._handle, fcntl.LOCK_SH)  # waits while another one fetches
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def remote_files(self) -> dict[str, dict[str, Any]]:
        """Return what the store has: fsspec's facts by the name relative to the URL, "" for the URL itself."""
        try:
            with _store_errors(self.url):
                self.store.invalidate_cache()
                found = self.store.find(self.remote, detail=True)
        except FileNotFoundError:  # not even a bucket
            found = {}
        files = {}
        for path, info in found.items():
            name = path[len(self.remote) + 1 :]
            if path != self.remote and not path.startswith(f"{self.remote}/"):
                continue
            if ".." in PurePosixPath(name).parts or name.startswith("/"):
                raise InputError(f"{self.url} holds a file called '{name}', which would lie outside the folder")
            if not name.endswith("/"):  # markers of empty folders
                files[name] = info
        return files

    def fetch(self) -> bool:
        """Bring the local twin to what the store has; return whether it has anything.

        While another process uses the twin, files that are there stay as they are.

        Raises:
            InputError: the store cannot be read, or the disk is full.
        """
        remote = self.remote_files()
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
            if fcntl is not None:
                fcntl.flock(self._handle, fcntl.LOCK_SH)
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
                with _store_errors(self.url), contextlib.suppress(FileNotFoundError):
                    self.store.rm_file(self._address(name))
                del self._known[name]
            if changed or gone:
                write_json(self.folder / "record.json", self._known)
            return len(changed)

    def _get(self, name: str, info: Mapping[str, Any]) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            with _store_errors(self.url):
                self.store.get_file(self._address(name), str(temporary))
            if (size := temporary.stat().st_size) != info["size"]:
                raise InputError(f"{self._address(name)} was not fetched whole: {size} of {info['size']} bytes")
            if (changed := info.get("LastModified") or info.get("created")) and hasattr(changed, "timestamp"):
                # The same on every machine, as names of hints and labels depend on it.
                os.utime(temporary, ns=(nanoseconds := int(changed.timestamp()) * 10**9, nanoseconds))

    def _put(self, name: str, names: Mapping[str, str]) -> tuple[str, list[Any]]:
        path, address = self._path(name), self._address(name)
        with _store_errors(self.url, must_exist=True):
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
            return {"": _stamp(self.local)}
        found = {}
        for folder, _, files in os.walk(self.local):
            if TEMPORARY in folder:
                continue
            for file in files:
                path = Path(folder) / file
                if not file.startswith(TEMPORARY):
                    with contextlib.suppress(OSError):  # renamed meanwhile
                        found[path.relative_to(self.local).as_posix()] = _stamp(path)
        return found


@contextmanager
def staged(config: Any) -> Iterator[Any]:
    """Yield a command's config with local paths in place of URLs; publish what the command writes there.

    Data sets of kind `shards`, and commands that run on Ray, fetch what they need themselves.

    Args:
        config: a dataclass with URLs among its values, at any depth.

    Raises:
        InputError: a store cannot be read or written. Results that could not be published are in the local twin.
    """
    urls = list(dict.fromkeys(_urls(config)))
    if not urls:
        yield config
        return
    with ExitStack() as stack:
        twins = [stack.enter_context(Twin(url)) for url in urls if not url.startswith("file://")]
        for twin in twins:
            twin.fetch()
        paths = {twin.url: str(twin.local) for twin in twins}
        paths |= {url: str(_plain(url)) for url in urls if url.startswith("file://")}
        names = {path: url for url, path in paths.items()}
        if twins and not (isinstance(config, TrainConfig) and any(os.environ.get(r, "0") != "0" for r in RANKS)):
            stack.enter_context(_published(twins, names))
        stack.enter_context(redirect_stdout(_Renaming(sys.stdout, names)))
        try:
            yield _replaced(config, paths)
        except InputError as error:
            text = _renamed(str(error), names)
            raise InputError(text) if text != str(error) else error from error


@contextmanager
def _published(twins: list[Twin], names: Mapping[str, str]) -> Iterator[None]:
    """Publish time and again, and at the end, also where it is an error or Ctrl-C."""
    ended = Event()

    def publish() -> None:
        while not ended.wait(PUBLISH_SECONDS):
            try:
                for twin in twins:
                    twin.publish(names)
            except (InputError, OSError) as error:
                log.warning("warning: %s; it is tried again", error)

    thread = Thread(target=publish, name="publish", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for twin in twins:
            try:
                count = twin.publish(names)
            except InputError as error:
                raise InputError(f"{error}; what could not be published is in {twin.local}") from error
            if count:
                log.info("published %d files in %s", count, twin.url)


def _urls(value: Any) -> Iterator[str]:
    """Yield the URLs in a config that are to be local, at any depth."""
    if is_url(value):
        yield value
    elif is_dataclass(value):
        on_ray = getattr(value, "ray", None) is not None
        if getattr(value, "dataset", None) != "shards":
            found = (url for field in fields(value) for url in _urls(getattr(value, field.name)))
            yield from (url for url in found if url.startswith("file://") or not on_ray)
    elif isinstance(value, Mapping):
        yield from (url for part in value.values() for url in _urls(part))
    elif isinstance(value, list | tuple):
        yield from (url for part in value for url in _urls(part))


def _replaced(value: Any, paths: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return paths.get(value) or paths.get(value.rstrip("/"), value)
    if is_dataclass(value) and not isinstance(value, type):
        if getattr(value, "dataset", None) == "shards":
            return value
        new = {field.name: _replaced(getattr(value, field.name), paths) for field in fields(value) if field.init}
        return replace(value, **new)
    if isinstance(value, Mapping):
        return {key: _replaced(part, paths) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(part, paths) for part in value)
    return value


def _plain(url: str) -> Path:
    return Path(unquote(url.removeprefix("file://")))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _state(info: Mapping[str, Any]) -> list[Any]:
    """Return what changes when an object does, JSON-able."""
    return [info["size"], str(info.get("ETag") or info.get("LastModified") or info.get("created") or "")]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for local, url in names.items():
        text = text.replace(local, url)
    return text


class _Renaming:
    """Standard output on which local twins have the names of their URLs."""

    def __init__(self, stream: TextIO, names: Mapping[str, str]) -> None:
        self._stream = stream
        self._names = names

    def write(self, text: str) -> int:
        return self._stream.write(_renamed(text, self._names))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _store_errors(url: str, *, must_exist: bool = False) -> Iterator[None]:
    """Turn an error of a store into one sentence; its classes differ between stores."""
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
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the store of {url} cannot be used ({reason}); check the address, the credentials and the connection"
        ) from error


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
        twin = Twin(target)
        with _store_errors(target, must_exist=True):
            for name in names:
                twin.store.put_file(str(folder / name), f"{twin.remote}/{name}")
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
    twin = Twin(address)
    with _store_errors(address, must_exist=True):
        twin.store.pipe_file(twin.remote, (json.dumps(content, indent=2) + "\n").encode())


def read_remote_json(url: str) -> dict[str, Any] | None:
    """Return a JSON object in a store or a folder; None where there is none.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    try:
        if not is_url(url) or url.startswith("file://"):
            return read_json(_plain(url))
        twin = Twin(url)
        with _store_errors(url):
            twin.store.invalidate_cache()
            content: dict[str, Any] = json.loads(twin.store.cat_file(twin.remote))
            return content
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{url} is damaged ({error})") from error
