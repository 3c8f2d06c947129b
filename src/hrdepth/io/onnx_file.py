"""ONNX files without the package `onnx`: their metadata, and whether they have tensors in other files.

Source: protobuf's encoding; in ONNX's `ModelProto` field 7 is the graph, 14 the metadata: pairs of key and value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hrdepth.errors import MALFORMED, InputError

__all__ = ["outer_files", "read_onnx", "read_onnx_metadata"]


def read_onnx_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of an ONNX file, and nothing else of it.

    Raises:
        InputError: the file is damaged or not an ONNX file.
    """
    return _metadata(memoryview(path.read_bytes()), path)


def _metadata(content: memoryview, path: Path) -> dict[str, str]:
    try:
        found = list(_fields(content))
        if not any(number == 7 for number, _ in found):
            raise ValueError("it has no graph")
        pairs = [dict(_fields(value)) for number, value in found if number == 14]
        return {bytes(pair[1]).decode(): bytes(pair.get(2, b"")).decode() for pair in pairs}
    except MALFORMED as error:
        raise InputError(f"{path} is damaged or not an ONNX file ({error})") from error


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of a protobuf message's fields: bytes of texts and messages, else None."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while shift < 64:  # longer numbers would be added up for hours
            byte = message[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value
        raise ValueError("a number has more than 64 bits")

    while at < len(message):
        key = number()
        kind = key & 7
        if kind == 0:
            number()
        length = {0: 0, 1: 8, 2: 0, 5: 4}[kind] if kind != 2 else number()
        if at + length > len(message):
            raise ValueError("it is cut short")
        yield key >> 3, message[at : at + length] if kind == 2 else None
        at += length


def read_onnx(path: Path) -> dict[str, str]:
    """Read the metadata of an ONNX file all of whose tensors are in it.

    Raises:
        InputError: some are not, or the file is damaged or not an ONNX file.
    """
    content = memoryview(path.read_bytes())
    metadata = _metadata(content, path)
    try:
        if any(True for _ in _outer_tensors(content, "model")):
            raise InputError(f"{path} has tensors in other files, which are not opened; save it as one file")
    except MALFORMED as error:
        raise InputError(f"{path} is damaged or not an ONNX file ({str(error)[:200]})") from error
    return metadata


def outer_files(path: Path) -> list[Path]:
    """Return the other files that have tensors of an ONNX file, each once.

    Raises:
        InputError: one lies outside the file's folder or is missing, or the file is damaged.
    """
    try:
        found = _outer_tensors(memoryview(path.read_bytes()), "model")
        pairs = [dict(_fields(pair)) for pair in found if pair is not None]
        names = sorted({bytes(pair[2]).decode() for pair in pairs if bytes(pair[1]) == b"location"})
    except MALFORMED as error:
        raise InputError(f"{path} is damaged or not an ONNX file ({str(error)[:200]})") from error
    for name in names:
        file = path.parent / name
        if "\0" in name or not file.resolve().is_relative_to(path.parent.resolve()) or not file.is_file():
            raise InputError(f"{path} has tensors in {name!r:.99}, which is no file of its folder; save it as one file")
    return [path.parent / name for name in names]


# Numbers of the fields of ONNX's messages that lead to tensors.
_PARTS = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA = 13  # of a tensor: where else its values are


def _outer_tensors(message: memoryview, kind: str) -> Iterator[memoryview | None]:
    """Yield each pair of key and value that says where else a tensor of an ONNX message has its values."""
    for number, value in _fields(message):
        if kind == "tensor" and number == _EXTERNAL_DATA:
            yield value
        inner = _PARTS[kind].get(number)
        if inner is not None and value is not None:
            yield from _outer_tensors(value, inner)
