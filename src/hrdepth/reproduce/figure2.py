"""`hrdepth reproduce figure2`: where errors lie, at low and high resolution, by two ways of enlarging."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from hrdepth.config import ReproduceRegionsConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import valid_pixels
from hrdepth.evaluation.edges import is_dense
from hrdepth.evaluation.predictions import predict_image, read_true_image
from hrdepth.evaluation.results import bootstrap_intervals, mean_over_images
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import write_json
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow, row_of
from hrdepth.reproduce.measure import ReproductionContext, open_context
from hrdepth.reproduce.provenance_table import ShownNetworks, protocol_text, provenance_table, write_tables
from hrdepth.reproduce.regions import (
    REGIONS,
    SPARSE_REGIONS,
    depth_regions,
    enlarged_errors,
    reduce_truth,
    sparse_regions,
)
from hrdepth.truth import GroundTruth

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
        return mean_over_images(self.values)


def reproduce_figure2(config: ReproduceRegionsConfig) -> list[Path]:
    """Measure, print the tables, and write figure2.* and figure2.md, .tex and .json; return the files.

    The figure's rows are `low` and `high`; `rows`, which files of settings have for the tables, is not read.

    Raises:
        InputError: no true depth was given, it is sparse and there is no network to measure, or weights that cannot be
            read.
    """
    context = open_context(replace(config, rows=["*"]), [config.low, config.high])
    truths = context.truths
    if truths is None or config.data is None:
        raise InputError("figure 2 needs true depth, such as a rendered drive's: --data.kind drive --data.root ROOT")
    shown = ShownNetworks(config, context)
    sources = _networks(config, shown)
    sizes = [one.size for one in sources.values()]
    dense = is_dense(truths[0].depth)
    if not dense and not sources:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in shown.missing.items())
        raise InputError(f"figure 2 with sparse true depth needs a network ({reasons}); give NAME=FILE, or --train")
    regions = REGIONS if dense else SPARSE_REGIONS
    shares, errors = [], dict[tuple[str, str], list[list[float]]]()
    for truth in truths:
        masks = (
            depth_regions(truth.depth, config.gradient, config.edge_width)
            if dense
            else sparse_regions(truth.depth, _brightness(truth), config.gradient, config.image_gradient)
        )
        compared = valid_pixels(truth.depth, config.protocol)
        shares.append([float((masks[name] & compared).sum() / max(1, compared.sum())) for name in regions])
        height, width = truth.depth.shape
        small = dict[str, NDArray[np.float64]]()
        if dense:  # sparse depth cannot be reduced and enlarged
            small_size = config.low_size or (sizes[0] if sizes else (height // 3, width // 3))
            small["true depth, {1}x{0}".format(*small_size)] = reduce_truth(truth.depth, small_size)
        for name, predictor in sources.items():
            predictor.scale.check_depth()
            predicted = predict_image(predictor.scaled_disparity, truth, config.protocol, predictor.canonical_focal)
            small[name] = np.asarray(predicted, dtype=np.float64)
        for name, disparity in small.items():
            for how, found in enlarged_errors(truth.depth, disparity, masks, config.protocol).items():
                errors.setdefault((name, how), []).append([found[region] for region in regions])
    series = [
        Series(name, how, np.array(rows), bootstrap_intervals(np.array(rows), config.bootstrap))
        for (name, how), rows in errors.items()
    ]
    share = np.mean(shares, axis=0)
    tables = [
        _table(series, regions, share, f"{truths.description}, {len(truths)} images", shown.missing, config),
        provenance_table(shown.rows),
    ]
    with style():
        written = save(draw_regions(series, regions, share), context.folder, "figure2", config.formats)
    written += write_tables(context.folder / "figure2", tables)
    content = {
        "figure": "figure2",
        "series": [_content(one, regions) for one in series],
        "share_of_pixels": dict(zip(regions, share.tolist(), strict=True)),
        "gradient": config.gradient,
        **({"edge_width": config.edge_width} if dense else {"image_gradient": config.image_gradient}),
        "images": len(truths),
        **shown.content(),
    }
    write_json(context.folder / "figure2.json", content)
    for table in tables:
        table.show(config.format)
    return [*written, context.folder / "figure2.json"]


def _brightness(truth: GroundTruth) -> NDArray[np.float64]:
    """Return the image in grey, at the size of its true depth: (H,W) in [0,1]."""
    height, width = truth.depth.shape
    image = read_true_image(truth).convert("L")
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64) / 255


def draw_regions(series: list[Series], regions: Sequence[str], share: NDArray[np.float64]) -> Figure:
    """Draw Abs Rel as bars with intervals: regions in groups, a colour a source, hatched where by the nearest pixel."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    sources = list(dict.fromkeys(one.source for one in series))
    width = 0.8 / len(series)
    places = np.arange(len(regions))
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
    axes.set_xticks(places, [f"{name}\n{part:.0%} of pixels" for name, part in zip(regions, share, strict=True)])
    axes.set(ylabel="Abs Rel", ylim=(0, None))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _networks(config: ReproduceRegionsConfig, shown: ShownNetworks) -> dict[str, Predictor]:
    """Return the networks that are there, by label."""
    sources: dict[str, Predictor] = {}
    for which, name in (("low resolution", config.low), ("high resolution", config.high)):

        def label(path: Path, about: Mapping[str, Any], which: str = which) -> str:
            return "{0}, {2}x{1}".format(which, *about["size"])

        row = _row(name, shown.context)
        if (path := shown.find(row, which, label)) is not None:
            sources[list(shown.about)[-1]] = Predictor.from_file(
                path, device=config.device, runtime=config.runtime, trust=config.trust
            )
    return sources


