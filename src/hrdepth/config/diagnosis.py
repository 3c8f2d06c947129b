"""Why a training fails."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DiagnoseConfig"]


@dataclass(frozen=True)
class DiagnoseConfig:
    """A run to look into.

    Attributes:
        run: its folder, as `hrdepth train` left it; the data must lie where they did.
    """

    run: str
