"""What shards hold, and whether one that is there holds it already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrdepth.data import OpenData
from hrdepth.data.layers import objects_file
from hrdepth.data.map_cache import MapCache
from hrdepth.data.reader import SplitLine
from hrdepth.data.sample import resize_image
from hrdepth.data.shards import member_name
from hrdepth.errors import MALFORMED
from hrdepth.io.files import read_json
from hrdepth.io.image_files import content_digest
from hrdepth.io.images import image_size, read_image
from hrdepth.io.shards import ShardEntry

__all__ = ["Contents", "index_entry"]


class _Source(NamedTuple):
    """A file of a shard, and what it is made from.

    Attributes:
        name: in the shard.
        kind: what it holds.
        path: of the image, map or objects; of depth, which a reader keeps in its own way, the image's.
        content: returns it, None where the reader has no depth.
    """

    name: str
    kind: Literal["image", "map", "depth", "objects"]
    path: Path
    content: Callable[[], bytes | None]

    def is_same(self, packed: ShardEntry) -> bool:
        """Return whether a packed file was made from this, as far as can be told without reading it all."""
        status = self.path.stat()
        if self.kind == "image":
            return packed.mtime_ns == status.st_mtime_ns or packed.outline == content_digest(self.path).hex()
        return packed.bytes == status.st_size


@dataclass(frozen=True)
class Contents:
    """What the shards of a data set hold.

    Attributes:
        data: the set.
        maps: of its images.
        with_depth: whether true depth is packed.
        decode: whether images are packed as arrays.
        size: (height, width) of decoded images; None for their own.
    """

    data: OpenData
    maps: Sequence[MapCache]
    with_depth: bool
    decode: bool
    size: tuple[int, int] | None

    def files(self, lines: Sequence[SplitLine]) -> Iterator[tuple[str, bytes, ShardEntry]]:
        """Yield name, content and facts of each file of the shard of these targets.

        Raises:
            InputError: an image or a map is damaged.
        """
        for source in self._sources(lines):
            path, facts = source.path, ShardEntry()
            if source.kind == "image":
                facts = ShardEntry(image_size(path), path.stat().st_mtime_ns, content_digest(path).hex())
            if (content := source.content()) is not None:
                yield source.name, content, facts

    def kept(self, root: Path, numbered: tuple[str, Sequence[SplitLine]]) -> dict[str, Any] | None:
        """Return the entry in the index of a shard that is there and holds what it should; None of any other.

        True depth is not compared.

        Args:
            root: the folder of the shards.
            numbered: the shard's name and targets.
        """
        name, lines = numbered
        try:
            if not (root / f"{name}.tar").is_file():
                return None
            about = read_json(root / f"{name}.json")
            packed = {file: ShardEntry(*facts) for file, facts in about["files"].items()}
            sources = {source.name: source for source in self._sources(lines) if source.kind != "depth"}
            same = {file for file in packed if not file.endswith(".depth.npy")} == sources.keys() and all(
                source.is_same(packed[file]) for file, source in sources.items()
            )
            return index_entry(name, about, len(lines)) if same else None
        except (*MALFORMED, OSError):  # it is damaged, and written again
            return None

    def _sources(self, lines: Sequence[SplitLine]) -> Iterator[_Source]:
        """Yield what the shard of these targets is made from, the files of one frame behind each other."""
        neighbours, reader = self.data.neighbours, self.data.neighbours.reader
        targets = {member_name(line, 0): line for line in lines}
        images = {
            member_name(line, offset): path for line in lines for offset, path in neighbours.all_images(line).items()
        }
        for name, path in sorted(images.items()):
            file = f"{name}.npy" if self.decode else f"{name}{path.suffix.lower()}"
            yield _Source(file, "image", path, partial(self._image, path))
            if (line := targets.get(name)) is None:
                continue
            for layer in self.maps:
                deciding = layer.deciding(reader, line)
                if (file_of_map := layer.file(path, *deciding)).is_file():
                    content = partial(_map, layer, path, deciding)
                    yield _Source(f"{name}.{layer.ending}", "map", file_of_map, content)
            if self.with_depth:
                yield _Source(f"{name}.depth.npy", "depth", path, partial(self._depth, line))
        for name, path in sorted(images.items()):
            if (objects := objects_file(path)).is_file():
                yield _Source(str(objects_file(Path(f"{name}.png"))), "objects", objects, objects.read_bytes)

    def _image(self, path: Path) -> bytes:
        image = read_image(path)  # what cannot be read is not packed
        if not self.decode:
            return path.read_bytes()
        return _array(np.asarray(image if self.size is None else resize_image(image, self.size)))

    def _depth(self, line: SplitLine) -> bytes | None:
        depth = self.data.neighbours.reader.depth(line)
        return None if depth is None else _array(depth)


def index_entry(name: str, about: dict[str, Any], targets: int) -> dict[str, Any]:
    """Return what the index says of a shard, from its own description and the number of its targets."""
    return {"name": name, "bytes": about["bytes"], "sha256": about["sha256"], "targets": targets}


def _map(layer: MapCache, image: Path, deciding: tuple[Any, ...]) -> bytes:
    layer.load(image, *deciding)  # raises where it is damaged
    return layer.file(image, *deciding).read_bytes()


def _array(array: NDArray[Any]) -> bytes:
    content = BytesIO()
    np.save(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()
