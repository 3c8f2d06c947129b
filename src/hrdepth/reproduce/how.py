"""The table that stands beside each table and figure: what every row was measured with, or why it was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hrdepth.config import DepthProtocol, ReproduceConfig
from hrdepth.io.files import atomic_path
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow
from hrdepth.reproduce.measure import describe
from hrdepth.reproduce.network import network_text
from hrdepth.reproduce.place import Place
from hrdepth.reproduce.runs import Weights

__all__ = ["Used", "describe_shown", "figure_content", "how_table", "protocol_text", "row_note", "write_tables"]


@dataclass(frozen=True)
class Used:
    """A row, and the weights that stood for it.

    Attributes:
        label: of the row.
        name: likewise, for the command line.
        contents: what `measure.describe` says of each file, with `provenance`; empty where nothing was measured.
        note: what is to be known of it, or why nothing was measured.
    """

    label: str
    name: str
    contents: Sequence[Mapping[str, Any]]
    note: str


def row_note(row: PaperRow, contents: Sequence[Mapping[str, Any]], missing: str = "") -> str:
    """Join what is to be known of a row.

    Args:
        row: of the paper.
        contents: see `Used`.
        missing: which seeds are, and why.
    """
    said = [row.note]
    if row.measured and not any(content["given"] for content in contents):
        said.append(f"measured: {row.measured}")
    notes = [content["note"] for content in contents]
    alike = len(set(notes)) == 1
    said += [
        note if alike or not note else f"{_which(content)}: {note}"
        for note, content in zip(notes, contents, strict=True)
    ]
    return "; ".join(dict.fromkeys(filter(None, [*said, missing])))


def describe_shown(row: PaperRow, weights: Weights) -> dict[str, Any]:
    """Describe weights that a figure shows, as `measure.describe` does, with the row's note and how it came about."""
    content = describe(row.name, weights)
    return {**content, "note": row_note(row, [content]), "provenance": provenance(weights.seed)}


def figure_content(
    config: ReproduceConfig, place: Place, networks: Mapping[str, Mapping[str, Any]], missing: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the JSON files of all figures hold.

    Args:
        config: the settings.
        place: where it was measured.
        networks: by label, what `describe_shown` says.
        missing: by row, why it is not shown.
    """
    return {
        "networks": dict(networks),
        "not_measured": dict(missing),
        "data": None if place.truths is None else place.truths.description,
        "protocol": asdict(config.protocol),
        "training": dict(config.training),
        "resolution": config.resolution,
        "provenance": provenance(),
    }


def how_table(rows: Sequence[Used]) -> ResultTable:
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
    """Say in a caption how depth was compared.

    Example:
        >>> protocol_text(DepthProtocol(crop="none").complete())
        '80 m, crop none, scaled by the median'
    """
    scaling = "scaled by the median" if protocol.scaling == "median" else f"depth x {protocol.scaling:g}"
    return f"{protocol.max_depth:g} m, crop {protocol.crop}, {scaling}"


def write_tables(stem: Path, tables: Sequence[ResultTable]) -> list[Path]:
    """Write tables below each other to STEM.md and STEM.tex; return both."""
    written = []
    for suffix, form in (("md", "markdown"), ("tex", "latex")):
        written.append(stem.with_suffix(f".{suffix}"))
        with atomic_path(written[-1]) as temporary:
            temporary.write_text("\n\n".join(one.text(form) for one in tables) + "\n", encoding="utf-8")
    return written


def _which(content: Mapping[str, Any]) -> str:
    return f"file {content['place'] + 1}" if content["given"] else f"seed {content['seed']}"
