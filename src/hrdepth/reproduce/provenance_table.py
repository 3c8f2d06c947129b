"""The weights behind each table and figure, and the files that all of them write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hrdepth.config import DepthProtocol
from hrdepth.io.files import write_json, write_text
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable, table_format
from hrdepth.paper import PaperRow
from hrdepth.reproduce.context import Context
from hrdepth.reproduce.measure import MeasuredRow, describe_weights
from hrdepth.reproduce.plan import network_text
from hrdepth.reproduce.runs import shown_weights

__all__ = ["RowProvenance", "find_shown", "missing_rows", "protocol_text", "shown_content", "write_results"]

FLAT = 0.01
"""Share by which the validation loss of a finished training changes in its last quarter at most."""


@dataclass(frozen=True)
class RowProvenance:
    """A row and its weights.

    Attributes:
        label: of the row.
        row: of the paper; its name stands for its weights on the command line.
        contents: what `measure.describe_weights` returns for each file, with `provenance`; empty where nothing was
            measured.
        reason: why nothing was measured, or which seeds are missing and why.
        path: of the file that a figure shows.
    """

    label: str
    row: PaperRow
    contents: Sequence[Mapping[str, Any]]
    reason: str
    path: Path | None = None

    @classmethod
    def of(cls, label: str, measured: MeasuredRow) -> RowProvenance:
        """Return that of what was measured."""
        return cls(label, measured.row, [one.content for one in measured.found], measured.reason)

    @property
    def note(self) -> str:
        """All remarks on the row."""
        if not self.contents:
            return self.reason
        notes = [self.row.note]
        if self.row.measured and not any(content["given"] for content in self.contents):
            notes.append(f"measured: {self.row.measured}")
        own = ["; ".join(filter(None, (one["note"], _not_flat(one.get("curve", []))))) for one in self.contents]
        for note, content in zip(own, self.contents, strict=True):
            if note and len(set(own)) > 1:
                which = f"file {content['place'] + 1}" if content["given"] else f"seed {content['seed']}"
                note = f"{which}: {note}"
            notes.append(note)
        return "; ".join(dict.fromkeys(filter(None, [*notes, self.reason])))


def find_shown(
    rows: Mapping[str, PaperRow], context: Context, label: Callable[[PaperRow, str, Path, Mapping[str, Any]], str]
) -> list[RowProvenance]:
    """Find the weights of a figure's rows, after training the first seed of each if asked to.

    Args:
        rows: by the label that each has without weights.
        context: names the rows that are wanted.
        label: of a network, by its row, that label, its file and its description.

    Raises:
        InputError: as `shown_weights`.
    """
    shown = []
    for what, row in rows.items():
        found, reason = None, "not asked for by --rows"
        if row.name in context.wanted:
            found, reason = shown_weights(row, context)
        if found is None:
            shown.append(RowProvenance(what, row, [], reason))
        else:
            content = {**describe_weights(row.name, found), "provenance": provenance(found.seed)}
            shown.append(RowProvenance(label(row, what, found.path, content), row, [content], "", found.path))
    return shown


def missing_rows(rows: Sequence[RowProvenance]) -> dict[str, str]:
    """Return why rows have no weights, by name."""
    return {one.row.name: one.reason for one in rows if not one.contents}


def shown_content(rows: Sequence[RowProvenance]) -> dict[str, Any]:
    """Return what the JSON files of all figures have in common: networks by label, and why others are missing."""
    networks = {one.label: {**content, "note": one.note} for one in rows for content in one.contents}
    return {"networks": networks, "not_measured": missing_rows(rows)}


def write_results(
    name: str,
    tables: Sequence[ResultTable],
    rows: Sequence[RowProvenance],
    content: Mapping[str, Any],
    context: Context,
    form: str = "text",
    suffixes: Sequence[str] = (".md", ".tex"),
) -> list[Path]:
    """Write tables and, below them, that of the rows' weights to NAME.md and NAME.tex, the content to NAME.json.

    Print the tables in a form of `ResultTable.show`; return the files.
    """
    tables = [*tables, _provenance_table(rows)]
    written = [context.folder / f"{name}{suffix}" for suffix in (*suffixes, ".json")]
    for path in written[:-1]:
        text = "\n\n".join(one.text(table_format(path)) for one in tables)
        write_text(path, f"{text}\n")
    shared = {
        "data": None if context.truths is None else context.truths.description,
        "protocol": asdict(context.config.protocol),
        "training": dict(context.config.training),
        "resolution": context.config.resolution,
        "provenance": provenance(),
    }
    write_json(written[-1], {**content, **shared})
    for one in tables:
        one.show(form)
    return written


def _provenance_table(rows: Sequence[RowProvenance]) -> ResultTable:
    """Lay out weights, networks, dates and notes."""
    lines: list[tuple[str, ...]] = []
    for one in rows:
        if not one.contents:
            lines.append((one.label, one.row.name, "not measured", "", "", "", one.note))
            continue
        weights = "\n".join(f"{content['weights']} {content['weights_sha256'][:12]}" for content in one.contents)
        networks = dict.fromkeys(network_text(content["network"]) for content in one.contents)
        sizes = sorted({"{1}x{0}".format(*content["size"]) for content in one.contents})
        dates = sorted({content["provenance"]["date"][:10] for content in one.contents})
        lines.append((one.label, one.row.name, weights, *map(", ".join, (networks, sizes, dates)), one.note))
    missing = any(not one.contents for one in rows)
    return ResultTable(
        ("row", "name", "weights, SHA-256", "network", "size", "date", "note"),
        tuple(lines),
        "How it was measured",
        "Rows without weights: train with --train, or give NAME=FILE." if missing else "",
    )


def protocol_text(protocol: DepthProtocol) -> str:
    """Describe in a caption how depth was compared.

    Example:
        >>> protocol_text(DepthProtocol(crop="none").complete())
        '80 m, crop none, scaled by the median'
    """
    words = {"median": "scaled by the median", "affine": "aligned by scale and shift"}
    scaling = words[protocol.scaling] if isinstance(protocol.scaling, str) else f"depth x {protocol.scaling:g}"
    return f"{protocol.max_depth:g} m, crop {protocol.crop}, {scaling}"


def _not_flat(curve: Sequence[Sequence[float]]) -> str:
    """Return a remark on a validation loss whose mean in the last quarter is not within 1 % of the one before it.

    Example:
        >>> _not_flat([(1, 4.0), (2, 2.0), (3, 1.5), (4, 1.2)]), _not_flat([(1, 4.0), (2, 2.0), (3, 1.5), (4, 1.499)])
        ('its validation loss was still falling, by 20 % in the last quarter', '')
    """
    if len(curve) < 4:
        return ""
    last = curve[-(len(curve) // 4) :]
    change = sum(loss for _, loss in last) / len(last) / curve[-len(last) - 1][1] - 1
    if abs(change) < FLAT:
        return ""
    way = "falling" if change < 0 else "rising"
    return f"its validation loss was still {way}, by {100 * abs(change):.0f} % in the last quarter"
