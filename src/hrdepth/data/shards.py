"""A data set that `hrdepth prepare shards` packed: few large files, on disk or in an object store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import Camera
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.arrays import load_array
from hrdepth.io.shards import Member, open_shards

__all__ = ["Shards", "camera_facts", "member_name"]


class Shards(FrameReader):
    """Packed frames: each shard has the images, maps and depth of a stretch of a recording and its neighbours.

    Args:
        root: the folder or URL of one data set's shards.
        split: a list of some of the packed frames; null takes all, in the order of the set that was packed.
        window: shards that are mixed at a time: their samples are drawn in random order before the next ones come. Null
            draws from the whole set, as from files; with a URL every shard is then fetched at once.
        cache: for a URL, the folder of local copies; null for one in the user's cache folder.
        cache_gb: for a URL, gigabytes of local copies, of which the longest unused go; null keeps all. Give it
            with `window`, and room for a few more shards than that.
        baseline: units between the cameras of a stereo pair; null takes that of the set that was packed.

    Raises:
        InputError: there are no shards, they are damaged, or the split names a frame that was not packed.
    """

    has_stereo = True

    def __init__(
        self,
        root: str,
        split: str | None = None,
        window: int | None = None,
        cache: str | None = None,
        cache_gb: float | None = None,
        baseline: float | None = None,
    ) -> None:
        if window is not None and window < 1:
            raise InputError(f"window {window} of the shards in {root} must be at least 1; null mixes all")
        if cache_gb is not None and (window is None or not cache_gb > 0):
            raise InputError(f"cache_gb of the shards in {root} must be positive, and needs window to be set")
        self.window = window
        self._baseline = baseline
        self._set = open_shards(root, cache, cache_gb)
        about = self._set.about
        try:
            lines = [(SplitLine(folder, frame, side, text, f"{root}:{number}"), shard)
                     for number, (folder, frame, side, text, shard) in enumerate(about["lines"], 1)]  # fmt: skip
            self._cameras = {name: self._camera(facts, root) for name, facts in about["cameras"].items()}
            others = [SplitLine(folder, frame, side) for folder, frame, side in about["other_lines"]]
            self._has_depth = bool(about["depth"])
        except MALFORMED as error:
            raise InputError(f"the index of the shards in {root} is damaged ({error!r}); pack them again") from error
        packed = [line for line, _ in lines]
        self.targets = packed if split is None else read_split(split)
        self.split = [*packed, *others] if split is None else None
        self._shard_of: dict[tuple[str, int, str], int] = {line.key: shard for line, shard in lines}
        if unpacked := [line for line in self.targets if line.key not in self._shard_of]:
            first = unpacked[0]
            raise InputError(
                f"{first.origin}: frame {first.frame} of '{first.folder}', side {first.side}, is not in the shards in "
                f"{root}, nor are {len(unpacked) - 1} other lines; remove them, or pack these frames too"
            )
        self._images: dict[int, dict[str, str]] = {}

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`; it lies in the target's shard."""
        if (shard := self._shard_of.get(line.key)) is None:
            return None
        name = self._names(shard).get(member_name(line, frame))
        return None if name is None else self._member(shard, name)

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._cameras[f"{line.folder} {line.side}"]

    def depth(self, line: SplitLine) -> NDArray[np.float32] | None:
        """See `FrameReader.depth`."""
        return np.asarray(load_array(self._depth_file(line)), np.float32) if self.has_depth_of(line) else None

    def has_depth_of(self, line: SplitLine) -> bool:
        """See `FrameReader.has_depth_of`."""
        return self._has_depth and self._depth_file(line).is_file()

    def depth_files(self, line: SplitLine) -> Sequence[Path]:
        """See `FrameReader.depth_files`."""
        return [self._depth_file(line)]

    def has_depth(self) -> bool:
        """See `FrameReader.has_depth`."""
        return self._has_depth

    def _depth_file(self, line: SplitLine) -> Member:
        return self._member(self.shard(line), f"{member_name(line, 0)}.depth.npy")

    def shard(self, line: SplitLine) -> int:
        """See `FrameReader.shard`."""
        return self._shard_of.get(line.key, 0)

    def _member(self, shard: int, name: str) -> Member:
        return Member(str(self._set.root), f"{self._set.names[shard]}.tar", name)

    def _names(self, shard: int) -> dict[str, str]:
        """Return the names of a shard's images by what `member_name` gives."""
        if shard not in self._images:
            files = self._set.files(self._set.names[shard])
            self._images[shard] = {
                name[: name.index(".", name.rindex("/"))]: name for name, entry in files.items() if entry.size
            }
        return self._images[shard]

    def _camera(self, facts: dict[str, Any], root: str) -> Camera:
        facts = dict(facts)
        height, width = facts.pop("size")
        mask = facts.pop("mask")
        if self._baseline is not None:
            facts["baseline"] = self._baseline
        matrix = np.array(facts.pop("intrinsics"), np.float64)
        return Camera(matrix, (height, width), mask=None if mask is None else self._set.root / mask,
                      source=f"the camera of the shards in {root}", **facts)  # fmt: skip


def member_name(line: SplitLine, frame: int | str) -> str:
    """Return the name in a shard of the image at `frame`, without its ending.

    Example:
        >>> member_name(SplitLine("date/drive", 12, "l"), -1), member_name(SplitLine("../a.b", 0, "r"), "s")
        ('date/drive/l/0000000011', '__/a.b/l/0000000000')
    """
    number, side = line.at(frame)
    folder = "/".join("__" if part in ("..", ".") else part for part in line.folder.strip("/").split("/"))
    return f"{folder}/{side}/{number:010d}"


def camera_facts(camera: Camera, mask: str | None) -> dict[str, Any]:
    """Return a camera for the index, JSON-able; `mask` is the name of the packed one."""
    return {
        "intrinsics": camera.intrinsics.tolist(),
        "size": list(camera.size),
        "baseline": camera.baseline,
        "baseline_metres": camera.baseline_metres,
        "mask": mask,
        "learn": camera.learn,
        "keep": camera.keep,
        "pixel_aspect": camera.pixel_aspect,
    }
