"""The table beside each table and figure: the weights that every row was measured with, or why it was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hrdepth.config import DepthProtocol, ReproduceConfig
from hrdepth.io.files import atomic_path
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow
from hrdepth.reproduce.measure import ReproductionContext, describe
from hrdepth.reproduce.plan import network_text
from hrdepth.reproduce.runs import shown_weights

__all__ = [
    "RowProvenance",
    "ShownNetworks",
    "protocol_text",
    "provenance_table",
    "row_note",
    "shared_content",
    "write_tables",
]


FLAT = 0.01
"""Share by which the validation loss of a finished training changes in its last quarter at most."""


@dataclass(frozen=True)
class RowProvenance:
    """A row and its weights.

    Attributes:
        label: of the row.
        name: of its weights, for the command line.
        contents: what `measure.describe` returns for each file, with `provenance`; empty where nothing was measured.
        note: remarks, or why nothing was measured.
    """

    label: str
    name: str
    contents: Sequence[Mapping[str, Any]]
    note: str


def row_note(row: PaperRow, contents: Sequence[Mapping[str, Any]], missing: str = "") -> str:
    """Join the remarks on a row.

    Args:
        row: of the paper.
        contents: see `RowProvenance`.
        missing: which seeds are, and why.
    """
    notes = [row.note]
    if row.measured and not any(content["given"] for content in contents):
        notes.append(f"measured: {row.measured}")
    own = ["; ".join(filter(None, (content["note"], _not_flat(content.get("curve", []))))) for content in contents]
    same = len(set(own)) == 1
    notes += [
        note if same or not note else f"{_which(content)}: {note}" for note, content in zip(own, contents, strict=True)
    ]
    return "; ".join(dict.fromkeys(filter(None, [*notes, missing])))


class ShownNetworks:
    """The networks that a figure shows.

    Attributes:
        about: by label, what `measure.describe` returns, with the row's note and provenance.
        missing: by row, why it is not shown.
        rows: all, for `provenance_table`.
    """

    def __init__(self, config: ReproduceConfig, context: ReproductionContext) -> None:
        self.config, self.context = config, context
        self.about: dict[str, dict[str, Any]] = {}
        self.missing: dict[str, str] = {}
        self.rows: list[RowProvenance] = []

    def find(self, row: PaperRow, missing_label: str, label: Callable[[Path, dict[str, Any]], str]) -> Path | None:
        """Find the weights of a row and note them, or why there are none.

        Args:
            row: of the paper.
            missing_label: of a row without weights.
            label: of the network, by its file and its description.
        """
        found, reason = None, "not asked for by --rows"
        if row.name in self.context.wanted:
            found, reason = shown_weights(row, self.config, self.context.given)
        if found is None:
            self.missing[row.name] = reason
            self.rows.append(RowProvenance(missing_label, row.name, [], reason))
            return None
        content = describe(row.name, found)
        content |= {"note": row_note(row, [content]), "provenance": provenance(found.seed)}
        name = label(found.path, content)
        self.about[name] = content
        self.rows.append(RowProvenance(name, row.name, [content], content["note"]))
        return found.path

    def content(self) -> dict[str, Any]:
        """Return what the JSON files of all figures have in common."""
        shown = {"networks": self.about, "not_measured": self.missing}
        return {**shown, **shared_content(self.config, self.context)}


def shared_content(config: ReproduceConfig, context: ReproductionContext) -> dict[str, Any]:
    """Return what the JSON files of all tables and figures have in common."""
    return {
        "data": None if context.truths is None else context.truths.description,
        "protocol": asdict(config.protocol),
        "training": dict(config.training),
        "resolution": config.resolution,
        "provenance": provenance(),
    }


def provenance_table(rows: Sequence[RowProvenance]) -> ResultTable:
    """Lay out weights, networks, dates and notes."""
    lines = []
    for one in rows:
        if not one.contents:
            lines.append((one.label, one.name, "not measured", "", "", "", one.note))
            continue
        weights = "\n".join(f"{content['weights']} {content['weights_sha256'][:12]}" for content in one.contents)
        networks = dict.fromkeys(network_text(content["network"]) for content in one.contents)
        sizes = {"{1}x{0}".format(*content["size"]) for content in one.contents}
        dates = sorted({content["provenance"]["date"][:10] for content in one.contents})
        lines.append(
            (one.label, one.name, weights, ", ".join(networks), ", ".join(sorted(sizes)), ", ".join(dates), one.note)
        )
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


def write_tables(stem: Path, tables: Sequence[ResultTable]) -> list[Path]:
    """Write tables below each other to STEM.md and STEM.tex; return both."""
    written = []
    for suffix, form in (("md", "markdown"), ("tex", "latex")):
        written.append(stem.with_suffix(f".{suffix}"))
        with atomic_path(written[-1]) as temporary:
            temporary.write_text("\n\n".join(one.text(form) for one in tables) + "\n", encoding="utf-8")
    return written


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


def _which(content: Mapping[str, Any]) -> str:
    return f"file {content['place'] + 1}" if content["given"] else f"seed {content['seed']}"
