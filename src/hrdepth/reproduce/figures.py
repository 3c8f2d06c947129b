"""`hrdepth reproduce figure4` and `figure5`: the paper's networks on pictures, through `hrdepth compare`."""

from __future__ import annotations

import logging
from pathlib import Path

from hrdepth.config import CompareConfig
from hrdepth.config.reproduction import ReproduceFigureConfig
from hrdepth.errors import InputError
from hrdepth.figures.command import compare
from hrdepth.reproduce.paper import row_of
from hrdepth.reproduce.place import open_place
from hrdepth.reproduce.runs import find_weights, train_missing

__all__ = ["FIGURES", "reproduce_figure"]

log = logging.getLogger(__name__)

# The rows of the tables whose networks stand in a figure; in Figure 5 those with a fusion at the first level.
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
    """Train what is missing if asked to, and draw the networks that are there; return the files.

    Args:
        name: a key of `FIGURES`.
        config: the settings.

    Raises:
        InputError: no pictures with true depth were given, or none of the networks is there.

    Source: paper, Figures 4 and 5.
    """
    rows = [row_of(one) for one in FIGURES[name]]
    place = open_place(config, FIGURES[name])
    if config.data is None:
        raise InputError(f"{name} needs pictures with true depth; give --data.kind and --data.root")
    labels, weights, reasons = [], [], []
    for row in (row for row in rows if row.name in place.wanted):
        if config.train:
            train_missing(row, config, place.given)
        found, reason = find_weights(row, config, place.given)
        if found:
            labels.append(f"{row.system.removesuffix('(Ours)')}, {row.resolution}")
            weights.append(str(found[0].path))
        else:
            reasons.append(f"{row.name}: {reason}")
            log.warning("left out of %s: %s", name, reasons[-1])
    if not weights:
        raise InputError(f"none of the networks of {name} is there: {'; '.join(reasons)}")
    folder = place.folder / name
    settings = CompareConfig(
        weights=weights,
        data=config.data,
        out=str(folder),
        labels=labels,
        pictures=config.pictures,
        count=config.count,
        protocol=config.protocol,
        features=name == "figure5",
        formats=config.formats,
        dpi=config.dpi,
        device=config.device,
        overwrite=config.overwrite or (folder / "compare.json").is_file(),
    )
    return compare(settings)
