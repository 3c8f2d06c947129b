"""Look-up by name with an error that helps."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from hrdepth.errors import InputError

__all__ = ["check_options", "lookup"]

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


def check_options(kind: Callable[..., Any], options: Collection[str], what: str, given: Collection[str] = ()) -> None:
    """Check that `kind` takes every option.

    Args:
        kind: a class or function of a registry.
        options: names of arguments that a config sets.
        what: names the thing in the message.
        given: arguments that are not options, since the caller fills them.

    Raises:
        InputError: an option that it does not have; the sentence lists those that it has.
    """
    valid = [name for name in inspect.signature(kind).parameters if name not in given]
    for option in options:
        if option not in valid:
            raise InputError(f"{what} has no option '{option}'; it has {', '.join(valid)}")
