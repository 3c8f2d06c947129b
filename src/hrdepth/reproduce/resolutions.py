"""`hrdepth reproduce resolution`: does a network gain more from a higher input resolution than the reference does?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import ReproduceResolutionConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.edges import is_dense
from hrdepth.evaluation.regions import ENLARGED, REGIONS, depth_regions, describe_regions, reduce_truth, set_errors
from hrdepth.evaluation.results import mean_over_images
from hrdepth.io.tables import ResultTable
from hrdepth.paper import row_of
from hrdepth.reproduce.context import Context, open_context
from hrdepth.reproduce.differences import Spread, over_text, paired, spread, spreads_of_pairs, verdict
from hrdepth.reproduce.measure import BY_REGION, MEASURED, MeasuredRow, by_metric, measure_row
from hrdepth.reproduce.provenance_table import RowProvenance, protocol_text, write_results
from hrdepth.truth import GroundTruth

__all__ = ["reproduce_resolution"]

Measured = Mapping[tuple[str, float], MeasuredRow]
"""What was measured, by row and factor of its size."""


def reproduce_resolution(config: ReproduceResolutionConfig) -> list[Path]:
    """Train what is missing if asked to, measure at both resolutions, print the tables, and write them.

    Returns:
        resolution.md, resolution.tex and resolution.json in the folder of results.

    Raises:
        InputError: settings, weights or data that cannot work, or true depth that is not dense.
    """
    if config.weights:
        raise InputError("each resolution needs weights of its own, from RUNS/xFACTOR; omit --weights")
    rows = [row_of(name) for name in (config.reference, config.network)]
    context = open_context(replace(config, rows=["*"]), [row.name for row in rows])
    if context.truths is None or not is_dense(context.truths[0].depth):
        raise InputError("errors by region and resolution need dense true depth, such as a rendered drive's")
    measured: dict[tuple[str, float], MeasuredRow] = {}
    for factor in config.resolutions:
        at = replace(context, config=replace(context.config, resolution=factor, runs=f"{config.runs}/x{factor:g}"))
        measured |= {(row.name, factor): measure_row(row, at) for row in rows}
    gains = _gains(config, measured)
    tables = [_errors(measured, context)]
    if gains:
        tables.append(_differences(gains, config))
    sources = [RowProvenance.of(f"{one.row.label}, x{factor:g}", one) for (_, factor), one in measured.items()]
    networks = [
        {
            "name": name,
            "factor": factor,
            "reason": one.reason or None,
            "mean": by_metric(spread(one.found, config.bootstrap).mean, BY_REGION) if one.found else None,
            "runs": [each.about for each in one.found],
        }
        for (name, factor), one in measured.items()
    ]
    differences = [
        {
            "what": label,
            "over": values.over,
            "seeds": values.seeds,
            "drives": values.drives,
            "mean": by_metric(values.mean, BY_REGION),
            "interval": by_metric(values.interval, BY_REGION),
            "verdict": {name: verdict(values, MEASURED.index(name), len(config.seeds)) for name in BY_REGION},
        }
        for label, spreads in gains.items()
        for values in spreads
    ]
    content = {"networks": networks, "differences": differences}
    return write_results("resolution", tables, sources, content, context, config.format)


def _gains(config: ReproduceResolutionConfig, measured: Measured) -> dict[str, list[Spread]]:
    """Return what a higher resolution changes, as far as all is measured: paired by seed and image, lower is better.

    By label, of each network, and of the network's gain less that of the reference.
    """
    low, high = config.resolutions
    gains = {
        name: paired(measured[name, high].found, measured[name, low].found)
        for name in (config.reference, config.network)
    }
    labelled = {f"{name}: x{high:g} less x{low:g}": gain for name, gain in gains.items()}
    if len(gains) > 1:
        beyond = paired(gains[config.network], gains[config.reference])
        labelled[f"gain of {config.network} less that of {config.reference}"] = beyond
    return {label: spreads_of_pairs(gain, config.bootstrap) for label, gain in labelled.items() if gain}


def _errors(measured: Measured, context: Context) -> ResultTable:
    config, truths = context.config, context.truths
    assert truths is not None
    lines: list[tuple[str, ...]] = []
    sources: dict[str, Callable[[GroundTruth], NDArray[np.float64]]] = {}
    for (_, factor), one in measured.items():
        if not one.found:
            lines.append((f"{one.row.label}, x{factor:g}", "not measured", "", *("" for _ in REGIONS)))
            continue
        height, width = one.found[0].content["size"]
        sources[f"true depth, {width}x{height}"] = partial(reduce_truth, size=(height, width))
        values = spread(one.found, config.bootstrap)
        for how in ENLARGED:
            cells = (values.text(MEASURED.index(f"abs_rel, {region}, {how}"), 4) for region in REGIONS)
            lines.append((f"{one.row.label}, {width}x{height}", f"{len(one.found)}", how, *cells))
    if sources:
        errors, _ = set_errors(truths, lambda truth: depth_regions(truth.depth), sources, config.protocol)
        for (name, how), found in errors.items():
            lines.append((name, "", how, *(f"{mean:.4f}" for mean in mean_over_images(found))))
    return ResultTable(
        ("Abs Rel", "seeds", "enlarged", *REGIONS),
        tuple(lines),
        "Errors by region and resolution",
        f"{truths.description}, {len(truths)} images, {protocol_text(config.protocol)}; 95 % intervals over seeds, "
        f"with one over images. {describe_regions()} True depth, made small and large again, shows what interpolation "
        "alone costs.",
    )


def _differences(gains: Mapping[str, list[Spread]], config: ReproduceResolutionConfig) -> ResultTable:
    lines = []
    for label, spreads in gains.items():
        for region in REGIONS:
            column = MEASURED.index(f"abs_rel, {region}, bilinear")
            for values in spreads:
                low, high = values.interval[column]
                cells = (f"{values.mean[column]:+.4f}", f"[{low:+.4f}, {high:+.4f}]", over_text(values))
                lines.append((label, region, *cells, verdict(values, column, len(config.seeds))))
    return ResultTable(
        ("difference of Abs Rel", "region", "measured", "95 % interval", "over", "verdict"),
        tuple(lines),
        "What a higher resolution changes",
        "Enlarged bilinearly; in pairs of seed and image. Lower is better; undecided: the interval holds 0 or, over "
        "drives, seeds differ in sign.",
    )
