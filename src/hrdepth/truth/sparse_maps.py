"""Sparse depth maps of several sizes in one .npz of plain arrays: nothing in it is a pickle.

names        (N,) text: the frames, as a split names them
sizes        (N,2) int32: height, width
counts       (N,) int64: pixels with depth
positions    (sum of counts,) int32: row x width + column, in order of the maps
depths       (sum of counts,) float32: metres
about        JSON: what the depth is, and how the file came about
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.arrays import open_archive
from hrdepth.io.files import atomic_path, existing_file, parse_json
from hrdepth.truth.pickled import read_float_maps

__all__ = ["SparseMaps", "read_depth_maps", "write_sparse_maps"]

# Of one map; beyond any camera with depth.
MOST_PIXELS = 2**25
_ARRAYS = ("names", "sizes", "counts", "positions", "depths", "about")


class SparseMaps(Sequence[NDArray[np.float32]]):
    """Depth maps (H,W) float32, metres, 0 for none; each made when it is asked for."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.names = [str(name) for name in arrays["names"]]
        self.about: dict[str, Any] = parse_json(str(arrays["about"]))
        if not isinstance(self.about, dict):
            raise ValueError("'about' is no JSON object")
        self._sizes, self._positions, self._depths = arrays["sizes"], arrays["positions"], arrays["depths"]
        counts = arrays["counts"]
        kinds = [part.dtype.kind for part in (self._sizes, counts, self._positions, self._depths)]
        shapes = [part.shape for part in (self._sizes, counts, self._positions, self._depths)]
        maps, pixels = len(self.names), len(self._positions)
        # First what is cheap: counts of more pixels than there are would fill the memory.
        if not (
            [*"iiif"] == ["i" if kind == "u" else kind for kind in kinds]
            and maps > 0
            and shapes == [(maps, 2), (maps,), (pixels,), (pixels,)]
            and 0 <= counts.min() <= counts.max() <= pixels == counts.sum()
            and (self._sizes > 0).all()
            and self._sizes.astype(np.int64).prod(axis=1).max() <= MOST_PIXELS
            and (self._positions >= 0).all()
            and (self._positions < np.repeat(self._sizes.prod(axis=1), counts)).all()
        ):
            raise ValueError("its arrays do not fit together")
        self._ends = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        start, end = self._ends[index], self._ends[index + 1]
        depth = np.zeros(tuple(self._sizes[index]), dtype=np.float32)
        depth.flat[self._positions[start:end]] = self._depths[start:end]
        return depth


def write_sparse_maps(path: str | Path, maps: Iterator[tuple[str, NDArray[np.float32]]], about: dict[str, Any]) -> Path:
    """Write depth maps, a name and (H,W) metres each; what is not finite and positive is none."""
    names, sizes, positions, depths = [], [], [], []
    for name, depth in maps:
        known = np.flatnonzero(np.isfinite(depth) & (depth > 0))
        names.append(name)
        sizes.append(depth.shape)
        positions.append(known.astype(np.int32))
        depths.append(depth.flat[known].astype(np.float32))
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            names=np.array(names),
            sizes=np.array(sizes, dtype=np.int32),
            counts=np.array([len(part) for part in depths], dtype=np.int64),
            positions=np.concatenate(positions),
            depths=np.concatenate(depths),
            about=np.array(json.dumps(about)),
        )
    return Path(path)


def read_depth_maps(path: str | Path, names: Sequence[str] = ()) -> Sequence[NDArray[np.float32]]:
    """Read a file of depth maps: one of `write_sparse_maps`, or a `gt_depths.npz` as they are exchanged.

    Args:
        path: the .npz.
        names: the frames that are expected, in order, where they are known.

    Raises:
        InputError: the file is missing or damaged, holds something else, or is of other frames; nothing in it is run.
    """
    path = existing_file(path, "the archive")
    if not zipfile.is_zipfile(path):
        return read_float_maps(path)  # its error names the fault
    try:
        with open_archive(path) as archive:
            if not set(_ARRAYS) <= set(archive.files):
                return read_float_maps(path)
            maps = SparseMaps({name: archive[name] for name in _ARRAYS})
            for name in maps.names:
                name.split()  # of characters that there are
    except (*MALFORMED, OSError, EOFError, zipfile.BadZipFile, MemoryError, SystemError) as error:
        raise InputError(
            f"{path} is damaged ({error}); make it again with `hrdepth prepare kitti KITTI_RAW --out {path.parent} "
            "--ground-truth --overwrite true`"
        ) from error
    if len(names) == len(maps):
        for one, other in zip(maps.names, names, strict=True):
            if _frame(one) != _frame(other):
                raise InputError(f"{path} holds the depth of '{one}' where the split has '{other}'; give its split")
    return maps


def _frame(name: str) -> tuple[str | int, ...]:
    """Return what identifies the frame of a split's line, however its number is padded; of another name the name."""
    fields = name.split()
    if len(fields) != 3 or not fields[1].isdecimal():
        return (name,)
    return fields[0], int(fields[1]), fields[2]
