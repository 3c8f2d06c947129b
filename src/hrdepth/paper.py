"""The rows of the paper's tables, read from paper.yaml, which holds all numbers of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hrdepth.config import NetworkConfig
from hrdepth.registry import lookup

__all__ = ["PaperNetwork", "PaperRow", "PaperTable", "corresponding_row", "paper_networks", "paper_table", "row_of"]

# Table 1 repeats rows of Table 2 in two columns.
_CITED = (2, 3, 4)


@dataclass(frozen=True)
class PaperRow:
    """A row, evaluated on the 697 images of KITTI's Eigen split up to 80 m.

    Attributes:
        name: of its weights.
        system: its name in the paper.
        supervision: `M` (neighbouring frames), `MS` (and the right image) or `T` (a teacher).
        resolution: width x height.
        dataset: `K` or `CS + K`.
        values: by metric, and `parameters` as printed in the paper; None if not given.
        config: the training config that reproduces it, or None.
        settings: that override this config.
        scaling: the factor to metres used for the published numbers, or `median`.
        other_sources: numbers of the same row that another publication gives, by metric.
        note: a remark on this row.
        measured: how this package's training differs from the paper's; "" if it does not.
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
    other_sources: Mapping[str, float | None] = field(default_factory=dict)
    note: str = ""
    measured: str = ""

    @property
    def label(self) -> str:
        """The row's description without its table."""
        return f"{self.system}, {self.supervision}, {self.resolution}, {self.dataset}"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        width, height = map(int, self.resolution.split("x"))
        return height, width

    @property
    def citation(self) -> str:
        """The row's description with the tables that contain it.

        Example:
            >>> row_of("kitti-monodepth2-m-640x192").citation
            'Tables 2 and 3, Monodepth2, M, 640x192, K'
        """
        tables = {number: paper_table(f"table{number}") for number in _CITED}
        rows = {number: row for number, table in tables.items() for row in table.rows if row.name == self.name}
        first, row = next(iter(rows.items()))
        numbers = [number for number, other in rows.items() if other.system == row.system]
        return f"{_tables(numbers)}, {tables[first].label(row).replace('(Ours)', '')}"


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        name: `table1` to `table4`.
        title: the paper's.
        reference: name of the row that the others are compared with.
        columns: metrics, and `parameters`.
        rows: in the paper's order.
        pattern: a format string for a row's label in this table.
    """

    name: str
    title: str
    reference: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    pattern: str

    def label(self, row: PaperRow) -> str:
        """Return what distinguishes the row from the others of this table."""
        return self.pattern.format_map(vars(row))


@dataclass(frozen=True)
class PaperNetwork:
    """A network of the paper.

    Attributes:
        network: its config.
        rows: its rows, each with the number of its table.
        parameters: the paper's count, in millions.
    """

    network: NetworkConfig
    rows: tuple[tuple[int, PaperRow], ...]
    parameters: float

    @property
    def citation(self) -> str:
        """The network's systems with their tables.

        Example:
            >>> paper_networks()[0].citation
            'Table 2, HR-Depth; Table 4, +dense SC and fSE'
        """
        tables: dict[str, dict[int, None]] = {}
        for number, row in self.rows:
            tables.setdefault(row.system.replace("(Ours)", ""), {})[number] = None
        return "; ".join(f"{_tables(list(numbers))}, {system}" for system, numbers in tables.items())


@cache
def paper_table(name: str) -> PaperTable:
    """Return a table, `table1` to `table4`.

    Raises:
        InputError: there is no such table.

    Source: paper, Tables 1 to 4.
    """
    found = lookup(_content(), name, "table")
    columns = tuple(found["columns"])

    def read(row: Mapping[str, Any]) -> PaperRow:
        given = [key for key in ("values", "other_sources") if key in row]
        by_metric = {key: dict(zip(columns, row[key], strict=True)) for key in given}
        return PaperRow(**{**row, **by_metric})

    return PaperTable(
        name, found["title"], found["reference"], columns, tuple(map(read, found["rows"])), found["label"]
    )


def row_of(name: str) -> PaperRow:
    """Return the first row of that name in any table.

    Raises:
        InputError: there is no such row.
    """
    rows = [row for number in (4, 3, 2, 1) for row in paper_table(f"table{number}").rows]
    return lookup({row.name: row for row in rows}, name, "row of the paper")


def corresponding_row(settings: Mapping[str, Any]) -> PaperRow | None:
    """Return the row that a training reproduces: the same network, supervision and size, on KITTI's Eigen-Zhou frames.

    Args:
        settings: of the training, as in its config.yaml.
    """
    network = settings["network"]
    # A row's name does not depend on the backbone's initial weights.
    options = {name: value for name, value in network.get("options", {}).items() if name != "weights"}
    if any((part["dataset"], part.get("split")) != ("kitti_raw", "eigen_zhou/train") for part in settings["train"]):
        return None
    if settings.get("init"):  # trained on more than KITTI
        return None
    matching = [
        one for one in paper_networks() if (one.network.name, one.network.options) == (network["name"], options)
    ]
    wanted = (_supervision(settings["objective"]), tuple(settings["size"]))
    return next(
        (
            row
            for one in matching
            for _, row in one.rows
            if row.dataset == "K" and not row.measured and (row.supervision, row.size) == wanted
        ),
        None,
    )


@cache
def paper_networks() -> tuple[PaperNetwork, ...]:
    """Return the networks of Tables 2 to 4 that this package builds with the paper's count of parameters."""
    all_rows = [(number, row) for number in _CITED for row in paper_table(f"table{number}").rows]
    found = []
    for one in _content()["networks"]:
        rows = tuple((number, row) for number, row in all_rows if fnmatchcase(row.name, one["rows"]))
        counts = [text for _, row in rows if (text := row.values.get("parameters"))]
        parameters = float(str(one.get("parameters", counts and counts[0])).removesuffix("M"))
        found.append(PaperNetwork(NetworkConfig(one["network"], one.get("options", {})), rows, parameters))
    return tuple(found)


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8"))
    return content


def _tables(numbers: list[int]) -> str:
    return f"Table{'s' * (len(numbers) > 1)} {' and '.join(map(str, numbers))}"


def _supervision(objective: Mapping[str, Any]) -> str:
    frames = objective.get("frames", [-1, 1])
    parts = {"T": objective.get("name") == "distillation", "M": {-1, 1} <= set(frames), "S": "s" in frames}
    return "".join(letter for letter, there in parts.items() if there)
