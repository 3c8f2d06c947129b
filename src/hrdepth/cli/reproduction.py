"""The paper's tables and figures."""

from __future__ import annotations

import sys
from pathlib import Path

from hrdepth.config import ReproduceFigureConfig, ReproduceRegionsConfig, ReproduceTableConfig

__all__ = [
    "reproduce_figure2",
    "reproduce_figure4",
    "reproduce_figure5",
    "reproduce_table1",
    "reproduce_table2",
    "reproduce_table3",
    "reproduce_table4",
]


def reproduce_table1(config: ReproduceTableConfig) -> None:
    """Reproduce Table 1: Monodepth2 at two resolutions."""
    _reproduce_table("table1", config)


def reproduce_table2(config: ReproduceTableConfig) -> None:
    """Reproduce Table 2: HR-Depth beside other systems on KITTI."""
    _reproduce_table("table2", config)


def reproduce_table3(config: ReproduceTableConfig) -> None:
    """Reproduce Table 3: Lite-HR-Depth, without and with a teacher."""
    _reproduce_table("table3", config)


def reproduce_table4(config: ReproduceTableConfig) -> None:
    """Reproduce Table 4: what dense skips and fSE each bring."""
    _reproduce_table("table4", config)


def _reproduce_table(name: str, config: ReproduceTableConfig) -> None:
    from hrdepth.reproduce.table import reproduce_table as run

    _print_files(run(name, config))


def reproduce_figure2(config: ReproduceRegionsConfig) -> None:
    """Reproduce Figure 2: where errors lie, at low and high resolution."""
    from hrdepth.reproduce.figure2 import reproduce_figure2 as run

    _print_files(run(config))


def reproduce_figure4(config: ReproduceFigureConfig) -> None:
    """Reproduce Figure 4: networks beside each other on images."""
    from hrdepth.reproduce.figures import reproduce_figure as run

    _print_files(run("figure4", config))


def reproduce_figure5(config: ReproduceFigureConfig) -> None:
    """Reproduce Figure 5: feature maps at the first level."""
    from hrdepth.reproduce.figures import reproduce_figure as run

    _print_files(run("figure5", config))


def _print_files(paths: list[Path]) -> None:
    print("\n".join(map(str, paths)), file=sys.stderr)
