"""How far each row of a table is from its reference, in the paper and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hrdepth.evaluation.depth import METRICS
from hrdepth.io.tables import METRIC_HEADINGS, ResultTable
from hrdepth.paper import PaperTable
from hrdepth.reproduce.measure import Measurement
from hrdepth.reproduce.spread import Spread, difference, verdict

__all__ = ["HEADINGS", "Difference", "differences_table", "find_differences"]

HEADINGS = {"parameters": "#Para", **METRIC_HEADINGS}
COMPARED = ("abs_rel", "rmse", "delta1")
ONE_SEED = "one seed"


@dataclass(frozen=True)
class Difference:
    """A metric of a row minus that of the reference, in the paper and measured.

    Attributes:
        label: of the row.
        name: likewise.
        metric: which.
        paper: the paper's difference.
        measured: the mean over the pairs.
        low: of its 95 % interval,
        high: likewise.
        over: what the interval is over: `seeds` or `images`.
        seeds: pairs of measurements.
        verdict: see `spread.verdict`; none where one seed was left of several.
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
    """Return each measured row's differences from the reference, and names of the rows that nothing pairs with it.

    Args:
        table: of the paper.
        measured: by row, one a seed; rows that were not measured may be absent.
        resamples: for intervals over images.
        seeds: how many were asked for.
    """
    reference = measured.get(table.reference)
    found, apart = [], list[str]()
    if not reference:
        return [], []
    published = next(row for row in table.rows if row.name == table.reference).values
    for row in table.rows:
        own = measured.get(row.name)
        if row.name == table.reference or not own:
            continue
        between = difference(own, reference, resamples)
        if between is None:
            apart.append(row.name)
            continue
        for metric in (name for name in COMPARED if name in table.columns):
            theirs, base = row.values[metric], published[metric]
            assert isinstance(theirs, float) and isinstance(base, float)  # noqa: PT018
            paper = round(theirs - base, 6)
            alone = between.seeds == 1 and max(seeds, len(own), len(reference)) > 1
            found.append(_difference(table.label(row), row.name, metric, paper, between, alone=alone))
    return found, apart


def differences_table(table: PaperTable, differences: Sequence[Difference], apart: Sequence[str]) -> ResultTable:
    """Lay the differences out, each with what its interval is over."""
    labels = {row.name: table.label(row) for row in table.rows}
    lines = []
    for one in differences:
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]"
        over = f"{one.seeds} seeds" if one.over == "seeds" else one.over
        lines.append(
            (one.label, HEADINGS[one.metric], f"{one.paper:+.3f}", f"{one.measured:+.3f}", interval, over, one.verdict)
        )
    lines += [(labels[name], "", "", "", "", "", "not compared: no seed in common") for name in apart]
    caption = "Intervals in pairs; undecided: the interval holds 0."
    if any(one.verdict == ONE_SEED for one in differences):
        caption += f" {ONE_SEED}: of several that were asked for, and so no verdict."
    return ResultTable(
        ("row", "metric", "paper", "measured", "95 % interval", "over", "measured and paper"),
        tuple(lines),
        f"Differences from {labels[table.reference]}",
        caption,
    )


def _difference(label: str, name: str, metric: str, paper: float, between: Spread, *, alone: bool) -> Difference:
    place = METRICS.index(metric)
    ours = float(between.mean[place])
    low, high = map(float, between.interval[place])
    said = ONE_SEED if alone else verdict(paper, ours, low, high)
    return Difference(label, name, metric, paper, ours, low, high, between.over, between.seeds, said)
