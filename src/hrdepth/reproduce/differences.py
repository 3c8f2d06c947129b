"""Means over seeds with intervals, and how far each row of a table is from its reference, in the paper and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import require
from hrdepth.evaluation.extras import EXTRA_HEADINGS
from hrdepth.evaluation.results import LEVEL, bootstrap_intervals, mean_over_images
from hrdepth.io.tables import METRIC_HEADINGS, ResultTable
from hrdepth.paper import PaperRow, PaperTable
from hrdepth.reproduce.measure import EDGES, MEASURED, RowMeasurement

__all__ = [
    "HEADINGS",
    "Difference",
    "Spread",
    "differences_table",
    "find_differences",
    "over_drives",
    "over_seeds",
    "over_text",
    "paired",
    "spread",
    "spreads_of_pairs",
    "verdict",
]

HEADINGS = {"parameters": "#Para", **METRIC_HEADINGS, **{name: EXTRA_HEADINGS[name] for name in EDGES}}
COMPARED = ("abs_rel", "rmse", "delta1")
ONE_SEED = "one seed"


@dataclass(frozen=True, eq=False)
class Spread:
    """Means of M metrics, or of differences of them, with intervals; NaN where no image has a metric.

    Attributes:
        mean: (M).
        deviation: standard deviation over seeds or drives (M), NaN with one seed.
        interval: 95 % (M,2): over seeds or drives by Student's t, with one seed over images by the bootstrap.
        seeds: how many.
        over: `seeds`, `drives`, or `pictures` for images.
        drives: how many, where the interval is over them.
        opposed: metrics in which seeds differ in sign, where the interval is over drives.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    interval: NDArray[np.float64]
    seeds: int
    over: str
    drives: int | None = None
    opposed: frozenset[int] = frozenset()

    def text(self, column: int, decimals: int) -> str:
        """Return a mean with its interval, for a table."""
        low, high = self.interval[column]
        return f"{self.mean[column]:.{decimals}f} [{low:.{decimals}f}, {high:.{decimals}f}]"


def spread(found: Sequence[RowMeasurement], resamples: int) -> Spread:
    """Return the mean over seeds, with its interval."""
    return over_seeds([one.values for one in found], resamples)


def over_seeds(values: Sequence[NDArray[np.float64]], resamples: int) -> Spread:
    """Return the mean of each seed's values by image (N,M), with its interval."""
    seeds = np.stack([mean_over_images(one) for one in values])  # (S,M)
    if len(seeds) == 1:
        interval = bootstrap_intervals(values[0], resamples)
        return Spread(seeds[0], np.full_like(seeds[0], np.nan), interval, 1, "pictures")
    return Spread(*_student(seeds), len(seeds), "seeds")


def paired(found: Sequence[RowMeasurement], reference: Sequence[RowMeasurement]) -> list[RowMeasurement]:
    """Return the row's measurements less those of the reference by image, of each pair.

    Trainings pair by seed, given files by their position in the list; two measurements without either are a pair.
    Empty if there is no pair or the images differ.
    """
    others = {_partner(one): one for one in reference}
    pairs = [(one, others[_partner(one)]) for one in found if _partner(one) in others]
    if any(list(a.content["pictures"]) != list(b.content["pictures"]) for a, b in pairs):
        return []
    return [replace(a, values=a.values - b.values) for a, b in pairs]


def _partner(one: RowMeasurement) -> tuple[int | None, int | None]:
    return one.content["seed"], one.content["place"]


def over_drives(pairs: Sequence[RowMeasurement]) -> Spread | None:
    """Return mean differences with intervals over drives, each drive's the mean over seeds and its images.

    Images are named "DRIVE FRAME SIDE". None where they are of fewer than two drives, or of none.

    Args:
        pairs: see `paired`; at least one.
    """
    drives = [name.rsplit(" ", 2)[0] for name in pairs[0].content["pictures"]]
    names = list(dict.fromkeys(drives))
    if not 1 < len(names) < len(drives):
        return None
    values = np.mean([one.values for one in pairs], axis=0)  # (N,M)
    means = [mean_over_images(values[[drive == name for drive in drives]]) for name in names]
    signs = np.sign([mean_over_images(one.values) for one in pairs])  # (S,M)
    opposed = frozenset(np.flatnonzero((signs != signs[0]).any(axis=0)).tolist())
    return Spread(*_student(np.stack(means)), len(pairs), "drives", len(names), opposed)


def spreads_of_pairs(pairs: Sequence[RowMeasurement], resamples: int) -> list[Spread]:
    """Return differences with intervals over seeds (of one seed over images), and over drives if there are several."""
    return [*filter(None, (spread(pairs, resamples), over_drives(pairs)))]


