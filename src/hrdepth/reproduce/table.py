"""`hrdepth reproduce table1` to `table4`: the paper's rows beside measured ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hrdepth.config.reproduction import ReproduceConfig, ReproduceTableConfig
from hrdepth.evaluation.depth import METRICS
from hrdepth.files import atomic_path, write_json
from hrdepth.provenance import provenance
from hrdepth.reproduce.measure import Measurement, measure
from hrdepth.reproduce.paper import HEADINGS, PaperRow, PaperTable, paper_table
from hrdepth.reproduce.place import Place, open_place
from hrdepth.reproduce.runs import find_weights, train_missing
from hrdepth.reproduce.spread import Spread, difference, spread, verdict
from hrdepth.tables import ResultTable

__all__ = ["ReproducedRow", "reproduce_table"]

log = logging.getLogger(__name__)

COMPARED = ("abs_rel", "rmse", "delta1")
WIDE = 4  # columns of a table up to which intervals stand in it
EIGEN = "the 697 pictures of KITTI's Eigen split at 80 m"


@dataclass(frozen=True)
class ReproducedRow:
    """A row of the paper, and what was measured for it.

    Attributes:
        row: the paper's.
        found: measurements by their scaling, in words; one a seed. Empty where nothing was measured.
        reason: why nothing was, or "".
    """

    row: PaperRow
    found: Mapping[str, list[Measurement]]
    reason: str = ""

    @property
    def first(self) -> list[Measurement]:
        """Those by the protocol that was asked for, or none."""
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
    place = open_place(config, [row.name for row in table.rows])
    rows = [_reproduce(row, config, place) for row in table.rows]
    differences = _differences(table, rows, config.bootstrap)
    tables = [_main(table, rows, config, place), _how(table, rows)]
    if differences:
        tables.insert(1, _differences_table(table, differences))
    for one in tables:
        one.show(config.format)
    written = []
    for suffix in ("md", "tex"):
        form = "latex" if suffix == "tex" else "markdown"
        text = "\n\n".join(one.text(form) for one in tables)
        written.append(_write(place.folder / f"{name}.{suffix}", text))
    write_json(place.folder / f"{name}.json", _content(table, rows, differences, config, place))
    return [*written, place.folder / f"{name}.json"]


def _reproduce(row: PaperRow, config: ReproduceConfig, place: Place) -> ReproducedRow:
    if row.name not in place.wanted:
        return ReproducedRow(row, {}, "not asked for by --rows")
    if config.train and (row.config is not None or row.name in place.given):
        train_missing(row, config, place.given)
    weights, reason = find_weights(row, config, place.given)
    if place.truths is None or not weights:
        return ReproducedRow(row, {}, reason or "no true depth was given")
    found: dict[str, list[Measurement]] = {}
    for one in weights:
        log.info("measuring %s by %s", row.name, one.path)
        first = measure(row.name, one, place.truths, place.identity, config, config.protocol)
        found.setdefault("measured", []).append(first)
        factor = first.content["metres_per_unit"]
        if row.supervision == "MS" and factor is not None and config.protocol.scaling == "median":
            fixed = replace(config.protocol, scaling=float(factor))
            again = measure(row.name, one, place.truths, place.identity, config, fixed)
            found.setdefault(f"measured, depth x {factor:.3g}", []).append(again)
    return ReproducedRow(row, found)


def _main(table: PaperTable, rows: list[ReproducedRow], config: ReproduceConfig, place: Place) -> ResultTable:
    lines: list[tuple[str, ...]] = []
    for one in rows:
        values = [one.row.values.get(column) for column in table.columns]
        lines.append((table.label(one.row), "paper", *map(_number, values)))
        if one.row.elsewhere:
            lines.append(("", "elsewhere", *(_number(one.row.elsewhere.get(column)) for column in table.columns)))
        for how, found in one.found.items():
            measured = spread(found, config.bootstrap)
            lines.append(("", how, *(_cell(column, measured, found, table) for column in table.columns)))
        if not one.found:
            lines.append(("", "not measured", *("" for _ in table.columns)))
    return ResultTable(
        ("row", "", *(HEADINGS[column] for column in table.columns)),
        tuple(lines),
        f"Table {table.name[-1]}. {table.title}",
        _caption(table, rows, place, config),
    )


def _caption(table: PaperTable, rows: list[ReproducedRow], place: Place, config: ReproduceConfig) -> str:
    text = f"paper: {EIGEN}."
    if place.truths is None or not any(one.found for one in rows):
        return text
    description, count, protocol = place.truths.description, len(place.truths), config.protocol
    scaling = "scaled by the median" if protocol.scaling == "median" else f"depth x {protocol.scaling:g}"
    text += f"\nmeasured: {description}, {count} pictures, {protocol.max_depth:g} m, crop {protocol.crop}, {scaling}"
    seeds = max(len(found) for one in rows for found in one.found.values())
    if len(table.columns) <= WIDE:
        text += f"; 95 % intervals over {f'{seeds} seeds' if seeds > 1 else 'pictures'}"
    elif seeds > 1:
        text += f"; mean ± standard deviation over {seeds} seeds"
    if not (description.endswith("eigen/test") and count == 697):
        text += ".\nOther pictures than the paper's: rows compare with each other, not with its numbers"
    return f"{text}."


def _cell(column: str, measured: Spread, found: list[Measurement], table: PaperTable) -> str:
    if column == "parameters":
        counted = found[0].content["parameters"]
        return "" if counted is None else f"{counted['as_in_paper'] / 1e6:.2f}M"
    place = METRICS.index(column)
    text = f"{measured.mean[place]:.3f}"
    if len(table.columns) <= WIDE:
        low, high = measured.interval[place]
        return f"{text} [{low:.3f}, {high:.3f}]"
    return text if measured.seeds == 1 else f"{text} ± {measured.deviation[place]:.3f}"


def _number(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.3f}"


def _how(table: PaperTable, rows: list[ReproducedRow]) -> ResultTable:
    """Say of each row what it was measured with, or why not."""
    lines = []
    for one in rows:
        contents = [each.content for each in one.first]
        if not contents:
            lines.append((table.label(one.row), one.row.name, "not measured", "", "", one.reason))
            continue
        notes = [one.row.note, *(content["note"] for content in contents)]
        weights = "\n".join(f"{content['weights']} {content['weights_sha256'][:12]}" for content in contents)
        sizes = {"{1}x{0}".format(*content["size"]) for content in contents}
        dates = sorted({content["provenance"]["date"][:10] for content in contents})
        note = "; ".join(dict.fromkeys(filter(None, notes)))
        lines.append((table.label(one.row), one.row.name, weights, ", ".join(sorted(sizes)), ", ".join(dates), note))
    missing = any(not one.found for one in rows)
    return ResultTable(
        ("row", "name", "weights, SHA-256", "size", "date", "note"),
        tuple(lines),
        "How it was measured",
        "Rows without weights: train with --train, or give NAME=FILE." if missing else "",
    )


@dataclass(frozen=True)
class _Difference:
    """A metric of a row minus that of the reference, in the paper and measured."""

    label: str
    name: str
    metric: str
    paper: float
    measured: float
    low: float
    high: float
    over: str
    verdict: str


def _differences(table: PaperTable, rows: list[ReproducedRow], resamples: int) -> list[_Difference]:
    reference = next(one for one in rows if one.row.name == table.reference)
    found = []
    for one in rows:
        if one is reference or not one.first or not reference.first:
            continue
        measured = difference(one.first, reference.first, resamples)
        if measured is None:
            continue
        for metric in (name for name in COMPARED if name in table.columns):
            theirs, base = one.row.values[metric], reference.row.values[metric]
            assert isinstance(theirs, float) and isinstance(base, float)  # noqa: PT018
            place = METRICS.index(metric)
            paper, ours = round(theirs - base, 6), float(measured.mean[place])
            low, high = map(float, measured.interval[place])
            said = verdict(paper, ours, low, high)
            label = table.label(one.row)
            found.append(_Difference(label, one.row.name, metric, paper, ours, low, high, measured.over, said))
    return found


def _differences_table(table: PaperTable, differences: list[_Difference]) -> ResultTable:
    lines = []
    for one in differences:
        interval = f"[{one.low:+.3f}, {one.high:+.3f}]"
        lines.append(
            (one.label, HEADINGS[one.metric], f"{one.paper:+.3f}", f"{one.measured:+.3f}", interval, one.verdict)
        )
    reference = next(table.label(row) for row in table.rows if row.name == table.reference)
    return ResultTable(
        ("row", "metric", "paper", "measured", "95 % interval", "measured and paper"),
        tuple(lines),
        f"Differences from {reference}",
        f"Intervals over {differences[0].over}, in pairs; undecided: the interval holds 0.",
    )


def _content(
    table: PaperTable, rows: list[ReproducedRow], differences: list[_Difference], config: ReproduceConfig, place: Place
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
                    "mean": dict(zip(METRICS, values.mean.tolist(), strict=True)),
                    "deviation": None
                    if values.seeds == 1
                    else dict(zip(METRICS, values.deviation.tolist(), strict=True)),
                    "interval": dict(zip(METRICS, values.interval.tolist(), strict=True)),
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
        "data": None if place.truths is None else place.truths.description,
        "protocol": asdict(config.protocol),
        "training": dict(config.training),
        "resolution": config.resolution,
        "provenance": provenance(),
    }


def _plain(row: PaperRow) -> dict[str, Any]:
    return {**asdict(row), "values": dict(row.values), "elsewhere": dict(row.elsewhere) or None}


def _write(path: Path, text: str) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
