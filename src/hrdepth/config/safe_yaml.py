"""Read YAML from anywhere: length, depth and aliases are bounded before a value is made."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hrdepth.errors import InputError

__all__ = ["PlainLoader", "SettingsLoader", "check_settings_file", "check_yaml", "load_yaml", "read_text"]

# Configs, cameras and cards have a few kilobytes; a calibration with all its points has some hundred.
MOST_CHARACTERS = 2**20
MOST_VALUES = 200_000
DEEPEST = 64

# YAML 1.1 also has octal (0640 is 416) and sexagesimal numbers (6:40 is 400), which nobody means: these are text.
_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)$",
    "tag:yaml.org,2002:float": r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?$"
    r"|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$",
}


if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:  # with LibYAML, which is eight times as fast, where PyYAML was built with it
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainLoader(_SafeLoader):
    """PyYAML's safe loader, in which whole numbers are decimal also where they begin with 0, as text for `float`."""


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, re.compile(_NUMBERS[tag]) if tag in _NUMBERS else pattern) for tag, pattern in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class SettingsLoader(PlainLoader):
    """That of settings, in which `1e-4` is a number too, and dates are text."""


SettingsLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in PlainLoader.yaml_implicit_resolvers.items()
}
SettingsLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def load_yaml(text: str, *, unique: bool = False) -> Any:
    r"""Return the value of a YAML text; tags that would make Python objects are refused.

    Args:
        text: the content of a file.
        unique: refuse a mapping that has a key twice; else the last value counts.

    Raises:
        yaml.YAMLError: it is damaged, longer than 2^20 characters, nested deeper than 64 levels, or has more than
            200,000 values once its aliases are replaced.

    Example:
        >>> load_yaml("a: &one [1, 2]\nb: *one")
        {'a': [1, 2], 'b': [1, 2]}
    """
    check_yaml(text)
    if unique and (root := yaml.compose(text, Loader=_SafeLoader)) is not None:
        _check_keys(root)
    try:
        return yaml.load(text, Loader=PlainLoader)
    except ValueError as error:  # a number of thousands of digits, or no date
        raise yaml.YAMLError(str(error)) from error


def _check_keys(node: yaml.Node) -> None:
    parts = node.value if isinstance(node, yaml.CollectionNode) else []
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, _ in parts:
            if isinstance(key, yaml.ScalarNode):  # safe_load refuses others
                if key.value in keys:
                    raise yaml.YAMLError(f"'{key.value}' is given twice; remove the wrong one")
                keys.add(key.value)
        parts = [value for _, value in parts]
    for part in parts:
        _check_keys(part)


def read_text(file: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: it cannot be read, or is a pipe; but one that the shell made (`--config <(...)`) can be read.
        InputError: it has another encoding.
    """
    if file.exists() and not file.is_file() and file.parts[:2] != ("/", "dev"):
        raise OSError(errno.EINVAL, "a folder, a pipe or a device in place of a file", str(file))
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text file in UTF-8 ({error.reason}); save it as UTF-8") from error


def check_settings_file(file: Path) -> None:
    """Check that a file of settings is text, is not empty, and has no key twice; the parser finds other faults.

    Raises:
        OSError: as `read_text`.
        InputError: it is not so.
    """
    text = read_text(file)
    try:
        check_yaml(text)
        root = yaml.compose(text, Loader=_SafeLoader)
    except (yaml.YAMLError, ValueError):
        return
    if root is None:
        raise InputError(f"{file} holds no settings")
    try:
        _check_keys(root)
    except yaml.YAMLError as error:
        raise InputError(f"{file}: {error}") from error


def check_yaml(text: str) -> None:
    """Check the bounds of `load_yaml` on the events of the parser, without building anything.

    Raises:
        yaml.YAMLError: as `load_yaml`.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"it has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read")
    named: dict[str, int] = {}
    open_parts: list[tuple[str | None, int]] = []  # anchors of the collections around, and values before each
    values = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in named:  # of a collection around it, or of none
                raise yaml.YAMLError(f"the alias '*{event.anchor!s:.40}' names no value before it")
            values += named[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_parts.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_parts.pop()
            if anchor is not None:
                named[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                named[event.anchor] = 1
        if len(open_parts) > DEEPEST:
            raise yaml.YAMLError(f"it is nested deeper than {DEEPEST} levels")
        if values > MOST_VALUES:
            raise yaml.YAMLError(f"it has more than {MOST_VALUES:,} values once its aliases are replaced")
