"""Look-up by name with an error that helps."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from hrdepth.errors import InputError

__all__ = ["lookup"]

T = TypeVar("T")


def lookup(registry: Mapping[str, T], name: str, what: str) -> T:
    """Return `registry[name]`.

    Raises:
        InputError: there is no such name; the sentence lists the valid ones and the nearest.

    Example:
        >>> lookup({"hrdepth": 1, "monodepth2": 2}, "hrdeph", "network")
        Traceback (most recent call last):
        ...
        hrdepth.errors.InputError: unknown network 'hrdeph': did you mean 'hrdepth'? Valid: hrdepth, monodepth2
    """
    if name in registry:
        return registry[name]
    near = difflib.get_close_matches(name, registry, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise InputError(f"unknown {what} '{name}': {hint}Valid: {', '.join(sorted(registry))}")
