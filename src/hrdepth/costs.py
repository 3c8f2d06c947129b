"""The cost of each network, from costs.json: parameters by both ways of counting, and GFLOPs; without PyTorch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrdepth.paper import PaperNetwork, paper_networks

__all__ = ["COSTS", "SIZES", "NetworkSummary", "listing", "stored_summaries"]

COSTS = Path(__file__).with_name("costs.json")
"""Written by `python -m hrdepth.networks.summary`, which counts."""
SIZES = ((192, 640), (320, 1024))
COUNTED = ("name", "options", "parameters", "parameters_as_in_paper", "gflops")


@dataclass(frozen=True)
class NetworkSummary:
    """The cost of a network.

    Attributes:
        name: a key of `NETWORKS`.
        options: that differ from the defaults.
        parameters: those that are used.
        parameters_as_in_paper: with those that the released code builds but never reads: the backbone's classifier
            and some reductions.
        paper_millions: the paper's count, or None.
        gflops: by size (width x height, as in the paper): 1e9 operations per image, a multiply-add counts as
            two; convolutions and matrix products only.
        rows: its rows in the paper's tables, or "".
    """

    name: str
    options: dict[str, Any]
    parameters: int
    parameters_as_in_paper: int
    paper_millions: float | None = None
    gflops: dict[str, float] = field(default_factory=dict)
    rows: str = ""

    def counted(self) -> dict[str, Any]:
        """Return the entry of costs.json: all but what the paper says."""
        return {name: getattr(self, name) for name in COUNTED}


def stored_summaries() -> list[NetworkSummary]:
    """Return the costs of the paper's networks and of all others, as they were counted."""
    papers = {_key(one.network.name, one.network.options): one for one in paper_networks()}
    found = []
    for entry in json.loads(COSTS.read_text(encoding="utf-8"))["networks"]:
        paper: PaperNetwork | None = papers.get(_key(entry["name"], entry["options"]))
        known: dict[str, Any] = {} if paper is None else {"paper_millions": paper.parameters, "rows": paper.citation}
        found.append(NetworkSummary(**entry, **known))
    return found


def listing(found: Sequence[NetworkSummary]) -> Any:
    """Return a table of summaries for the terminal, rich's."""
    from rich.table import Table

    table = Table(
        caption="Parameters that are used, and as in the paper: with the classifier and the reductions that the "
        "released code builds but never reads. GFLOPs: a multiply-add counts as two.",
        caption_justify="left",
        collapse_padding=True,  # room for the last column in a terminal of 80
        pad_edge=False,
    )
    table.add_column("network", no_wrap=True)
    for heading in ("used", "as in\npaper", "paper", *(f"GFLOPs\n{width}x{height}" for height, width in SIZES)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("row of the paper")
    for one in found:
        options = "".join(f"\n  {name}: {value}" for name, value in one.options.items())
        table.add_row(
            one.name + options,
            f"{one.parameters / 1e6:.3f}M",
            f"{one.parameters_as_in_paper / 1e6:.3f}M",
            f"{one.paper_millions:g}M" if one.paper_millions else "",
            *(f"{gflops:.2f}" for gflops in one.gflops.values()),
            one.rows.replace("; ", "\n"),
        )
    return table


def _key(name: str, options: Any) -> str:
    return json.dumps([name, options], sort_keys=True)
