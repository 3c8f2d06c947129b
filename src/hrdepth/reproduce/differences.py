"""Means over seeds with intervals, and how far each row of a table is from its reference, in the paper and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import require
from hrdepth.evaluation.depth import METRICS
from hrdepth.evaluation.results import LEVEL, bootstrap_intervals
from hrdepth.io.tables import METRIC_HEADINGS, ResultTable
from hrdepth.paper import PaperTable
from hrdepth.reproduce.measure import Measurement

__all__ = [
    "HEADINGS",
    "Difference",
    "Spread",
    "difference",
    "differences_table",
    "find_differences",
    "spread",
    "verdict",
]

HEADINGS = {"parameters": "#Para", **METRIC_HEADINGS}
COMPARED = ("abs_rel", "rmse", "delta1")
ONE_SEED = "one seed"


@dataclass(frozen=True, eq=False)
class Spread:
    """The seven metrics of a row, or differences of them.

    Attributes:
        mean: (7).
        deviation: standard deviation over seeds (7), NaN with one seed.
        interval: 95 % (7,2): over seeds by Student's t where there are several, else over images by the bootstrap.
        seeds: how many.
        over: `seeds`, or `pictures` for images.
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

    Trainings pair by seed, given files by their position in the list; two measurements without either are a pair.
    None where there is no pair or the images differ.
    """
    others = {_partner(one): one for one in reference}
    pairs = [(one, others[_partner(one)]) for one in found if _partner(one) in others]
    if not pairs or any(list(a.content["pictures"]) != list(b.content["pictures"]) for a, b in pairs):
        return None
    return _spread([a.values - b.values for a, b in pairs], resamples)


def _partner(one: Measurement) -> tuple[int | None, int | None]:
    return one.content["seed"], one.content["place"]


def verdict(paper: float, measured: float, low: float, high: float) -> str:
    """Judge whether a measured difference, with its interval, has the paper's sign.

    Example:
        >>> verdict(-0.003, -0.02, -0.03, -0.01), verdict(-0.003, 0.02, 0.01, 0.03), verdict(-0.003, 0.02, -0.01, 0.05)
        ('agrees', 'disagrees', 'undecided')
    """
    if low <= 0 <= high:
        return "undecided"
    if paper == 0:
        return "paper sees none"
    return "agrees" if (paper > 0) == (measured > 0) else "disagrees"


@dataclass(frozen=True)
class Difference:
    """A metric of a row minus that of the reference, in the paper and measured.

    Attributes:
        label: of the row in its table.
        name: of the row.
        metric: a key of `METRICS`.
        paper: the paper's difference.
        measured: the mean over the pairs.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        over: what the interval is over: `seeds`, or `pictures` for images.
        seeds: pairs of measurements.
        verdict: see `verdict`; none where one seed was left of several.
    """

    label: str
    name: str
    metric: str
    paper: float
    measured: float
    low: float
    high: float
    over: str
    seeds: int
    verdict: str


def find_differences(
    table: PaperTable, measured: dict[str, list[Measurement]], resamples: int, seeds: int
) -> tuple[list[Difference], list[str]]:
    """Return each measured row's differences from the reference, and names of the rows without a pair.

    Args:
        table: of the paper.
        measured: by row, one a seed; rows that were not measured may be absent.
        resamples: for intervals over images.
        seeds: how many were asked for.
    """
    reference = measured.get(table.reference)
    found, unpaired = [], list[str]()
    if not reference:
        return [], []
    published = next(row for row in table.rows if row.name == table.reference).values
    for row in table.rows:
        own = measured.get(row.name)
        if row.name == table.reference or not own:
            continue
        between = difference(own, reference, resamples)
        if between is None:
            unpaired.append(row.name)
            continue
        alone = between.seeds == 1 and max(seeds, len(own), len(reference)) > 1
        for metric in (name for name in COMPARED if name in table.columns):
            value, base = row.values[metric], published[metric]
            assert isinstance(value, float)
            assert isinstance(base, float)
            paper, column = round(value - base, 6), METRICS.index(metric)
            mean, (low, high) = float(between.mean[column]), map(float, between.interval[column])
            judged = ONE_SEED if alone else verdict(paper, mean, low, high)
            found.append(
                Difference(
                    table.label(row), row.name, metric, paper, mean, low, high, between.over, between.seeds, judged
                )
            )
    return found, unpaired


def differences_table(table: PaperTable, differences: Sequence[Difference], unpaired: Sequence[str]) -> ResultTable:
    """Return the table of differences, each with what its interval is over."""
    labels = {row.name: table.label(row) for row in table.rows}
    lines = []
    for one in differences:
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]"
        over = f"{one.seeds} seeds" if one.over == "seeds" else "images"
        lines.append(
            (one.label, HEADINGS[one.metric], f"{one.paper:+.3f}", f"{one.measured:+.3f}", interval, over, one.verdict)
        )
    lines += [(labels[name], "", "", "", "", "", "not compared: no seed in common") for name in unpaired]
    caption = "Intervals in pairs; undecided: the interval holds 0."
    if any(one.verdict == ONE_SEED for one in differences):
        caption += f" {ONE_SEED}: of several that were asked for, and so no verdict."
    return ResultTable(
        ("row", "metric", "paper", "measured", "95 % interval", "over", "measured and paper"),
        tuple(lines),
        f"Differences from {labels[table.reference]}",
        caption,
    )


def _spread(values: Sequence[NDArray[np.float64]], resamples: int) -> Spread:
    seeds = np.stack([one.mean(axis=0) for one in values])  # (S,7)
    mean, count = seeds.mean(axis=0), len(seeds)
    if count == 1:
        interval = bootstrap_intervals(values[0], resamples)
        return Spread(mean, np.full_like(mean, np.nan), interval, 1, "pictures")
    deviation = seeds.std(axis=0, ddof=1)
    student = require("scipy.stats", "metrics", "intervals over seeds need").t
    half = round(student.ppf((1 + LEVEL) / 2, count - 1), 3) * deviation / np.sqrt(count)
    return Spread(mean, deviation, np.stack([mean - half, mean + half], axis=1), count, "seeds")
