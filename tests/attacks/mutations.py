"""Change valid files a little, or much, as a seed says: bits, text, values of JSON and YAML."""

from __future__ import annotations

import copy
import json
import re
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 1e308, -1e308, 1e-320, float("nan"), float("inf"),
    -float("inf"), "", "a", "nan", "1e9", "../../../../etc/passwd", "/etc/passwd", "http://127.0.0.1:9/x", "x" * 5000,
    "\0", "é\ud7ff", [], [1], [1, 2, 3], [[[]]], {}, {"a": 1}, {"name": "x"}, [None], [["a"]],
    "!!python/name:os.system",
]  # fmt: skip
"""What a value of JSON or YAML is replaced by."""
WORDS = [
    "nan", "inf", "-inf", "-1", "0", "1e308", "1e-308", "9" * 20, "1" * 5000, "a", "", "null", "~", "[]", "{}", "[[[[",
    '"', "'", ":", "#", "%", "\t", "\0", "\ufeff", "é", "../../etc/passwd", "/etc/passwd", "!!python/name:os.system",
    "&a [*a]", "&a [1]\n*a", "<<: *x", "!!binary aGk=", "!!set {a}", "2001-01-01", "0x1F", "1_000", "0o7", "1:30",
    "yes", "|", ">", "? x", "---", "...", "@", "`", "[" * 3000, '{"a":' * 3000, "\u2028", "\r",
]  # fmt: skip
"""What is put into text."""


def mutate_bytes(chance: Random, content: bytes, *, head: bool = False) -> bytes:
    """Flip, overwrite, cut, repeat or insert bytes, more often near the start; with `head` only there."""
    data = bytearray(content or b"\0")
    for _ in range(chance.choice([1, 1, 1, 2, 4, 12])):
        size = len(data)
        if not size:
            break
        near = head or chance.random() < 0.6
        at = chance.randrange(min(size, chance.choice([16, 64, 256, 1024, size])) if near else size)
        operation = chance.randrange(9)
        if operation == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif operation == 1:
            data[at] = chance.choice([0, 255, 127, 128, chance.randrange(256)])
        elif operation == 2:
            value = chance.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65535, chance.getrandbits(32)])
            data[at : at + 4] = struct.pack(chance.choice("<>") + "I", value)
        elif operation == 3:
            data[at : at + 8] = struct.pack(
                "<Q", chance.choice([0, 2**63 - 1, 2**64 - 1, 2**40, chance.getrandbits(64)])
            )
        elif operation == 4:
            del data[at:]
        elif operation == 5:
            del data[at : at + chance.choice([1, 2, 8, 64, 512])]
        elif operation == 6:
            data[at:at] = chance.randbytes(chance.choice([1, 4, 64]))
        elif operation == 7:
            other = chance.randrange(size)
            data[at : at + 16] = data[other : other + 16]
        else:
            data[at:at] = data[at : at + chance.choice([8, 64, 512])]
    return bytes(data)


def mutate_text(chance: Random, content: bytes) -> bytes:
    """Replace words, delete and repeat lines, insert what readers stumble over; sometimes break the encoding."""
    text = content.decode("utf-8", "replace")
    for _ in range(chance.choice([1, 1, 2, 3])):
        lines, at = text.split("\n"), chance.randrange(len(text) + 1)
        line = chance.randrange(len(lines))
        operation = chance.randrange(9)
        if operation == 0:
            words = list(re.finditer(r"[^\s,:\[\]{}]+", text))
            if words:
                word = chance.choice(words)
                text = text[: word.start()] + chance.choice(WORDS) + text[word.end() :]
        elif operation == 1:
            text = "\n".join(lines[:line] + lines[line + 1 :])
        elif operation == 2:
            text = "\n".join([*lines[:line], chance.choice(lines), *lines[line:]])
        elif operation == 3:
            added = chance.choice(WORDS) + chance.choice(["", " 1 l", ": 1", " = 2"])
            text = "\n".join([*lines[:line], added, *lines[line:]])
        elif operation == 4:
            text = text[:at] + chance.choice(WORDS) + text[at:]
        elif operation == 5:
            text = text[:at]
        elif operation == 6:
            text = text[:at] + text[at + chance.choice([1, 3, 10]) :]
        elif operation == 7:
            old, new = chance.choice(["\n", " ", ":", "-", "."]), chance.choice(["\r", "\t", "", "::", "\u2028", ","])
            text = text.replace(old, new, chance.choice([1, 5, -1]))
        else:
            return mutate_bytes(chance, text.encode("utf-8", "surrogatepass"))
    return text.encode("utf-8", "surrogatepass")


def mutate_values(chance: Random, value: Any) -> Any:
    """Replace, delete or add values of nested dicts and lists."""
    value = copy.deepcopy(value)
    if chance.random() < 0.03:
        return copy.deepcopy(chance.choice(VALUES))
    for _ in range(chance.choice([1, 1, 1, 2])):
        paths = [path for path in _paths(value) if path]
        if not paths:
            return copy.deepcopy(chance.choice(VALUES))
        path, bad, kind = chance.choice(paths), copy.deepcopy(chance.choice(VALUES)), chance.random()
        inner = value
        for key in path[:-1]:
            inner = inner[key]
        if kind < 0.72:
            inner[path[-1]] = bad
        elif kind < 0.86:
            del inner[path[-1]]
        elif isinstance(inner, dict):
            inner[chance.choice(["zzz", "weights", "__class__", "name", "options"])] = bad
        else:
            inner.append(bad)
    return value


def mutate_json(chance: Random, content: bytes) -> bytes:
    """Change JSON by its values or as text."""
    if chance.random() < 0.55:
        return json.dumps(mutate_values(chance, json.loads(content))).encode()
    return mutate_text(chance, content)


def mutate_yaml(chance: Random, content: bytes) -> bytes:
    """Change YAML by its values or as text."""
    if chance.random() < 0.5:
        return yaml.safe_dump(mutate_values(chance, yaml.safe_load(content))).encode("utf-8", "surrogatepass")
    return mutate_text(chance, content)


def mutate_array(chance: Random, content: bytes) -> bytes:
    """Give an .npy file another header, or change its bytes."""
    if chance.random() < 0.4:
        return mutate_bytes(chance, content, head=chance.random() < 0.7)
    shape = chance.choice(
        ["(3, 12, 16)", "(1000000000, 1000, 1000)", "(-1,)", "(2147483648, 2)", "()", "(0, 0)", "(20, 30)",
         "(99999999999,)", "(3, 10000000000)", "(" + "1" * 50, "__import__('os')"]
    )  # fmt: skip
    kind = chance.choice(
        ["'<f4'", "'<f8'", "'|O'", "'<U1000000'", "'|V4'", "'<M8[s]'", "'<c16'", "[('a','<f4')]", "'|u1'", "'<f2'"]
    )
    order = chance.choice(["False", "True", "1"])
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}".encode() + b" " * 64 + b"\n"
    version = chance.choice([1, 1, 1, 2, 3])
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + content[128:]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from _paths(value[key], (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))
