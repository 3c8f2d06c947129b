"""Means over seeds and images with intervals, and whether a difference is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrdepth.evaluation.bootstrap import LEVEL, bootstrap_intervals
from hrdepth.reproduce.measure import Measurement

__all__ = ["Spread", "difference", "spread", "verdict"]

# 97.5 % quantiles of Student's t with 1 to 10 degrees of freedom; with more the last, a little wide.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
assert LEVEL == 0.95


@dataclass(frozen=True, eq=False)
class Spread:
    """The seven metrics of a row, or differences of them.

    Attributes:
        mean: (7).
        deviation: standard deviation over seeds (7), NaN with one seed.
        interval: 95 % (7,2): over seeds by Student's t where there are several, else over images by the bootstrap.
        seeds: how many.
        over: `seeds` or `images`.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    interval: NDArray[np.float64]
    seeds: int
    over: str


def spread(found: Sequence[Measurement], resamples: int) -> Spread:
    """Return the mean over seeds, with its interval."""
    return _spread([one.values for one in found], resamples)


def difference(found: Sequence[Measurement], reference: Sequence[Measurement], resamples: int) -> Spread | None:
    """Return the row's metrics minus the reference's, in pairs.

    Trainings pair with those of the same seed, given files with those at the same place in their list, and where both
    have one without either, these. None where nothing pairs or the images differ.
    """
    others = {_partner(one): one for one in reference}
    pairs = [(one, others[_partner(one)]) for one in found if _partner(one) in others]
    if not pairs or any(list(a.content["pictures"]) != list(b.content["pictures"]) for a, b in pairs):
        return None
    return _spread([a.values - b.values for a, b in pairs], resamples)


def _partner(one: Measurement) -> tuple[int | None, int | None]:
    return one.content["seed"], one.content["place"]


def verdict(paper: float, measured: float, low: float, high: float) -> str:
    """Say whether a measured difference, with its interval, has the paper's sign.

    Example:
        >>> verdict(-0.003, -0.02, -0.03, -0.01), verdict(-0.003, 0.02, 0.01, 0.03), verdict(-0.003, 0.02, -0.01, 0.05)
        ('agrees', 'disagrees', 'undecided')
    """
    if low <= 0 <= high:
        return "undecided"
    if paper == 0:
        return "paper sees none"
    return "agrees" if (paper > 0) == (measured > 0) else "disagrees"


def _spread(values: Sequence[NDArray[np.float64]], resamples: int) -> Spread:
    seeds = np.stack([one.mean(axis=0) for one in values])  # (S,7)
    mean, count = seeds.mean(axis=0), len(seeds)
    if count == 1:
        interval = bootstrap_intervals(values[0], resamples)
        return Spread(mean, np.full_like(mean, np.nan), interval, 1, "pictures")
    deviation = seeds.std(axis=0, ddof=1)
    half = STUDENT[min(count - 2, len(STUDENT) - 1)] * deviation / np.sqrt(count)
    return Spread(mean, deviation, np.stack([mean - half, mean + half], axis=1), count, "seeds")
