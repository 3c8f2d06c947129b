"""Errors of arguments and settings in one sentence: the option, its value, what it takes."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["describe_error", "option_names"]

LONGEST = 300

SIMPLE = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def describe_error(message: str, kind: type[Any] | None, options: Iterable[str]) -> str:
    """Return one sentence for a parser's message.

    Args:
        message: of jsonargparse or argparse, of several lines.
        kind: the command's config; None where no command was given.
        options: those of the command.
    """
    text = " ".join(message.split())
    if found := re.search(r"unrecognized arguments: (.*)", text):
        return _unknown(found[1], list(options))
    if found := re.search(r"does not accept option '(.*?)'", text):
        return _unknown(found[1], [option.removeprefix("--") for option in options])
    if found := re.search(r"arguments are required: (.*)", text):
        names = [name.rpartition(".")[2] for name in found[1].split(", ")]
        sections = any(_hint(kind, [name]) is not str for name in names)  # hardly typed as options
        known = {
            "--data": ", or a prepared folder by --data",
            "--config": "; give them by --config, a file or a recipe",
        }
        advice = "".join(known[name] for name in ("--config", "--data") if name in options) if sections else ""
        return f"missing: {', '.join(names)}{advice}"
    if found := re.search(r"argument (--\w+)\S*: invalid _boolean_type value: '(.*)'", text):
        return f"{found[1]} {_short(found[2])!r}: expected true or false"
    if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", text):
        return _unknown(found[1], re.findall(r"'(.*?)'", found[2]), "command")
    if found := re.search(r'expected "[\w.]+" to be one of \{(.*?)[,. ]*\}, but it was not provided', text):
        return f"missing: which one, {', '.join(found[1].split(','))}"
    keys = re.findall(r'Parser key "([\w.]+)"', text)
    value = re.search(r"(?:Got|Given) value: (.*)", message) or re.search(r'Unable to load config "(.*?)"', text)
    expected = None if kind is None or not keys else _hint(kind, keys)
    if expected is None or value is None:
        words = {f"a <class '{kind.__name__}'>": words for kind, words in SIMPLE.items()}
        return _short(re.sub(r"a <class '\w+'>", lambda found: words.get(found[0], found[0]), text))
    return f"{'.'.join(dict.fromkeys(keys))}: expected {_expected(expected)}, got {_short(value[1])!r}"


def option_names(parser: argparse.ArgumentParser) -> list[str]:
    """Return all options of a parser."""
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _unknown(given: str, options: list[str], what: str = "option or argument") -> str:
    name = given.split()[0].partition("=")[0] if given.split() else given
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.75)
    # A prefix is near, however long the rest is: --batch_size for --batch.
    near = near or sorted((one for one in options if name.startswith(one)), key=len, reverse=True)[:1]
    return f"unknown {what} {_short(given)!r}{f'; did you mean {near[0]}?' if near else ''}"


def _hint(kind: type[Any] | None, keys: list[str]) -> Any:
    """Return the type of a setting, None if there is none; keys lead from a section to one inside it."""
    found: Any = kind
    for key in ".".join(dict.fromkeys(keys)).split("."):
        sections = [part for part in (found, *get_args(found)) if dataclasses.is_dataclass(part)]
        hints = get_type_hints(sections[0]) if sections else {}
        if (found := hints.get(key)) is None:
            return None
    return found


def _expected(hint: Any) -> str:
    """Return a type in words."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(part) for part in parts)
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}" if len(parts) > 1 else f"'{parts[0]}'"
    if hint == tuple[int, int]:
        return "a size such as 640x192 (width x height) or '[192, 640]'"
    if hint == tuple[float, float, float, float]:
        return "four finite numbers, fx,fy,cx,cy in pixels"
    if origin in (list, tuple):
        entry = next((_expected(part) for part in parts if part is not ...), "values")
        return f"a list, '[...]', each {entry}"
    if dataclasses.is_dataclass(hint):
        return f"a section of settings ({', '.join(field.name for field in dataclasses.fields(hint))})"
    return "settings, '{name: value}'" if origin is dict or hint is dict else getattr(hint, "__name__", str(hint))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
