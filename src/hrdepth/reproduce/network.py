"""Which network a weights file holds, and how it differs from the row's."""

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

__all__ = ["StoredNetwork", "network_mismatch", "network_text", "row_mismatch", "stored_network"]


@dataclass(frozen=True)
class StoredNetwork:
    """The network of a weights file.

    Attributes:
        config: name and options; None for an exported file without them.
        size: (height, width) in pixels of its input.
    """

    config: NetworkConfig | None
    size: tuple[int, int]

    @property
    def content(self) -> dict[str, Any] | None:
        """Name and options, as JSON holds them."""
        return None if self.config is None else asdict(self.config)


def stored_network(path: Path) -> StoredNetwork:
    """Read which network a weights file or an exported file holds, without its tensors.

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
        return StoredNetwork(NetworkConfig(**network) if network else None, (int(height), int(width)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a weights file of hrdepth, or its metadata is damaged; published files are converted by "
            "`hrdepth import-weights`"
        ) from error


def row_mismatch(row: PaperRow, config: ReproduceConfig, path: Path) -> str:
    """Describe how the file's network differs from that of the row's config, or return ""."""
    try:
        wanted = plan_training(replace(config, training={}), row).config.network
    except InputError:  # no config to compare with
        return ""
    return network_mismatch(wanted, path)


def network_mismatch(wanted: NetworkConfig, path: Path) -> str:
    """Describe how the file's network differs from the expected one, or return ""."""
    stored = stored_network(path).config
    if stored is None:
        return "the file does not name its network"
    if stored.name != wanted.name:
        return f"its network is {stored.name}, not the row's {wanted.name}"
    own, expected = _options(stored), _options(wanted)
    others = [name for name in own | expected if own.get(name) != expected.get(name)]
    return f"its network has other options than the row's: {', '.join(others)}" if others else ""


def network_text(network: Mapping[str, Any] | None) -> str:
    """Format name and options of a network for a table.

    Example:
        >>> network_text({"name": "hrdepth", "options": {"fusion": "conv"}})
        'hrdepth (fusion: conv)'
    """
    if network is None:
        return ""
    options = ", ".join(f"{name}: {value}" for name, value in network["options"].items())
    return f"{network['name']} ({options})" if options else str(network["name"])


def _options(network: NetworkConfig) -> dict[str, Any]:
    """Return all options with their defaults, without the backbone's first weights."""
    kind = NETWORKS.get(network.name)
    known = {} if kind is None else inspect.signature(kind).parameters
    options = {name: one.default for name, one in known.items()} | network.options
    options.pop("weights", None)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
