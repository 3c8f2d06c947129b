"""`hrdepth reproduce figure2`: where errors lie, at low and high resolution, by two ways of enlarging."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from hrdepth.config import DepthProtocol, ReproduceRegionsConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.edges import is_dense
from hrdepth.evaluation.predictions import predict_image, read_true_image
from hrdepth.evaluation.regions import (
    REGIONS,
    SPARSE_REGIONS,
    depth_regions,
    describe_regions,
    reduce_truth,
    set_errors,
    sparse_regions,
)
from hrdepth.inference.predictor import Predictor
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow, row_of
from hrdepth.reproduce.context import Context, open_context
from hrdepth.reproduce.differences import Spread, over_seeds
from hrdepth.reproduce.measure import open_predictor
from hrdepth.reproduce.provenance_table import find_shown, missing_rows, protocol_text, shown_content, write_results
from hrdepth.truth import GroundTruth

__all__ = ["draw_regions", "reproduce_figure2"]

Series = Mapping[tuple[str, str], Spread]
"""Abs Rel by region: the source of disparity, and how it is enlarged."""


def reproduce_figure2(config: ReproduceRegionsConfig) -> list[Path]:
    """Measure, print the tables, and write figure2.* and figure2.md, .tex and .json; return the files.

    The figure's rows are `low` and `high`; `rows`, which files of settings have for the tables, is not read.

    Raises:
        InputError: no true depth was given, it is sparse and there is no network to measure, or weights that cannot be
            read.
    """
    context = open_context(replace(config, rows=["*"]), [config.low, config.high])
    truths = context.truths
    if truths is None:
        raise InputError("figure 2 needs true depth, such as a rendered drive's: --data.kind drive --data.root ROOT")
    rows = {"low resolution": _row(config.low, context), "high resolution": _row(config.high, context)}
    shown = find_shown(rows, context, lambda _, which, path, about: "{0}, {2}x{1}".format(which, *about["size"]))
    missing = missing_rows(shown)
    sources: dict[str, Callable[[GroundTruth], NDArray[np.float64]]] = {}
    if dense := is_dense(truths[0].depth):  # sparse depth cannot be reduced and enlarged
        height, width = truths[0].depth.shape
        sizes = [tuple(content["size"]) for one in shown for content in one.contents]
        small = config.low_size or (sizes[0] if sizes else (height // 3, width // 3))
        sources["true depth, {1}x{0}".format(*small)] = partial(reduce_truth, size=small)
    elif len(missing) == len(shown):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise InputError(f"figure 2 with sparse true depth needs a network ({reasons}); give NAME=FILE, or --train")
    for one in shown:
        if one.path is not None:
            sources[one.label] = partial(_predict, open_predictor(one.path, config), config.protocol)
    regions = REGIONS if dense else SPARSE_REGIONS
    errors, share = set_errors(truths, partial(_masks, config, dense), sources, config.protocol)
    series = {key: over_seeds([values], config.bootstrap) for key, values in errors.items()}
    with style():
        drawn = save(draw_regions(series, regions, share), context.folder, "figure2", config.formats)
    data = f"{truths.description}, {len(truths)} images"
    table = _table(series, regions, share, data, missing, config)
    content = {
        "figure": "figure2",
        "series": [
            {
                "source": source,
                "enlarged": how,
                "abs_rel": dict(zip(regions, one.mean.tolist(), strict=True)),
                "interval": {
                    name: ends.tolist() if np.isfinite(ends).all() else None
                    for name, ends in zip(regions, one.interval, strict=True)
                },
            }
            for (source, how), one in series.items()
        ],
        "share_of_pixels": dict(zip(regions, share.tolist(), strict=True)),
        "gradient": config.gradient,
        **({"edge_width": config.edge_width} if dense else {"image_gradient": config.image_gradient}),
        "images": len(truths),
        **shown_content(shown),
    }
    return [*drawn, *write_results("figure2", [table], shown, content, context, config.format)]


def _row(name: str, context: Context) -> PaperRow:
    """Return the paper's row; given weights may go by a name that none has."""
    try:
        return row_of(name)
    except InputError:
        if name in context.given:
            return PaperRow(name, name, "", "", "", {})
        raise


def _predict(predictor: Predictor, protocol: DepthProtocol, truth: GroundTruth) -> NDArray[np.float64]:
    found = predict_image(predictor.scaled_disparity, truth, protocol, predictor.canonical_focal)
    return np.asarray(found, dtype=np.float64)


def _masks(config: ReproduceRegionsConfig, dense: bool, truth: GroundTruth) -> Mapping[str, NDArray[np.bool_]]:
    if dense:
        return depth_regions(truth.depth, config.gradient, config.edge_width)
    height, width = truth.depth.shape
    grey = read_true_image(truth).convert("L").resize((width, height), Image.Resampling.BILINEAR)
    brightness = np.asarray(grey, dtype=np.float64) / 255
    return sparse_regions(truth.depth, brightness, config.gradient, config.image_gradient)


def draw_regions(series: Series, regions: Sequence[str], share: NDArray[np.float64]) -> Figure:
    """Draw Abs Rel as bars with intervals: regions in groups, a colour a source, hatched where by the nearest pixel."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    sources = list(dict.fromkeys(source for source, _ in series))
    width = 0.8 / len(series)
    places = np.arange(len(regions))
    for number, ((source, how), one) in enumerate(series.items()):
        middle = places + (number - (len(series) - 1) / 2) * width
        axes.bar(
            middle,
            one.mean,
            width,
            yerr=np.abs(one.interval.T - one.mean),
            error_kw={"linewidth": 0.6},
            color=colour(sources.index(source)),
            alpha=1.0 if how == "bilinear" else 0.5,
            hatch="" if how == "bilinear" else "///",
            label=f"{source}, {how}",
        )
    axes.set_xticks(places, [f"{name}\n{part:.0%} of pixels" for name, part in zip(regions, share, strict=True)])
    axes.set(ylabel="Abs Rel", ylim=(0, None))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _table(
    series: Series,
    regions: Sequence[str],
    share: NDArray[np.float64],
    data: str,
    missing: Mapping[str, str],
    config: ReproduceRegionsConfig,
) -> ResultTable:
    rows: list[tuple[str, ...]] = [("share of pixels", "", *(f"{part:.1%}" for part in share))]
    rows += [(*key, *(one.text(column, 4) for column in range(len(regions)))) for key, one in series.items()]
    rows += [(name, "not measured", *("" for _ in regions)) for name in missing]
    described = (
        describe_regions(config.gradient, config.edge_width)
        if regions == REGIONS
        else f"High gradient: jumps of {config.gradient:.0%} a pixel between neighbouring points; high image gradient: "
        f"of {config.image_gradient:.0%} of the range of brightness to a neighbour; near edges: depths around the "
        "point differ by more than a factor of 1.5."
    )
    return ResultTable(
        ("Abs Rel", "enlarged", *regions),
        tuple(rows),
        "Figure 2. Where errors lie",
        f"{data}, {protocol_text(config.protocol)}, with 95 % intervals over images. {described}"
        + "".join(f"\nnot measured: {name}: {reason}" for name, reason in missing.items()),
    )
