"""`hrdepth reproduce table1` to `table4`: the paper's rows beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hrdepth.config import ReproduceTableConfig
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow, PaperTable, paper_table
from hrdepth.registry import lookup
from hrdepth.reproduce.context import Context, open_context
from hrdepth.reproduce.differences import HEADINGS, differences_table, find_differences, spread
from hrdepth.reproduce.measure import (
    EDGES,
    MEASURED,
    MeasuredRow,
    RowMeasurement,
    by_metric,
    measure_again,
    measure_row,
)
from hrdepth.reproduce.provenance_table import RowProvenance, protocol_text, write_results

__all__ = ["reproduce_table"]

WIDE = 4  # columns of a table up to which intervals stand in it
EIGEN = "the 697 images of KITTI's Eigen split at 80 m"


def reproduce_table(name: str, config: ReproduceTableConfig) -> list[Path]:
    """Train what is missing if asked to, measure, print the tables, and write them: `table1` to `table4`.

    Returns:
        NAME.md, NAME.tex and NAME.json in the folder of results.

    Raises:
        InputError: settings, weights or data that cannot work.
    """
    table = paper_table(name)
    names = [row.name for row in table.rows]
    if config.reference is not None:
        lookup(dict.fromkeys(names), config.reference, f"row of {name}")
        table = replace(table, reference=config.reference)
    context = open_context(config, names)
    rows = [_measure(row, context) for row in table.rows]
    measured = {one.row.name: one.found for one in rows}
    differences, unpaired = find_differences(table, measured, config.bootstrap, len(config.seeds))
    tables = [_main(table, rows, context)]
    edges = [MEASURED.index(metric) for metric in EDGES]
    if any(np.isfinite(each.values[:, edges]).any() for one in rows for each in one.found):
        tables.append(_edges(table, rows, config))
    if differences or unpaired:
        tables.append(differences_table(table, differences, unpaired))
    content = {
        "table": table.name,
        "title": table.title,
        "columns": list(table.columns),
        "reference": table.reference,
        "rows": [_content(one, config) for one in rows],
        "differences": [asdict(one) for one in differences],
        "not_compared": unpaired,
    }
    sources = [RowProvenance.of(table.label(one.row), one) for one in rows]
    return write_results(name, tables, sources, content, context, config.format)


def _measure(row: PaperRow, context: Context) -> MeasuredRow:
    """Measure a row; one trained with stereo pairs also without median scaling."""
    if row.name not in context.wanted:
        return MeasuredRow(row, [], "not asked for by --rows")
    measured, protocol = measure_row(row, context), context.config.protocol
    in_metres: dict[str, list[RowMeasurement]] = {}
    for one in measured.found:
        factor = one.content["metres_per_unit"]
        if factor is None and row.scaling != "median":
            factor = row.scaling
        if row.supervision == "MS" and factor is not None and protocol.scaling == "median":
            again = measure_again(row, one, context, replace(protocol, scaling=float(factor)))
            if again is not None:
                in_metres.setdefault(f"measured, depth x {factor:.3g}", []).append(again)
    return replace(measured, in_metres=in_metres)


def _main(table: PaperTable, rows: list[MeasuredRow], context: Context) -> ResultTable:
    lines: list[tuple[str, ...]] = []
    several = len(context.seeds) > 1 or any(len(one.found) > 1 for one in rows)  # so that rows need their number
    for one in rows:
        lines.append((table.label(one.row), "paper", *_printed(one.row.values, table)))
        if one.row.other_sources:
            lines.append(("", "other sources", *_printed(one.row.other_sources, table)))
        for scaling, found in one.by_scaling.items():
            seeds = f", {len(found)} seed{'s' if len(found) > 1 else ''}" if several else ""
            lines.append(("", f"{scaling}{seeds}", *_cells(found, table, context)))
        if not one.found:
            lines.append(("", "not measured", *("" for _ in table.columns)))
    return ResultTable(
        ("row", "", *(HEADINGS[column] for column in table.columns)),
        tuple(lines),
        f"Table {table.name[-1]}. {table.title}",
        _caption(table, rows, context, several),
    )


def _printed(values: Mapping[str, float | str | None], table: PaperTable) -> list[str]:
    """Return published numbers as the table shows them."""
    found = [values.get(column) for column in table.columns]
    return ["" if one is None else one if isinstance(one, str) else f"{one:.3f}" for one in found]


def _cells(found: Sequence[RowMeasurement], table: PaperTable, context: Context) -> list[str]:
    """Return measured numbers: in a table of few columns with intervals, in others with deviations over seeds."""
    measured, cells = spread(found, context.config.bootstrap), []
    for column in table.columns:
        if column == "parameters":
            counted = found[0].content["parameters"]
            cells.append("" if counted is None else f"{counted['as_in_paper'] / 1e6:.2f}M")
        elif len(table.columns) <= WIDE:
            cells.append(measured.text(MEASURED.index(column), 3))
        else:
            at = MEASURED.index(column)
            deviation = "" if measured.seeds == 1 else f" ± {measured.deviation[at]:.3f}"
            cells.append(f"{measured.mean[at]:.3f}{deviation}")
    return cells


def _edges(table: PaperTable, rows: list[MeasuredRow], config: ReproduceTableConfig) -> ResultTable:
    """Return the figures at edges, which the paper does not have, of the rows that were measured."""
    lines = []
    for one in rows:
        if one.found:
            measured = spread(one.found, config.bootstrap)
            columns = [MEASURED.index(metric) for metric in EDGES]
            cells = (measured.text(at, 3) if np.isfinite(measured.mean[at]) else "" for at in columns)
            lines.append((table.label(one.row), *cells))
    return ResultTable(
        ("row", *(HEADINGS[metric] for metric in EDGES)),
        tuple(lines),
        "At edges of the true depth",
        "Boundary F1 needs dense true depth.",
    )


def _caption(table: PaperTable, rows: list[MeasuredRow], context: Context, several: bool) -> str:
    text = f"paper: {EIGEN}."
    if context.truths is None or not any(one.found for one in rows):
        return text
    description, count = context.truths.description, len(context.truths)
    text += f"\nmeasured: {description}, {count} images, {protocol_text(context.config.protocol)}"
    if len(table.columns) <= WIDE:
        text += f"; 95 % intervals over {'seeds, where a row has one over images' if several else 'images'}"
    elif several:
        text += "; mean ± standard deviation over seeds, where there are several"
    if not (description.endswith("eigen/test") and count == 697):
        text += ".\nOther images than the paper's: rows compare with each other, not with its numbers"
    return f"{text}."


def _content(one: MeasuredRow, config: ReproduceTableConfig) -> dict[str, Any]:
    measured = [
        {
            "how": scaling,
            "mean": by_metric(values.mean),
            "deviation": None if values.seeds == 1 else by_metric(values.deviation),
            "interval": by_metric(values.interval),
            "interval_over": values.over,
            "runs": [each.about for each in found],
        }
        for scaling, found in one.by_scaling.items()
        for values in [spread(found, config.bootstrap)]
    ]
    paper = asdict(one.row)
    paper["elsewhere"] = paper.pop("other_sources") or None  # the key of the files so far
    return {
        "paper": paper,
        "state": "measured" if measured else "not measured",
        "reason": one.reason or None,
        "measured": measured,
    }
