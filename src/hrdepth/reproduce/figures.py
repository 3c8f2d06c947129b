"""`hrdepth reproduce figure4` and `figure5`: the paper's networks on images, through `hrdepth compare`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hrdepth.config import CompareConfig, ReproduceFigureConfig
from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.paper import PaperRow, row_of
from hrdepth.report.compare import compare
from hrdepth.reproduce.context import open_context
from hrdepth.reproduce.plan import network_text, row_mismatch
from hrdepth.reproduce.provenance_table import RowProvenance, describe_shown, figure_content, provenance_table
from hrdepth.reproduce.runs import Weights, shown_weights

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
    weights, about, missing, lines = [], dict[str, dict[str, Any]](), dict[str, str](), []
    for row in map(row_of, FIGURES[name]):
        found, reason = None, "not asked for by --rows"
        if row.name in context.wanted:
            found, reason = shown_weights(row, config, context.given)
        if found is None:
            missing[row.name] = reason
            log.warning("left out of %s: %s: %s", name, row.name, reason)
            lines.append(RowProvenance(row.label, row.name, [], reason))
            continue
        shown = describe_shown(row, found)
        label = _label(row, config, found, shown)
        weights.append(str(found.path))
        about[label] = shown
        lines.append(RowProvenance(label, row.name, [shown], shown["note"]))
    if not weights:
        reasons = "; ".join(f"{row}: {reason}" for row, reason in missing.items())
        raise InputError(f"none of the networks of {name} is there: {reasons}")
    folder = context.folder / name
    settings = CompareConfig(
        weights=weights,
        data=config.data,
        out=str(folder),
        labels=list(about),
        images=config.images,
        count=config.count,
        protocol=config.protocol,
        features=name == "figure5",
        formats=config.formats,
        dpi=config.dpi,
        device=config.device,
        overwrite=config.overwrite or (folder / "compare.json").is_file(),
    )
    written = compare(settings)
    table = provenance_table(lines)
    table.show()
    written.append(table.write(context.folder / f"{name}.md"))
    write_json(context.folder / f"{name}.json", {"figure": name, **figure_content(config, context, about, missing)})
    return [*written, context.folder / f"{name}.json"]


def _label(row: PaperRow, config: ReproduceFigureConfig, found: Weights, shown: Mapping[str, Any]) -> str:
    """Name a network as the paper does, at its size here; another network than the row's by its name, too."""
    what = row.system.removesuffix("(Ours)")
    if row_mismatch(row, config, found.path):
        what += f": {network_text(shown['network']) or 'unknown'}"
    return "{0}, {2}x{1}".format(what, *shown["size"])
