"""`hrdepth reproduce figure2`: errors by region, as table and plot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hrdepth.config import ReproduceRegionsConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import valid_pixels
from hrdepth.evaluation.results import bootstrap_intervals
from hrdepth.evaluation.run import predict_image
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import write_json
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow, row_of
from hrdepth.reproduce.context import ReproductionContext, open_context
from hrdepth.reproduce.provenance_table import (
    RowProvenance,
    describe_shown,
    figure_content,
    protocol_text,
    provenance_table,
    write_tables,
)
from hrdepth.reproduce.regions import ENLARGED, REGIONS, depth_regions, enlarge, reduce_truth, region_errors
from hrdepth.reproduce.runs import shown_weights

__all__ = ["Series", "draw_regions", "reproduce_figure2"]


@dataclass(frozen=True, eq=False)
class Series:
    """Abs Rel by region of one source of disparity, enlarged in one way.

    Attributes:
        source: what it is of.
        enlarged: one of `ENLARGED`.
        values: (images, regions), NaN where an image has none of a region.
        interval: 95 % over images (regions,2).
    """

    source: str
    enlarged: str
    values: NDArray[np.float64]
    interval: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Over the images that have a region (regions)."""
        counts = np.isfinite(self.values).sum(axis=0)
        return np.where(counts, np.nansum(self.values, axis=0) / np.maximum(counts, 1), np.nan)


