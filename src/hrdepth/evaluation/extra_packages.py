"""Packages that some measures need and the core does not."""

from __future__ import annotations

import importlib
from typing import Any

from hrdepth.errors import InputError

__all__ = ["extra_module"]


def extra_module(name: str, what: str, extra: str = "metrics") -> Any:
    """Import a module.

    Raises:
        InputError: it is not installed; the sentence says `what` needs it and which extra has it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(f"{what} need {error.name}; install it with pip install 'hrdepth[{extra}]'") from error
