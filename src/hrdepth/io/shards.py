"""Shards: many files in few tars, each found by an index, on disk or in an object store.

ROOT/shards.json             format, settings, cameras, lines (which frame lies in which shard), shards; written last
ROOT/shard-000000.tar        files; those of one frame have one name up to the first dot, as WebDataset wants it
ROOT/shard-000000.json       its size, its SHA-256, and for each file where it begins, how long it is, and facts
ROOT/masks/0.png             of cameras
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import atomic_path, file_sha256, read_json, write_json
from hrdepth.io.objects import copy_path, fetch_file, is_url, join_url

__all__ = ["INDEX", "Member", "ShardEntry", "ShardSet", "open_shards", "read_index", "write_shard"]

INDEX = "shards.json"
ORIGIN = "origin.json"  # of a local copy: the URL, and how much of it may lie here
FORMAT = 1


@dataclass(frozen=True)
class ShardEntry:
    """A file to be packed, or packed.

    Attributes:
        size: (height, width) of the image that it was made from; None if it is none.
        mtime_ns: when that file was changed last.
        outline: see `io.image_files.content_digest`, of that file, hexadecimal; "" if it is no image.
        offset: bytes before it in the tar.
        bytes: of it.
        crc: CRC-32 of it.
    """

    size: tuple[int, int] | None = None
    mtime_ns: int = 0
    outline: str = ""
    offset: int = 0
    bytes: int = 0
    crc: int = 0


def write_shard(root: Path, name: str, files: Iterable[tuple[str, bytes, ShardEntry]]) -> dict[str, Any]:
    """Write `ROOT/NAME.tar` and then `ROOT/NAME.json`, and return the latter's content.

    The same files give the same bytes.

    Args:
        root: the folder.
        name: of the shard.
        files: names in the tar, contents, and facts.

    Raises:
        InputError: the folder cannot be written, or its disk is full.
    """
    entries: dict[str, list[Any]] = {}
    path = root / f"{name}.tar"
    with atomic_path(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            for member, content, facts in files:
                info = tarfile.TarInfo(member)
                info.size, info.mtime = len(content), facts.mtime_ns // 10**9
                header = info.tobuf(tar.format, tar.encoding or "utf-8", tar.errors or "strict")
                offset = tar.offset + len(header)
                tar.addfile(info, io.BytesIO(content))
                size = None if facts.size is None else list(facts.size)
                entries[member] = [size, facts.mtime_ns, facts.outline, offset, len(content), zlib.crc32(content)]
        about = {"bytes": temporary.stat().st_size, "sha256": file_sha256(temporary), "files": entries}
    write_json(root / f"{name}.json", about)
    return about


@dataclass
class ShardSet:
    """The shards in a folder, or of a URL.

    Attributes:
        root: the folder; of a URL, that of its local copies.
        about: the content of shards.json.
        url: where shards come from that are not here yet; None on a disk.
        max_bytes: bytes of local copies, of which the longest unused go; None keeps all.
    """

    root: Path
    about: dict[str, Any]
    url: str | None = None
    max_bytes: int | None = None
    _files: dict[str, dict[str, ShardEntry]] = field(default_factory=dict)
    _checked: set[tuple[str, str]] = field(default_factory=set)

    @cached_property
    def names(self) -> list[str]:
        """The shards."""
        return [shard["name"] for shard in self.about["shards"]]

    def files(self, shard: str) -> Mapping[str, ShardEntry]:
        """Return the files of a shard."""
        if shard not in self._files:
            path = self.root / f"{shard}.json"
            try:
                if self.url is not None and not path.is_file():
                    fetch_file(join_url(self.url, path.name), path)
                found = read_json(path)["files"]
                self._files[shard] = {
                    name: ShardEntry(None if size is None else (int(size[0]), int(size[1])), *others)
                    for name, (size, *others) in found.items()
                }
            except (*MALFORMED, OSError) as error:
                raise InputError(f"{path} is missing or damaged ({error}); pack the shards again") from error
        return self._files[shard]

    def tar(self, shard: str) -> Path:
        """Return a shard's file, fetched if it is not here.

        Raises:
            InputError: it cannot be fetched, or is not what was packed.
        """
        path = self.root / f"{shard}.tar"
        if self.url is None:
            return path
        if path.is_file():
            if self.max_bytes is not None:
                with contextlib.suppress(OSError):  # marks it as used
                    os.utime(path)
            return path
        about = self.about["shards"][self.names.index(shard)]
        fetch_file(join_url(self.url, path.name), path, sha256=about["sha256"])
        if self.max_bytes is not None:
            self._remove_oldest(path)
        return path

    def _remove_oldest(self, newest: Path) -> None:
        found = []
        for tar in self.root.glob("*.tar"):
            with contextlib.suppress(OSError):  # another process was faster
                status = tar.stat()
                found.append((tar == newest, status.st_mtime_ns, status.st_size, tar))
        left = sum(size for _, _, size, _ in found)
        for is_newest, _, size, tar in sorted(found):
            if left <= (self.max_bytes or 0) or is_newest:
                return
            tar.unlink(missing_ok=True)
            left -= size

    def read(self, shard: str, name: str) -> bytes:
        """Return the content of a file in a shard, whose checksum is compared when this process first reads it.

        Raises:
            FileNotFoundError: there is no such file.
            InputError: the shard is missing or damaged.
        """
        entry = self.files(shard).get(name)
        if entry is None:
            raise FileNotFoundError(f"{self.root / shard}.tar holds no {name}")
        for _ in range(3):  # the copy may be removed by another process between the two steps
            try:
                with self.tar(shard).open("rb") as tar:
                    tar.seek(entry.offset)
                    content = tar.read(entry.bytes)
                break
            except FileNotFoundError as error:
                if self.url is None:
                    raise InputError(f"the shard {self.root / shard}.tar is missing; pack it again") from error
        else:
            raise InputError(f"{self.root} has no room for shards; give a larger cache_gb")
        if (shard, name) in self._checked:
            return content
        if zlib.crc32(content) != entry.crc:
            raise InputError(
                f"{name} in the shard {self.root / shard}.tar is damaged; run hrdepth prepare shards with --verify, "
                "then without, to write it again"
            )
        self._checked.add((shard, name))
        return content


_sets: dict[str, ShardSet] = {}


def open_shards(root: str | Path, cache: str | Path | None = None, cache_gb: float | None = None) -> ShardSet:
    """Open the shards of a folder or URL.

    Args:
        root: where `hrdepth prepare shards` wrote them.
        cache: of a URL, the folder of local copies; None for one in the user's cache folder.
        cache_gb: of a URL, gigabytes of local copies; None keeps all.

    Raises:
        InputError: there are none, or they are unfinished, damaged or of another format.
    """
    folder, url, max_bytes = Path(root), None, None
    if is_url(str(root)) and not str(root).startswith("file://"):
        url = str(root).rstrip("/")
        folder = copy_path(url, cache)
        max_bytes = None if cache_gb is None else int(cache_gb * 1e9)
        folder.mkdir(parents=True, exist_ok=True)
        before = file_sha256(folder / INDEX) if (folder / INDEX).is_file() else ""
        try:
            fetch_file(join_url(url, INDEX), folder / INDEX)
        except FileNotFoundError as error:
            raise InputError(_missing(url)) from error
        if before and before != file_sha256(folder / INDEX):  # packed again since
            for old in (*folder.glob("shard-*"), *folder.glob("masks/*")):
                old.unlink(missing_ok=True)
        write_json(folder / ORIGIN, {"url": url, "most": max_bytes})
    try:
        about = read_index(folder)
        if about["format"] != FORMAT:
            raise InputError(f"the shards in {root} have format {about['format']}, not {FORMAT}; pack them again")
    except FileNotFoundError as error:
        raise InputError(_missing(root)) from error
    except (*MALFORMED, OSError) as error:
        raise InputError(f"{folder / INDEX} is damaged ({error}); pack the shards again") from error
    found = ShardSet(folder, about, url, max_bytes)
    for mask in about["masks"] if url is not None else ():
        if not (folder / mask).is_file():
            fetch_file(join_url(url or "", mask), folder / mask)
    _sets[str(folder)] = found
    return found


def read_index(folder: Path) -> dict[str, Any]:
    """Return the content of shards.json.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or names files that lie elsewhere, which would be fetched to there or removed.
    """
    about = read_json(folder / INDEX)
    named = [(r"shard-\d+", shard["name"]) for shard in about["shards"]]
    named += [(r"masks/\d+(\.\w+)?", mask) for mask in about.get("masks", ())]
    if strange := [name for pattern, name in named if not re.fullmatch(pattern, name)]:
        raise ValueError(f"it names {strange[0]!r:.40}")
    return about


def _missing(root: str | Path) -> str:
    return f"{root} holds no shards, or unfinished ones (no {INDEX}); pack a set with hrdepth prepare shards"


def _set_of(root: str) -> ShardSet:
    """Return the open shards of a folder; a new process opens them by what lies there."""
    if root not in _sets:
        about = read_index(Path(root))
        origin = read_json(Path(root) / ORIGIN) if (Path(root) / ORIGIN).is_file() else {}
        _sets[root] = ShardSet(Path(root), about, origin.get("url"), origin.get("most"))
    return _sets[root]


@lru_cache(maxsize=2**16)
def _parts(path: str) -> tuple[str, str, str]:
    """Return root, shard and name of a `Member`."""
    found = re.fullmatch(r"(.*?)[/\\](shard-\d+)\.tar[/\\](.*)", path, re.DOTALL)
    assert found is not None, path
    root, shard, name = found.groups()
    return root, shard, name.replace(os.sep, "/")


if TYPE_CHECKING:
    _LocalPath = Path
else:  # before Python 3.12 `Path` itself cannot have subclasses
    _LocalPath = type(Path())


class Member(_LocalPath):
    """A file in a shard, as a path: `ROOT/shard-000000.tar/drive/l/0000000012.jpg`."""

    __slots__ = ()

    @property
    def _location(self) -> tuple[ShardSet, str, str]:
        root, shard, name = _parts(str(self))
        return _set_of(root), shard, name

    @property
    def entry(self) -> ShardEntry:
        """What the index says of it.

        Raises:
            FileNotFoundError: there is no such file in the shard.
        """
        shards, shard, name = self._location
        if (entry := shards.files(shard).get(name)) is None:
            raise FileNotFoundError(f"{self} does not exist")
        return entry

    def beside(self, ending: str) -> Member:
        """Return another file of the same frame, such as the one ending in `hint.npy`, which need not exist."""
        return self.with_name(f"{self.name.partition('.')[0]}.{ending}")

    def exists(self, **options: Any) -> bool:
        """Return whether the shard has it."""
        shards, shard, name = self._location
        return name in shards.files(shard)

    def is_file(self, **options: Any) -> bool:
        """Return whether the shard has it."""
        return self.exists()

    def is_dir(self, **options: Any) -> bool:
        """Return False."""
        return False

    def stat(self, **options: Any) -> os.stat_result:
        """Return its size, and when the file that it was made from was changed."""
        entry = self.entry
        return cast(
            os.stat_result,
            SimpleNamespace(st_size=entry.bytes, st_mtime_ns=entry.mtime_ns, st_mtime=entry.mtime_ns / 1e9),
        )

    def read_bytes(self) -> bytes:
        """Return its content."""
        shards, shard, name = self._location
        return shards.read(shard, name)

    def open(self, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """Open its content, which is read whole."""
        if mode != "rb":
            raise ValueError(f"a file in a shard is opened as 'rb', not '{mode}'")
        return io.BytesIO(self.read_bytes())
