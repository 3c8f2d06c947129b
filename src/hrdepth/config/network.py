"""Which network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["NetworkConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """A network by name.

    Attributes:
        name: a key of `networks.NETWORKS` (or of `POSE_NETWORKS`).
        options: arguments of that network, such as `backbone`, `weights`, `fse_reduction`, `min_depth`, `max_depth`.
    """

    name: str = "hrdepth"
    options: dict[str, Any] = field(default_factory=dict)
