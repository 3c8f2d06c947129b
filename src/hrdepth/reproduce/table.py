"""`hrdepth reproduce table1` to `table4`: the paper's rows beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import ReproduceConfig, ReproduceTableConfig
from hrdepth.io.files import write_json
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow, PaperTable, paper_table
from hrdepth.registry import lookup
from hrdepth.reproduce.differences import HEADINGS, Difference, Spread, differences_table, find_differences, spread
from hrdepth.reproduce.measure import EDGES, MEASURED, Measurement, ReproductionContext, open_context
from hrdepth.reproduce.provenance_table import (
    RowProvenance,
    protocol_text,
    provenance_table,
    row_note,
    shared_content,
    write_tables,
)
from hrdepth.reproduce.rows import measure_again, measure_row

__all__ = ["ReproducedRow", "reproduce_table"]

WIDE = 4  # columns of a table up to which intervals stand in it
EIGEN = "the 697 images of KITTI's Eigen split at 80 m"


@dataclass(frozen=True)
class ReproducedRow:
    """A row of the paper, and what was measured for it.

    Attributes:
        row: the paper's.
        found: measurements by their scaling, in words, one per seed; empty where nothing was measured.
        reason: why nothing was, or which seeds are missing and why; or "".
    """

    row: PaperRow
    found: Mapping[str, list[Measurement]]
    reason: str = ""

    @property
    def first(self) -> list[Measurement]:
        """Those by the protocol of the settings, or none."""
        return next(iter(self.found.values()), [])


def reproduce_table(name: str, config: ReproduceTableConfig) -> list[Path]:
    """Train what is missing if asked to, measure, print the tables, and write them.

    Args:
        name: `table1` to `table4`.
        config: the settings.

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
    rows = [_reproduce(row, config, context) for row in table.rows]
    firsts = {one.row.name: one.first for one in rows}
    differences, unpaired = find_differences(table, firsts, config.bootstrap, len(config.seeds))
    tables = [_main(table, rows, config, context)]
    edges = [MEASURED.index(metric) for metric in EDGES]
    if any(np.isfinite(each.mean[edges]).any() for one in rows for each in one.first):
        tables.append(_edges(table, rows, config))
    if differences or unpaired:
        tables.append(differences_table(table, differences, unpaired))
    tables.append(provenance_table([_row_provenance(table, one) for one in rows]))
    written = write_tables(context.folder / name, tables)
    write_json(context.folder / f"{name}.json", _content(table, rows, differences, unpaired, config, context))
    for one in tables:
        one.show(config.format)
    return [*written, context.folder / f"{name}.json"]


def _reproduce(row: PaperRow, config: ReproduceConfig, context: ReproductionContext) -> ReproducedRow:
    if row.name not in context.wanted:
        return ReproducedRow(row, {}, "not asked for by --rows")
    measured = measure_row(row, config, context)
    found = {"measured": list(measured.found)} if measured.found else {}
    for one in measured.found:
        factor = one.content["metres_per_unit"]
        if factor is None and row.scaling != "median":
            factor = row.scaling
        if row.supervision == "MS" and factor is not None and config.protocol.scaling == "median":
            fixed = replace(config.protocol, scaling=float(factor))
            again = measure_again(row, one, config, context, fixed)
            if again is not None:
                found.setdefault(f"measured, depth x {factor:.3g}", []).append(again)
    return ReproducedRow(row, found, measured.reason)


def _row_provenance(table: PaperTable, one: ReproducedRow) -> RowProvenance:
    contents = [each.content for each in one.first]
    note = row_note(one.row, contents, one.reason) if contents else one.reason
    return RowProvenance(table.label(one.row), one.row.name, contents, note)


def _several(rows: list[ReproducedRow], config: ReproduceConfig) -> bool:
    """Return whether the table has several seeds, so that each row needs their number."""
    return len(config.seeds) > 1 or any(len(one.first) > 1 for one in rows)