def reproduce_figure2(config: ReproduceRegionsConfig) -> list[Path]:
    """Measure, print the tables, and write figure2.* and figure2.md, .tex and .json; return the files.

    The figure's rows are `low` and `high`; `rows`, which files of settings have for the tables, is not read.

    Raises:
        InputError: no true depth was given or it is not dense, or weights that cannot be read.
    """
    context = open_context(replace(config, rows=["*"]), [config.low, config.high])
    truths = context.truths
    if truths is None or config.data is None:
        raise InputError(
            "figure 2 needs dense true depth, such as a rendered drive's: --data.kind drive --data.root ROOT"
        )
    sources, about, missing, used = _networks(config, context)
    sizes = [one.size for one in sources.values()]
    shares, errors = [], dict[tuple[str, str], list[list[float]]]()
    for truth in truths:
        masks = depth_regions(truth.depth, config.gradient, config.edge_width)
        compared = valid_pixels(truth.depth, config.protocol)
        shares.append([float((masks[name] & compared).sum() / max(1, compared.sum())) for name in REGIONS])
        height, width = truth.depth.shape
        small_size = config.low_size or (sizes[0] if sizes else (height // 3, width // 3))
        small = {"true depth, {1}x{0}".format(*small_size): reduce_truth(truth.depth, small_size)}
        for name, predictor in sources.items():
            predicted = predict_image(predictor.scaled_disparity, truth, config.protocol, predictor.canonical_focal)
            small[name] = np.asarray(predicted, dtype=np.float64)
        for name, disparity in small.items():
            for how in ENLARGED:
                full = enlarge(disparity, (height, width), how)
                found = region_errors(truth.depth, full, masks, config.protocol)
                errors.setdefault((name, how), []).append([found[region] for region in REGIONS])
    series = [
        Series(name, how, np.array(rows), bootstrap_intervals(np.array(rows), config.bootstrap))
        for (name, how), rows in errors.items()
    ]
    share = np.mean(shares, axis=0)
    tables = [
        _table(series, share, f"{truths.description}, {len(truths)} images", missing, config),
        provenance_table(used),
    ]
    for table in tables:
        table.show(config.format)
    with style():
        written = save(draw_regions(series, share), context.folder, "figure2", config.formats)
    written += write_tables(context.folder / "figure2", tables)
    content = {
        "figure": "figure2",
        "series": [_content(one) for one in series],
        "share_of_pixels": dict(zip(REGIONS, share.tolist(), strict=True)),
        "gradient": config.gradient,
        "edge_width": config.edge_width,
        "images": len(truths),
        **figure_content(config, context, about, missing),
    }
    write_json(context.folder / "figure2.json", content)
    return [*written, context.folder / "figure2.json"]


def draw_regions(series: list[Series], share: NDArray[np.float64]) -> Figure:
    """Draw Abs Rel as bars with intervals: regions in groups, a colour a source, hatched where by the nearest pixel."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    sources = list(dict.fromkeys(one.source for one in series))
    width = 0.8 / len(series)
    places = np.arange(len(REGIONS))
    for number, one in enumerate(series):
        middle = places + (number - (len(series) - 1) / 2) * width
        ends = np.abs(one.interval.T - one.mean)
        axes.bar(
            middle,
            one.mean,
            width,
            yerr=ends,
            error_kw={"linewidth": 0.6},
            color=colour(sources.index(one.source)),
            alpha=1.0 if one.enlarged == "bilinear" else 0.5,
            hatch="" if one.enlarged == "bilinear" else "///",
            label=f"{one.source}, {one.enlarged}",
        )
    axes.set_xticks(places, [f"{name}\n{part:.0%} of pixels" for name, part in zip(REGIONS, share, strict=True)])
    axes.set(ylabel="Abs Rel", ylim=(0, None))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _networks(
    config: ReproduceRegionsConfig, context: ReproductionContext
) -> tuple[dict[str, Predictor], dict[str, dict[str, Any]], dict[str, str], list[RowProvenance]]:
    """Return the networks that are there, their descriptions, why others are missing, and all rows' provenance."""
    sources, about, missing = dict[str, Predictor](), dict[str, dict[str, Any]](), dict[str, str]()
    used = []
    for which, name in (("low resolution", config.low), ("high resolution", config.high)):
        row = _row(name, context)
        found, reason = shown_weights(row, config, context.given)
        if found is None:
            missing[name] = reason
            used.append(RowProvenance(which, name, [], reason))
            continue
        predictor = Predictor.from_file(found.path, device=config.device, runtime=config.runtime)
        label = f"{which}, {predictor.size[1]}x{predictor.size[0]}"
        sources[label] = predictor
        about[label] = describe_shown(row, found)
        used.append(RowProvenance(label, name, [about[label]], about[label]["note"]))
    return sources, about, missing, used


def _row(name: str, context: ReproductionContext) -> PaperRow:
    """Return the paper's row; given weights may go by a name that none has."""
    try:
        return row_of(name)
    except InputError:
        if name in context.given:
            return PaperRow(name, name, "", "", "", {})
        raise


def _table(
    series: list[Series], share: NDArray[np.float64], data: str, missing: dict[str, str], config: ReproduceRegionsConfig
) -> ResultTable:
    rows: list[tuple[str, ...]] = [("share of pixels", "", *(f"{part:.1%}" for part in share))]
    for one in series:
        cells = [
            f"{mean:.4f} [{low:.4f}, {high:.4f}]" for mean, (low, high) in zip(one.mean, one.interval, strict=True)
        ]
        rows.append((one.source, one.enlarged, *cells))
    rows += [(name, "not measured", *("" for _ in REGIONS)) for name in missing]
    return ResultTable(
        ("Abs Rel", "enlarged", *REGIONS),
        tuple(rows),
        "Figure 2. Where errors lie",
        f"{data}, {protocol_text(config.protocol)}, with 95 % intervals over images. "
        f"High gradient: jumps of {config.gradient:.0%} to a neighbour; "
        f"edges: within {config.edge_width} pixels of one."
        + "".join(f"\nnot measured: {name}: {reason}" for name, reason in missing.items()),
    )


def _content(one: Series) -> dict[str, Any]:
    def by_region(values: NDArray[np.float64]) -> dict[str, Any]:
        kept = [None if np.isnan(value).any() else value.tolist() for value in values]
        return dict(zip(REGIONS, kept, strict=True))

    return {"source": one.source, "enlarged": one.enlarged, "abs_rel": by_region(one.mean),
            "interval": by_region(one.interval)}  # fmt: skip
