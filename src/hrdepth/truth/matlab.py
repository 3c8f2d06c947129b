"""Read one array of a MATLAB file, version 5 to 7.

SciPy reads them too, and a damaged file can end its process.

Source: MATLAB, MAT-File Format, R2023b: level 5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import MALFORMED
from hrdepth.io.arrays import ALWAYS, EXPANSION

__all__ = ["read_matlab_array"]

MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
COMPLEX = 0x0800
DOUBLE, LARGEST_CLASS = 6, 15
"""Classes of arrays of numbers."""


def read_matlab_array(path: Path, name: str) -> NDArray[Any]:
    """Return the array of numbers of this name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, of another kind, larger unpacked than is read, or has no such array.
    """
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or len(content) < 136:
        raise ValueError("no MATLAB file of version 5 to 7")
    most = max(ALWAYS, EXPANSION * len(content))
    try:
        for kind, part in _elements(content[128:], order):
            if kind == COMPRESSED:
                unpacked = zlib.decompressobj().decompress(part, most)
                kind, part = next(_elements(unpacked, order))
            if kind == MATRIX and (found := _array(part, order, name)) is not None:
                return found
    except (*MALFORMED, struct.error, zlib.error, StopIteration) as error:
        raise ValueError(str(error) or "it ends early") from error
    raise ValueError(f"it has no array {name}")


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield types and contents of data elements; short ones have both in eight bytes."""
    at = 0
    while at + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = at + 4, at + 8
        else:
            start, end = at + 8, at + 8 + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > len(content):
            raise ValueError("it ends early")
        yield kind, content[start : start + size]
        at = end


def _array(content: bytes, order: str, name: str) -> NDArray[Any] | None:
    """Return the array, None if it has another name."""
    (_, flags), (_, shape), (_, named), *rest = _elements(content, order)
    if named.rstrip(b"\0") != name.encode():
        return None
    kind = struct.unpack_from(f"{order}I", flags)[0]
    if not DOUBLE <= kind & 0xFF <= LARGEST_CLASS or kind & COMPLEX:
        raise ValueError(f"{name} holds no real numbers")
    sizes = np.frombuffer(shape, f"{order}i4").tolist()
    stored, values = rest[0]
    numbers = np.frombuffer(values, order + NUMBERS[stored])
    if min(sizes) < 0 or math.prod(sizes) != len(numbers):
        raise ValueError(f"{name} has {len(numbers)} numbers, not {sizes}")
    return numbers.reshape(sizes, order="F")
