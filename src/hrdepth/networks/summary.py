"""The cost of each network: parameters by both ways of counting, and GFLOPs at the paper's two common sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from rich.table import Table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hrdepth.config import NetworkConfig
from hrdepth.networks import NETWORKS, build_network
from hrdepth.paper import PaperNetwork, paper_networks

__all__ = ["NetworkSummary", "listing", "summaries", "summarise"]

SIZES = ((192, 640), (320, 1024))


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

    def as_dict(self) -> dict[str, Any]:
        """Return the entry that `hrdepth models --json` prints."""
        return asdict(self)


def summaries() -> list[NetworkSummary]:
    """Summarise the networks of the paper and all others in `NETWORKS`, on the meta device: in seconds."""
    listed = {one.network.name for one in paper_networks()}
    return [
        *(summarise(one.network, one) for one in paper_networks()),
        *(summarise(NetworkConfig(name)) for name in NETWORKS if name not in listed),
    ]


def summarise(
    config: NetworkConfig, paper: PaperNetwork | None = None, sizes: Sequence[tuple[int, int]] = SIZES
) -> NetworkSummary:
    """Count a network's parameters, and its operations at each of `sizes`, on PyTorch's meta device.

    Raises:
        InputError: as `build_network`.

    Example:
        >>> summarise(NetworkConfig("lite_hrdepth")).parameters
        3109964
    """
    with torch.device("meta"):
        network = build_network(config).eval()
    gflops = {}
    for height, width in sizes:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, height, width, device="meta"))
        gflops[f"{width}x{height}"] = counter.get_total_flops() / 1e9
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return NetworkSummary(
        config.name,
        dict(config.options),
        parameters,
        parameters + sum(_unread(module) for module in network.children()),
        paper.parameters if paper else None,
        gflops,
        paper.citation if paper else "",
    )


def listing(found: Sequence[NetworkSummary]) -> Table:
    """Return a table of summaries for the terminal."""
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


def _unread(module: nn.Module) -> int:
    """Return the number of parameters that the published form of an encoder or decoder has besides the used ones."""
    count = getattr(module, "unread_parameters", None)
    return int(count()) if callable(count) else 0
