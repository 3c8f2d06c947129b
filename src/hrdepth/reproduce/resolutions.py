"""`hrdepth reproduce resolution`: does a network gain more from a higher input resolution than the reference does?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import ReproduceResolutionConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.edges import is_dense
from hrdepth.evaluation.results import mean_over_images
from hrdepth.io.files import write_json
from hrdepth.io.tables import ResultTable
from hrdepth.paper import row_of
from hrdepth.reproduce.differences import ONE_SEED, Spread, over_drives, over_seeds, over_text, spread
from hrdepth.reproduce.measure import (
    BY_REGION,
    EDGE_WIDTH,
    GRADIENT,
    MEASURED,
    Measurement,
    ReproductionContext,
    open_context,
)
from hrdepth.reproduce.provenance_table import (
    RowProvenance,
    protocol_text,
    provenance_table,
    row_note,
    shared_content,
    write_tables,
)
from hrdepth.reproduce.regions import ENLARGED, REGIONS, depth_regions, enlarged_errors, reduce_truth
from hrdepth.reproduce.rows import MeasuredRow, measure_row

__all__ = ["reproduce_resolution"]

STEM = "resolution"


@dataclass(frozen=True)
class _Gain:
    """What a higher resolution changes, or how two networks differ in that: paired by seed and image.

    Attributes:
        label: of the network, or of the difference.
        pairs: by seed, differences (N,M) of `MEASURED`; lower is better.
        images: names of the N images.
    """

    label: str
    pairs: Sequence[NDArray[np.float64]]
    images: Sequence[str]


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
        at = replace(config, resolution=factor, runs=f"{config.runs}/x{factor:g}")
        measured |= {(row.name, factor): measure_row(row, at, context) for row in rows}
    gains = _gains(config, {key: one.found for key, one in measured.items()})
    labels = {row.name: row.label for row in rows}
    tables = [_errors(measured, labels, context, config)]
    if gains:
        tables.append(_differences(gains, config))
    provenances = [
        RowProvenance(
            f"{labels[name]}, x{factor:g}", name, [each.content for each in one.found],
            row_note(row_of(name), [each.content for each in one.found], one.reason) if one.found else one.reason,
        )
        for (name, factor), one in measured.items()
    ]  # fmt: skip
    tables.append(provenance_table(provenances))
    written = write_tables(context.folder / STEM, tables)
    write_json(context.folder / f"{STEM}.json", _content(measured, gains, config, context))
    for one in tables:
        one.show(config.format)
    return [*written, context.folder / f"{STEM}.json"]


def _gains(config: ReproduceResolutionConfig, found: Mapping[tuple[str, float], Sequence[Measurement]]) -> list[_Gain]:
    """Return the gain of each network, and the network's beyond the reference's, as far as all is measured."""
    low, high = config.resolutions
    changes: dict[str, dict[int | None, NDArray[np.float64]]] = {}
    images: list[str] = []
    for name in (config.reference, config.network):
        before, after = ({one.content["seed"]: one for one in found[name, factor]} for factor in (low, high))
        for seed in before.keys() & after.keys():
            images = list(before[seed].content["pictures"])
            changes.setdefault(name, {})[seed] = after[seed].values - before[seed].values
    gains = [_Gain(f"{name}: x{high:g} less x{low:g}", list(of.values()), images) for name, of in changes.items()]
    if len(changes) == 2:
        ours, reference = changes[config.network], changes[config.reference]
        if seeds := sorted(ours.keys() & reference.keys(), key=str):
            beyond = [ours[seed] - reference[seed] for seed in seeds]
            gains.append(_Gain(f"gain of {config.network} less that of {config.reference}", beyond, images))
    return gains


def _errors(
    measured: Mapping[tuple[str, float], MeasuredRow],
    labels: Mapping[str, str],
    context: ReproductionContext,
    config: ReproduceResolutionConfig,
) -> ResultTable:
    lines: list[tuple[str, ...]] = []
    sizes: dict[tuple[int, int], None] = {}
    for (name, factor), one in measured.items():
        if not one.found:
            lines.append((f"{labels[name]}, x{factor:g}", "not measured", "", *("" for _ in REGIONS)))
            continue
        height, width = one.found[0].content["size"]
        sizes[height, width] = None
        values = spread(one.found, config.bootstrap)
        for how in ENLARGED:
            cells = (_interval(values, MEASURED.index(f"abs_rel, {region}, {how}")) for region in REGIONS)
            lines.append((f"{labels[name]}, {width}x{height}", f"{len(one.found)}", how, *cells))
    for size in sizes:
        for how, errors in _interpolation(context, size, config).items():
            lines.append(("true depth, {1}x{0}".format(*size), "", how, *(f"{one:.4f}" for one in errors)))
    assert context.truths is not None
    return ResultTable(
        ("Abs Rel", "seeds", "enlarged", *REGIONS),
        tuple(lines),
        "Errors by region and resolution",
        f"{context.truths.description}, {len(context.truths)} images, {protocol_text(config.protocol)}; 95 % intervals "
        f"over seeds, with one over images. High gradient: jumps of {GRADIENT:.0%} to a neighbour; edges: within "
        f"{EDGE_WIDTH} pixels of one. True depth, made small and large again, shows what interpolation alone costs.",
    )


def _interpolation(
    context: ReproductionContext, size: tuple[int, int], config: ReproduceResolutionConfig
) -> dict[str, list[float]]:
    errors: dict[str, list[list[float]]] = {how: [] for how in ENLARGED}
    for truth in context.truths or ():
        masks, small = depth_regions(truth.depth, GRADIENT, EDGE_WIDTH), reduce_truth(truth.depth, size)
        for how, found in enlarged_errors(truth.depth, small, masks, config.protocol).items():
            errors[how].append([found[region] for region in REGIONS])
    return {how: mean_over_images(np.array(rows)).tolist() for how, rows in errors.items()}


def _differences(gains: Sequence[_Gain], config: ReproduceResolutionConfig) -> ResultTable:
    lines = []
    for gain in gains:
        for region in REGIONS:
            column = MEASURED.index(f"abs_rel, {region}, bilinear")
            for values in _spreads(gain, config):
                low, high = values.interval[column]
                cells = (f"{values.mean[column]:+.4f}", f"[{low:+.4f}, {high:+.4f}]", over_text(values))
                lines.append((gain.label, region, *cells, _verdict(gain, column, values, config)))
    return ResultTable(
        ("difference of Abs Rel", "region", "measured", "95 % interval", "over", "verdict"),
        tuple(lines),
        "What a higher resolution changes",
        "Enlarged bilinearly; in pairs of seed and image. Lower is better; undecided: the interval holds 0 or, over "
        "drives, seeds differ in sign.",
    )


def _spreads(gain: _Gain, config: ReproduceResolutionConfig) -> list[Spread]:
    return [*filter(None, (over_seeds(gain.pairs, config.bootstrap), over_drives(gain.pairs, gain.images)))]


def _verdict(gain: _Gain, column: int, values: Spread, config: ReproduceResolutionConfig) -> str:
    if len(gain.pairs) == 1 and len(config.seeds) > 1:
        return ONE_SEED
    low, high = values.interval[column]
    if not np.isfinite((low, high)).all():
        return ""  # too few images have such a region
    signs = {float(np.sign(mean_over_images(one)[column])) for one in gain.pairs}
    if low <= 0 <= high or (values.over == "drives" and len(signs) > 1):
        return "undecided"
    return "better" if high < 0 else "worse"


def _interval(values: Spread, column: int) -> str:
    low, high = values.interval[column]
    return f"{values.mean[column]:.4f} [{low:.4f}, {high:.4f}]"


def _content(
    measured: Mapping[tuple[str, float], MeasuredRow],
    gains: Sequence[_Gain],
    config: ReproduceResolutionConfig,
    context: ReproductionContext,
) -> dict[str, Any]:
    def by_region(values: NDArray[np.float64]) -> dict[str, Any]:
        found = {name: values[MEASURED.index(name)] for name in BY_REGION}
        return {name: one.tolist() if np.isfinite(one).all() else None for name, one in found.items()}

    networks = [
        {
            "name": name,
            "factor": factor,
            "reason": one.reason or None,
            "mean": by_region(spread(one.found, config.bootstrap).mean) if one.found else None,
            "runs": [{key: value for key, value in each.content.items() if key != "pictures"} for each in one.found],
        }
        for (name, factor), one in measured.items()
    ]
    differences = [
        {
            "what": gain.label,
            "over": values.over,
            "seeds": values.seeds,
            "drives": values.drives,
            "mean": by_region(values.mean),
            "interval": by_region(values.interval),
            "verdict": {name: _verdict(gain, MEASURED.index(name), values, config) for name in BY_REGION},
        }
        for gain in gains
        for values in _spreads(gain, config)
    ]
    return {"networks": networks, "differences": differences, **shared_content(config, context)}
