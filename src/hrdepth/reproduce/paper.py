"""The rows of the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hrdepth.io.tables import METRIC_HEADINGS
from hrdepth.registry import lookup

__all__ = ["HEADINGS", "PaperRow", "PaperTable", "paper_table", "row_of"]

HEADINGS = {"parameters": "#Para", **METRIC_HEADINGS}


@dataclass(frozen=True)
class PaperRow:
    """A row, on the 697 images of KITTI's Eigen split at 80 m.

    Attributes:
        name: of its weights.
        system: as the paper calls it.
        supervision: `M`, `MS` or `T`.
        resolution: width x height.
        dataset: `K` or `CS + K`.
        values: by metric, and `parameters` as the paper writes them; None where none is given.
        config: the training config that gives it, a recipe's name, or None.
        settings: over that config.
        scaling: the factor to metres by which it was published, or `median`.
        elsewhere: numbers of other sources, by metric.
        note: what is peculiar.
        measured: what this package's training of it is, where it is not the paper's; "" where it is.
    """

    name: str
    system: str
    supervision: str
    resolution: str
    dataset: str
    values: Mapping[str, float | str | None]
    config: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    scaling: str | float = "median"
    elsewhere: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""
    measured: str = ""

    @property
    def label(self) -> str:
        """What the row is called in a table."""
        return f"{self.system}, {self.supervision}, {self.resolution}, {self.dataset}"


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        name: `table1` to `table4`.
        title: the paper's.
        reference: name of the row that the others are compared with.
        columns: keys of `HEADINGS`.
        rows: in the paper's order.
        pattern: of a row's label in this table.
    """

    name: str
    title: str
    reference: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    pattern: str

    def label(self, row: PaperRow) -> str:
        """Return what tells the row from the others of this table."""
        return self.pattern.format_map(vars(row))


@cache
def paper_table(name: str) -> PaperTable:
    """Return a table, `table1` to `table4`.

    Raises:
        InputError: there is no such table.

    Source: paper, Tables 1 to 4.
    """
    tables = yaml.safe_load((Path(__file__).parent / "paper.yaml").read_text(encoding="utf-8"))
    found = lookup(tables, name, "table")
    columns = tuple(found["columns"])

    def by_metric(row: dict[str, Any], key: str) -> dict[str, Any]:
        return dict(zip(columns, row.pop(key), strict=True)) if key in row else {}

    rows = [PaperRow(values=by_metric(row, "values"), elsewhere=by_metric(row, "elsewhere"), **row)
            for row in found["rows"]]  # fmt: skip
    return PaperTable(name, found["title"], found["reference"], columns, tuple(rows), found["label"])


def row_of(name: str) -> PaperRow:
    """Return the first row of that name in any table.

    Raises:
        InputError: there is none.
    """
    rows = [row for number in (4, 3, 2, 1) for row in paper_table(f"table{number}").rows]
    return lookup({row.name: row for row in rows}, name, "row of the paper")