def _student(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (M), standard deviation (M) and Student's 95 % interval (M,2) of values (K,M), NaN left out."""
    student = require("scipy.stats", "metrics", "intervals over seeds need").t
    mean, deviation = mean_over_images(values), np.full(values.shape[1], np.nan)
    half = deviation.copy()
    for column, known in enumerate(one[np.isfinite(one)] for one in values.T):
        if (count := len(known)) > 1:
            deviation[column] = known.std(ddof=1)
            half[column] = round(student.ppf((1 + LEVEL) / 2, count - 1), 3) * deviation[column] / np.sqrt(count)
    return mean, deviation, np.stack([mean - half, mean + half], axis=1)


def verdict(values: Spread, column: int, asked: int, paper: float | None = None) -> str:
    """Judge whether a difference has the paper's sign; of one that the paper does not have, whether it is better.

    Undecided is one whose interval holds 0 or, over drives, whose seeds differ in sign; "" has no interval, as where
    too few images have a region.

    Args:
        values: the measured differences.
        column: of `MEASURED`.
        asked: how many seeds were asked for; one that is left of several gives no verdict.
        paper: the paper's difference.
    """
    low, high = values.interval[column]
    if values.seeds == 1 and asked > 1:
        return ONE_SEED
    if np.isnan(low):
        return ""
    if low <= 0 <= high or column in values.opposed:
        return "undecided"
    higher = bool(values.mean[column] > 0)
    if paper is None:
        return "better" if higher == (MEASURED[column] == "boundary_f1") else "worse"
    if paper == 0:
        return "paper sees none"
    return "agrees" if (paper > 0) == higher else "disagrees"


@dataclass(frozen=True)
class Difference:
    """A metric of a row minus that of the reference, in the paper and measured.

    Attributes:
        label: of the row in its table.
        name: of the row.
        metric: one of `MEASURED`.
        paper: the paper's difference; None of a metric that it does not have.
        measured: the mean over the pairs, with `low` and `high`, the ends of its 95 % interval.
        over: as in `Spread`, like `seeds` and `drives`.
        verdict: see `verdict`.
    """

    label: str
    name: str
    metric: str
    paper: float | None
    measured: float
    low: float
    high: float
    over: str
    seeds: int
    drives: int | None
    verdict: str


def find_differences(
    table: PaperTable, measured: Mapping[str, Sequence[RowMeasurement]], resamples: int, seeds: int
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
    base = next(row for row in table.rows if row.name == table.reference)
    metrics = (*(name for name in COMPARED if name in table.columns), *EDGES)
    for row in table.rows:
        own = measured.get(row.name)
        if row.name == table.reference or not own:
            continue
        pairs = paired(own, reference)
        if not pairs:
            unpaired.append(row.name)
            continue
        asked = max(seeds, len(own), len(reference))
        spreads = spreads_of_pairs(pairs, resamples)
        for metric in metrics:
            column = MEASURED.index(metric)
            paper = None if metric in EDGES else round(_number(row, metric) - _number(base, metric), 6)
            for one in spreads:
                mean, low, high = map(float, (one.mean[column], *one.interval[column]))
                if np.isfinite(low):  # not of true depth without edges, or with edges in one drive
                    about = (table.label(row), row.name, metric, paper, mean, low, high)
                    judged = verdict(one, column, asked, paper)
                    found.append(Difference(*about, one.over, one.seeds, one.drives, judged))
    return found, unpaired


def _number(row: PaperRow, metric: str) -> float:
    value = row.values[metric]
    assert isinstance(value, float)
    return value


def differences_table(table: PaperTable, differences: Sequence[Difference], unpaired: Sequence[str]) -> ResultTable:
    """Return the table of differences, each with what its interval is over."""
    labels = {row.name: table.label(row) for row in table.rows}
    lines = []
    for one in differences:
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]"
        paper = "" if one.paper is None else f"{one.paper:+.3f}"
        cells = (paper, f"{one.measured:+.3f}", interval, over_text(one), one.verdict)
        lines.append((one.label, HEADINGS[one.metric], *cells))
    lines += [(labels[name], "", "", "", "", "", "not compared: no seed in common") for name in unpaired]
    caption = "Intervals in pairs; undecided: the interval holds 0."
    if any(one.over == "drives" for one in differences):
        caption += " Over drives: of the means over seeds; undecided, too, where seeds differ in sign."
    if any(one.verdict == ONE_SEED for one in differences):
        caption += f" {ONE_SEED}: of several that were asked for, and so no verdict."
    return ResultTable(
        ("row", "metric", "paper", "measured", "95 % interval", "over", "measured and paper"),
        tuple(lines),
        f"Differences from {labels[table.reference]}",
        caption,
    )


def over_text(one: Spread | Difference) -> str:
    """Return what an interval is over, for a table."""
    return {"seeds": f"{one.seeds} seeds", "drives": f"{one.drives} drives"}.get(one.over, "images")
