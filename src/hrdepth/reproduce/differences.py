"""Means over seeds with intervals, and how far each row of a table is from its reference, in the paper and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import require
from hrdepth.evaluation.extras import EXTRA_HEADINGS
from hrdepth.evaluation.results import LEVEL, bootstrap_intervals, mean_over_images
from hrdepth.io.tables import METRIC_HEADINGS, ResultTable
from hrdepth.paper import PaperRow, PaperTable
from hrdepth.reproduce.measure import EDGES, MEASURED, Measurement

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
    "verdict",
]

HEADINGS = {"parameters": "#Para", **METRIC_HEADINGS, **{name: EXTRA_HEADINGS[name] for name in EDGES}}
COMPARED = ("abs_rel", "rmse", "delta1")
ONE_SEED = "one seed"


@dataclass(frozen=True, eq=False)
class Spread:
    """The metrics of a row, or differences of them, each of `MEASURED`; NaN where no image has one.

    Attributes:
        mean: (M).
        deviation: standard deviation over seeds or drives (M), NaN with one seed.
        interval: 95 % (M,2): over seeds or drives by Student's t, with one seed over images by the bootstrap.
        seeds: how many.
        over: `seeds`, `drives`, or `pictures` for images.
        drives: how many, where the interval is over them.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    interval: NDArray[np.float64]
    seeds: int
    over: str
    drives: int | None = None


def spread(found: Sequence[Measurement], resamples: int) -> Spread:
    """Return the mean over seeds, with its interval."""
    return over_seeds([one.values for one in found], resamples)


def over_seeds(values: Sequence[NDArray[np.float64]], resamples: int) -> Spread:
    """Return the mean of each seed's values by image (N,M), or of differences (see `paired`), with its interval."""
    seeds = np.stack([mean_over_images(one) for one in values])  # (S,M)
    if len(seeds) == 1:
        interval = bootstrap_intervals(values[0], resamples)
        return Spread(seeds[0], np.full_like(seeds[0], np.nan), interval, 1, "pictures")
    return Spread(*_student(seeds), len(seeds), "seeds")


def paired(found: Sequence[Measurement], reference: Sequence[Measurement]) -> list[NDArray[np.float64]]:
    """Return the row's metrics minus the reference's by image (N,M), of each pair.

    Trainings pair by seed, given files by their position in the list; two measurements without either are a pair.
    Empty if there is no pair or the images differ.
    """
    others = {_partner(one): one for one in reference}
    pairs = [(one, others[_partner(one)]) for one in found if _partner(one) in others]
    if any(list(a.content["pictures"]) != list(b.content["pictures"]) for a, b in pairs):
        return []
    return [a.values - b.values for a, b in pairs]


def over_drives(pairs: Sequence[NDArray[np.float64]], images: Sequence[str]) -> Spread | None:
    """Return mean differences with intervals over drives, each drive's the mean over seeds and its images.

    Args:
        pairs: see `paired`; at least one.
        images: their names, "DRIVE FRAME SIDE".

    Returns:
        None where the images are of fewer than two drives, or of none.
    """
    drives = [name.rsplit(" ", 2)[0] for name in images]
    names = list(dict.fromkeys(drives))
    if not 1 < len(names) < len(drives):
        return None
    values = np.mean(pairs, axis=0)  # (N,M)
    groups = [np.array([drive == name for drive in drives]) for name in names]
    mean, deviation, interval = _student(np.stack([mean_over_images(values[group]) for group in groups]))
    return Spread(mean, deviation, interval, len(pairs), "drives", len(names))


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
        metric: one of `MEASURED`.
        paper: the paper's difference; None of a metric that it does not have.
        measured: the mean over the pairs.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
        over: what the interval is over: `seeds`, `drives`, or `pictures` for images.
        seeds: pairs of measurements.
        drives: how many, where the interval is over them.
        verdict: see `verdict`, or that only one seed was left of several.
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
    base = next(row for row in table.rows if row.name == table.reference)
    for row in table.rows:
        own = measured.get(row.name)
        if row.name == table.reference or not own:
            continue
        pairs = paired(own, reference)
        if not pairs:
            unpaired.append(row.name)
            continue
        alone = len(pairs) == 1 and max(seeds, len(own), len(reference)) > 1
        signs = np.sign([mean_over_images(values) for values in pairs])  # (S,M)
        of_seeds, of_drives = over_seeds(pairs, resamples), over_drives(pairs, list(own[0].content["pictures"]))
        for metric in (*(name for name in COMPARED if name in table.columns), *EDGES):
            column = MEASURED.index(metric)
            paper = None if metric in EDGES else round(_number(row, metric) - _number(base, metric), 6)
            for one in filter(None, (of_seeds, of_drives)):
                mean, low, high = map(float, (one.mean[column], *one.interval[column]))
                if not np.isfinite(low):
                    continue  # of true depth without edges, or with edges in one drive
                judged = ONE_SEED if alone else _judge(metric, paper, mean, low, high)
                if one.over == "drives" and len(set(signs[:, column])) > 1:
                    judged = "undecided"  # the seeds contradict each other
                about = (table.label(row), row.name, metric, paper, mean, low, high)
                found.append(Difference(*about, one.over, one.seeds, one.drives, judged))
    return found, unpaired


def _number(row: PaperRow, metric: str) -> float:
    value = row.values[metric]
    assert isinstance(value, float)
    return value


def _judge(metric: str, paper: float | None, measured: float, low: float, high: float) -> str:
    if paper is not None:
        return verdict(paper, measured, low, high)
    if low <= 0 <= high:
        return "undecided"
    return "better" if (measured > 0) == (metric == "boundary_f1") else "worse"


def differences_table(table: PaperTable, differences: Sequence[Difference], unpaired: Sequence[str]) -> ResultTable:
    """Return the table of differences, each with what its interval is over."""
    labels = {row.name: table.label(row) for row in table.rows}
    lines = []
    for one in differences:
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]"
        over = over_text(one)
        paper = "" if one.paper is None else f"{one.paper:+.3f}"
        lines.append((one.label, HEADINGS[one.metric], paper, f"{one.measured:+.3f}", interval, over, one.verdict))
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
