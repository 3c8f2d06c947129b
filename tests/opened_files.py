"""The files that are opened while code runs, for tests of how often, or that they are not."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_opened: list[str] | None = None


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Give a list of their names, as they are given to Python's `open`; libraries in other languages open more."""
    global _opened
    _add_hook()
    _opened = opened = []
    try:
        yield opened
    finally:
        _opened = None


@cache
def _add_hook() -> None:
    """Once in a process: a hook cannot be removed."""
    sys.addaudithook(_note)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _opened is not None and event == "open" and isinstance(arguments[0], str | os.PathLike):
        _opened.append(os.fspath(arguments[0]))
