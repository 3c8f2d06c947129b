"""Which network a file of weights holds, and whether it is the one of the row that it stands for."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hrdepth.config import NetworkConfig, ReproduceConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.source import SUFFIXES, open_source
from hrdepth.networks import NETWORKS
from hrdepth.paper import PaperRow
from hrdepth.reproduce.plan import plan_training
from hrdepth.weights.tensor_files import read_metadata

__all__ = ["HeldNetwork", "held_network", "network_text", "unlike", "unlike_row"]


@dataclass(frozen=True)
class HeldNetwork:
    """What a file of weights says of its network.

    Attributes:
        config: name and options; None of an exported file that does not say.
        size: (height, width) in pixels of its input.
    """

    config: NetworkConfig | None
    size: tuple[int, int]

    @property
    def content(self) -> dict[str, Any] | None:
        """Name and options, as JSON holds them."""
        return None if self.config is None else asdict(self.config)


def held_network(path: Path) -> HeldNetwork:
    """Read what a file of weights or an exported file says of its network, without the tensors of the former.

    Raises:
        InputError: it is neither, or damaged.
    """
    try:
        if path.suffix in SUFFIXES:
            described = open_source(path).description
            network, size = described.network, described.size
        else:
            metadata = read_metadata(path)
            network, size = json.loads(metadata["network"]), json.loads(metadata["size"])
        height, width = size
        return HeldNetwork(NetworkConfig(**network) if network else None, (int(height), int(width)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a weights file of hrdepth, or its metadata is damaged; published files are converted by "
            "`hrdepth import-weights`"
        ) from error


def unlike_row(row: PaperRow, config: ReproduceConfig, path: Path) -> str:
    """Say in what the network of a file is not that of the row's own config; "" where it is, or nothing tells."""
    try:
        wanted = plan_training(replace(config, training={}), row).config.network
    except InputError:  # no config to compare with
        return ""
    return unlike(wanted, path)


def unlike(wanted: NetworkConfig, path: Path) -> str:
    """Say in what the network of a file is not the one that a row wants; "" where it is."""
    held = held_network(path).config
    if held is None:
        return "the file does not say which network it holds"
    if held.name != wanted.name:
        return f"its network is {held.name}, not the row's {wanted.name}"
    ours, theirs = _options(held), _options(wanted)
    others = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
    return f"its network has other options than the row's: {', '.join(others)}" if others else ""


def network_text(network: Mapping[str, Any] | None) -> str:
    """Write name and options of a network, as a measurement keeps them, for a table.

    Example:
        >>> network_text({"name": "hrdepth", "options": {"fusion": "conv"}})
        'hrdepth (fusion: conv)'
    """
    if network is None:
        return ""
    options = ", ".join(f"{name}: {value}" for name, value in network["options"].items())
    return f"{network['name']} ({options})" if options else str(network["name"])


def _options(network: NetworkConfig) -> dict[str, Any]:
    """Return all options with their defaults, but for where the weights started."""
    kind = NETWORKS.get(network.name)
    known = {} if kind is None else inspect.signature(kind).parameters
    options = {name: one.default for name, one in known.items()} | network.options
    options.pop("weights", None)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