def _main(
    table: PaperTable, rows: list[ReproducedRow], config: ReproduceConfig, context: ReproductionContext
) -> ResultTable:
    lines: list[tuple[str, ...]] = []
    several = _several(rows, config)
    for one in rows:
        values = [one.row.values.get(column) for column in table.columns]
        lines.append((table.label(one.row), "paper", *map(_number, values)))
        if one.row.elsewhere:
            lines.append(("", "elsewhere", *(_number(one.row.elsewhere.get(column)) for column in table.columns)))
        for how, found in one.found.items():
            measured = spread(found, config.bootstrap)
            if several:
                how = f"{how}, {len(found)} seed{'s' if len(found) > 1 else ''}"
            lines.append(("", how, *(_cell(column, measured, found, table) for column in table.columns)))
        if not one.found:
            lines.append(("", "not measured", *("" for _ in table.columns)))
    return ResultTable(
        ("row", "", *(HEADINGS[column] for column in table.columns)),
        tuple(lines),
        f"Table {table.name[-1]}. {table.title}",
        _caption(table, rows, context, config),
    )


def _edges(table: PaperTable, rows: list[ReproducedRow], config: ReproduceConfig) -> ResultTable:
    """Return the figures at edges, which the paper does not have, of the rows that were measured."""
    lines = []
    for one in rows:
        if one.first:
            measured = spread(one.first, config.bootstrap)
            cells = (_interval(measured, MEASURED.index(metric)) for metric in EDGES)
            lines.append((table.label(one.row), *cells))
    return ResultTable(
        ("row", *(HEADINGS[metric] for metric in EDGES)),
        tuple(lines),
        "At edges of the true depth",
        "Boundary F1 needs dense true depth.",
    )


def _caption(
    table: PaperTable, rows: list[ReproducedRow], context: ReproductionContext, config: ReproduceConfig
) -> str:
    text = f"paper: {EIGEN}."
    if context.truths is None or not any(one.found for one in rows):
        return text
    description, count = context.truths.description, len(context.truths)
    text += f"\nmeasured: {description}, {count} images, {protocol_text(config.protocol)}"
    several = _several(rows, config)
    if len(table.columns) <= WIDE:
        text += f"; 95 % intervals over {'seeds, where a row has one over images' if several else 'images'}"
    elif several:
        text += "; mean ± standard deviation over seeds, where there are several"
    if not (description.endswith("eigen/test") and count == 697):
        text += ".\nOther images than the paper's: rows compare with each other, not with its numbers"
    return f"{text}."


def _cell(column: str, measured: Spread, found: list[Measurement], table: PaperTable) -> str:
    if column == "parameters":
        counted = found[0].content["parameters"]
        return "" if counted is None else f"{counted['as_in_paper'] / 1e6:.2f}M"
    at = MEASURED.index(column)
    if len(table.columns) <= WIDE:
        return _interval(measured, at)
    text = f"{measured.mean[at]:.3f}"
    return text if measured.seeds == 1 else f"{text} ± {measured.deviation[at]:.3f}"


def _interval(measured: Spread, at: int) -> str:
    if not np.isfinite(measured.mean[at]):
        return ""
    low, high = measured.interval[at]
    return f"{measured.mean[at]:.3f} [{low:.3f}, {high:.3f}]"


def _number(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.3f}"


def _content(
    table: PaperTable,
    rows: list[ReproducedRow],
    differences: list[Difference],
    unpaired: list[str],
    config: ReproduceConfig,
    context: ReproductionContext,
) -> dict[str, Any]:
    listed = []
    for one in rows:
        measured = []
        for how, found in one.found.items():
            values = spread(found, config.bootstrap)
            runs = [{key: value for key, value in each.content.items() if key != "pictures"} for each in found]
            measured.append(
                {
                    "how": how,
                    "mean": _by_metric(values.mean),
                    "deviation": None if values.seeds == 1 else _by_metric(values.deviation),
                    "interval": _by_metric(values.interval),
                    "interval_over": values.over,
                    "runs": runs,
                }
            )
        state = {"state": "measured" if measured else "not measured", "reason": one.reason or None}
        listed.append({"paper": _plain(one.row), **state, "measured": measured})
    return {
        "table": table.name,
        "title": table.title,
        "columns": list(table.columns),
        "reference": table.reference,
        "rows": listed,
        "differences": [asdict(one) for one in differences],
        "not_compared": unpaired,
        **shared_content(config, context),
    }


def _by_metric(values: NDArray[np.float64]) -> dict[str, Any]:
    known = [None if np.isnan(value).any() else value.tolist() for value in values]
    return dict(zip(MEASURED, known, strict=True))


def _plain(row: PaperRow) -> dict[str, Any]:
    return {**asdict(row), "values": dict(row.values), "elsewhere": dict(row.elsewhere) or None}
