"""Count a network's parameters and operations; `python -m hrdepth.networks.summary` writes all into costs.json."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hrdepth.config import NetworkConfig
from hrdepth.costs import COSTS, SIZES, NetworkSummary
from hrdepth.io.files import write_json
from hrdepth.networks import NETWORKS, build_network
from hrdepth.networks.blocks import without_memory
from hrdepth.paper import PaperNetwork, paper_networks

__all__ = ["summaries", "summarise"]


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
    with without_memory():
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


def _unread(module: nn.Module) -> int:
    """Return the number of parameters that the published form of an encoder or decoder has besides the used ones."""
    count = getattr(module, "unread_parameters", None)
    return int(count()) if callable(count) else 0


if __name__ == "__main__":
    write_json(COSTS, {"networks": [one.counted() for one in summaries()]})
    print(COSTS)
