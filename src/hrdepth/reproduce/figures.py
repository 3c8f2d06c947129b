"""`hrdepth reproduce figure4` and `figure5`: the paper's networks on images, through `hrdepth compare`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hrdepth.config import CompareConfig, ReproduceFigureConfig
from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.paper import PaperRow, row_of
from hrdepth.report.compare import compare
from hrdepth.reproduce.measure import open_context
from hrdepth.reproduce.plan import network_text, row_mismatch
from hrdepth.reproduce.provenance_table import ShownNetworks, provenance_table

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

    Args:
        name: a key of `FIGURES`.
        config: the settings.

    Raises:
        InputError: no images with true depth were given, or none of the networks is there.

    Source: paper, Figures 4 and 5.
    """
    context = open_context(config, FIGURES[name])
    if config.data is None:
        raise InputError(f"{name} needs images with true depth; give --data.kind and --data.root")
    shown, weights = ShownNetworks(config, context), []
    for row in map(row_of, FIGURES[name]):
        path = shown.find(row, row.label, partial(_label, row, config))
        if path is None:
            log.warning("left out of %s: %s: %s", name, row.name, shown.missing[row.name])
        else:
            weights.append(str(path))
    if not weights:
        reasons = "; ".join(f"{row}: {reason}" for row, reason in shown.missing.items())
        raise InputError(f"none of the networks of {name} is there: {reasons}")
    folder = context.folder / name
    settings = CompareConfig(
        weights=weights,
        data=config.data,
        out=str(folder),
        labels=list(shown.about),
        images=config.images,
        count=config.count,
        protocol=config.protocol,
        features=name == "figure5",
        formats=config.formats,
        dpi=config.dpi,
        device=config.device,
        overwrite=True,  # it belongs to the folder of results, also where a killed command left half of it
    )
    written = compare(settings)
    table = provenance_table(shown.rows)
    written.append(table.write(context.folder / f"{name}.md"))
    write_json(context.folder / f"{name}.json", {"figure": name, **shown.content()})
    table.show()
    return [*written, context.folder / f"{name}.json"]


def _label(row: PaperRow, config: ReproduceFigureConfig, path: Path, shown: Mapping[str, Any]) -> str:
    """Name a network as the paper does, at its size here; another network than the row's by its name, too."""
    what = row.system.removesuffix("(Ours)")
    if row_mismatch(row, config, path):
        what += f": {network_text(shown['network']) or 'unknown'}"
    return "{0}, {2}x{1}".format(what, *shown["size"])
