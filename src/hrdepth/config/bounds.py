"""Bounds of the numbers in a section of settings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from hrdepth.errors import InputError

__all__ = ["LEAST_RESAMPLES", "MOST", "MOST_DPI", "MOST_RESAMPLES", "check_counts", "check_numbers", "check_resamples"]

MOST = 10**6
"""The largest count: more are a mistake, and would take days or all memory."""
TINY, HUGE = 1e-9, 1e9
"""Bounds of numbers: what lies beyond is a mistake, and its quotients would overflow."""
MOST_DPI = 2400
LEAST_RESAMPLES, MOST_RESAMPLES = 40, 10**5
"""Of bootstrap intervals: fewer have no 2.5 % at each end; their memory is in proportion to them."""


def check_counts(section: Any, least: int, *names: str, most: int = MOST) -> None:
    """Check whole numbers, or lists of them: from `least` to `most`, or null.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in _numbers(section, names):
        if not least <= value <= most:
            raise InputError(f"{name} {value} must lie between {least} and {most}")


def check_resamples(count: int) -> None:
    """Check the resamples of bootstrap intervals, 0 for none.

    Raises:
        InputError: there are too few or too many.
    """
    if count and not LEAST_RESAMPLES <= count <= MOST_RESAMPLES:
        raise InputError(f"bootstrap {count} must lie between {LEAST_RESAMPLES} and {MOST_RESAMPLES}, or be 0 for none")


def check_numbers(section: Any, *names: str, positive: bool = True) -> None:
    """Check numbers, or lists of them: positive (else 0 or more) and finite, or null.

    Raises:
        InputError: one is not; the message names it.
    """
    for name, value in _numbers(section, names):
        if not (0 <= value < math.inf and (value or not positive)):
            raise InputError(f"{name} {value:g} must be {'positive' if positive else '0 or more'}, and finite")
        if value and not TINY <= value <= HUGE:
            raise InputError(f"{name} {value:g} must lie between {TINY:g} and {HUGE:g}")


def _numbers(section: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = getattr(section, name)
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None:
                yield name, one