def _row(name: str, context: ReproductionContext) -> PaperRow:
    """Return the paper's row; given weights may go by a name that none has."""
    try:
        return row_of(name)
    except InputError:
        if name in context.given:
            return PaperRow(name, name, "", "", "", {})
        raise


def _table(
    series: list[Series],
    regions: Sequence[str],
    share: NDArray[np.float64],
    data: str,
    missing: dict[str, str],
    config: ReproduceRegionsConfig,
) -> ResultTable:
    rows: list[tuple[str, ...]] = [("share of pixels", "", *(f"{part:.1%}" for part in share))]
    for one in series:
        cells = [
            f"{mean:.4f} [{low:.4f}, {high:.4f}]" for mean, (low, high) in zip(one.mean, one.interval, strict=True)
        ]
        rows.append((one.source, one.enlarged, *cells))
    rows += [(name, "not measured", *("" for _ in regions)) for name in missing]
    return ResultTable(
        ("Abs Rel", "enlarged", *regions),
        tuple(rows),
        "Figure 2. Where errors lie",
        f"{data}, {protocol_text(config.protocol)}, with 95 % intervals over images. "
        + _describe(regions, config)
        + "".join(f"\nnot measured: {name}: {reason}" for name, reason in missing.items()),
    )


def _describe(regions: Sequence[str], config: ReproduceRegionsConfig) -> str:
    """Describe the regions, for the caption."""
    if regions == REGIONS:
        return (
            f"High gradient: jumps of {config.gradient:.0%} to a neighbour; "
            f"edges: within {config.edge_width} pixels of one."
        )
    return (
        f"High gradient: jumps of {config.gradient:.0%} a pixel between neighbouring points; high image gradient: of "
        f"{config.image_gradient:.0%} of the range of brightness to a neighbour; near edges: depths around the point "
        "differ by more than a factor of 1.5."
    )


def _content(one: Series, regions: Sequence[str]) -> dict[str, Any]:
    def by_region(values: NDArray[np.float64]) -> dict[str, Any]:
        kept = [None if np.isnan(value).any() else value.tolist() for value in values]
        return dict(zip(regions, kept, strict=True))

    return {"source": one.source, "enlarged": one.enlarged, "abs_rel": by_region(one.mean),
            "interval": by_region(one.interval)}  # fmt: skip
