"""Which network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ModelsConfig", "NetworkConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """A network by name.

    Attributes:
        name: a key of `networks.NETWORKS` (or of `POSE_NETWORKS`).
        options: arguments of that network, such as `backbone`, `weights`, `normalisation`, `min_depth`, `max_depth`;
            of `hrdepth` also `skip`, `fusion`, `fse_reduction`.
    """

    name: str = "hrdepth"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelsConfig:
    """How to list the networks.

    Attributes:
        json: print JSON instead of a table.
    """

    json: bool = False
