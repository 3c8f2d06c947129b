"""`hrdepth reproduce figure4` and `figure5`: the paper's networks on images, through `hrdepth compare`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hrdepth.config import CompareConfig, ReproduceFigureConfig
from hrdepth.errors import InputError
from hrdepth.paper import PaperRow, row_of
from hrdepth.report.compare import compare
from hrdepth.reproduce.context import open_context
from hrdepth.reproduce.plan import network_text, row_mismatch
from hrdepth.reproduce.provenance_table import find_shown, missing_rows, shown_content, write_results

__all__ = ["FIGURES", "reproduce_figure"]

log = logging.getLogger(__name__)

# The rows whose networks a figure shows; in Figure 5 those with a fusion at the first level.
FIGURES = {
    "figure4": (
        "kitti-monodepth2-m-1024x320",
        "packnet-m-1280x384",
        "kitti-hrdepth-m-1024x320",
        "kitti-lite-hrdepth-m-1024x320",
    ),
    "figure5": ("kitti-hrdepth-m-1024x320", "kitti-monodepth2-m-1024x320"),
}


def reproduce_figure(name: str, config: ReproduceFigureConfig) -> list[Path]:
    """Train what is missing if asked to, draw the networks that are there, and list them; return the files.

    NAME.md and NAME.json in the folder of results have the weights behind each label, and why others are left out.

    Raises:
        InputError: no images with true depth were given, or none of the networks is there.

    Source: paper, Figures 4 and 5.
    """
    context = open_context(config, FIGURES[name])
    if config.data is None:
        raise InputError(f"{name} needs images with true depth; give --data.kind and --data.root")
    shown = find_shown({row.label: row for row in map(row_of, FIGURES[name])}, context, partial(_label, config))
    missing = missing_rows(shown)
    for row, reason in missing.items():
        log.warning("left out of %s: %s: %s", name, row, reason)
    paths = {one.label: str(one.path) for one in shown if one.path}
    if not paths:
        reasons = "; ".join(f"{row}: {reason}" for row, reason in missing.items())
        raise InputError(f"none of the networks of {name} is there: {reasons}")
    settings = CompareConfig(
        weights=[*paths.values()],
        data=config.data,
        out=str(context.folder / name),
        labels=[*paths],
        images=config.images,
        count=config.count,
        protocol=config.protocol,
        features=name == "figure5",
        formats=config.formats,
        dpi=config.dpi,
        device=config.device,
        overwrite=True,  # it belongs to the folder of results, also where a killed command left half of it
    )
    drawn = compare(settings)
    content = {"figure": name, **shown_content(shown)}
    return [*drawn, *write_results(name, [], shown, content, context, suffixes=[".md"])]


def _label(config: ReproduceFigureConfig, row: PaperRow, _: str, path: Path, about: Mapping[str, Any]) -> str:
    """Name a network as the paper does, at its size here; another network than the row's by its name, too."""
    what = row.system.removesuffix("(Ours)")
    if row_mismatch(row, config, path):
        what += f": {network_text(about['network']) or 'unknown'}"
    return "{0}, {2}x{1}".format(what, *about["size"])
