"""`hrdepth reproduce figure2`: where errors lie, at low and high resolution, by two ways of enlarging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.nn.functional import interpolate, max_pool2d

from hrdepth.config import DepthProtocol, ReproduceRegionsConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import median_ratio, resize_disparity, valid_pixels
from hrdepth.evaluation.edges import DENSE, depth_edges
from hrdepth.evaluation.results import bootstrap_intervals
from hrdepth.evaluation.run import predict_image
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import write_json
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.tables import ResultTable
from hrdepth.paper import PaperRow, row_of
from hrdepth.reproduce.measure import ReproductionContext, open_context
from hrdepth.reproduce.provenance_table import ShownNetworks, protocol_text, provenance_table, write_tables

__all__ = ["Series", "depth_regions", "draw_regions", "enlarge", "reduce_truth", "region_errors", "reproduce_figure2"]


REGIONS = ("all", "low gradient", "high gradient", "edges")
ENLARGED = ("bilinear", "nearest")

Masks = Mapping[str, NDArray[np.bool_]]


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
    shown = ShownNetworks(config, context)
    sources = _networks(config, shown)
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
        _table(series, share, f"{truths.description}, {len(truths)} images", shown.missing, config),
        provenance_table(shown.rows),
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
        **shown.content(),
    }
    write_json(context.folder / "figure2.json", content)
    return [*written, context.folder / "figure2.json"]


def depth_regions(depth: NDArray[np.float32], gradient: float, edge_width: int) -> dict[str, NDArray[np.bool_]]:
    """Assign each pixel of true depth to regions; low and high gradient are all, edges lie across both.

    Args:
        depth: (H,W), metres; what is not finite and positive is none.
        gradient: the jump of depth to a neighbour, as a share of the nearer one, above which the gradient is high.
        edge_width: pixels up to which a pixel belongs to an edge (see `evaluation.edges.depth_edges`).

    Returns:
        For each of `REGIONS` bool (H,W).

    Raises:
        InputError: less than half of the pixels have true depth.
    """
    known = np.isfinite(depth) & (depth > 0)
    if known.mean() < DENSE:
        raise InputError(f"figure 2 needs dense true depth; {known.mean():.0%} of this image's pixels have it")
    logarithm = np.where(known, np.log(np.where(known, depth, 1.0)), np.nan).astype(np.float64)
    steepest = np.zeros(depth.shape)
    for axis in (0, 1):
        jump = np.nan_to_num(np.abs(np.diff(logarithm, axis=axis)))  # none to where depth is unknown
        before = [(0, 1) if one == axis else (0, 0) for one in (0, 1)]
        after = [(1, 0) if one == axis else (0, 0) for one in (0, 1)]
        steepest = np.maximum(steepest, np.maximum(np.pad(jump, before), np.pad(jump, after)))
    high = steepest > np.log1p(gradient)
    edges = torch.from_numpy(depth_edges(np.where(known, depth, np.nan)).astype(np.float32))[None, None]
    near = max_pool2d(edges, 2 * edge_width + 1, stride=1, padding=edge_width)[0, 0].numpy() > 0
    return {"all": known, "low gradient": known & ~high, "high gradient": known & high, "edges": known & near}


def reduce_truth(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return what a perfect network of that size would predict: scaled disparity (h,w) at its pixels' centres.

    No depth is infinitely far.
    """
    known = np.isfinite(depth) & (depth > 0)
    disparity = np.where(known, 1 / np.where(known, depth, 1.0), 0.0).astype(np.float64)
    return _nearest(disparity, size)


def enlarge(disparity: NDArray[np.float64], size: tuple[int, int], how: str) -> NDArray[np.float64]:
    """Resize disparity (h,w) to `size`, as one of `ENLARGED`."""
    return resize_disparity(disparity, size) if how == "bilinear" else _nearest(disparity, size)


def region_errors(
    truth: NDArray[np.float32], disparity: NDArray[np.float64], masks: Masks, protocol: DepthProtocol
) -> dict[str, float]:
    """Return the Abs Rel of each region, NaN where an image has none of it.

    Args:
        truth: (H,W), metres.
        disparity: scaled disparity (H,W), 1/depth.
        masks: the regions.
        protocol: how the whole image is scaled, cropped and clamped.
    """
    valid = valid_pixels(truth, protocol)
    if not valid.any():
        return dict.fromkeys(masks, float("nan"))
    with np.errstate(divide="ignore"):
        depth = 1 / disparity
    true = truth.astype(np.float64)
    scaled = protocol.scaling
    ratio = median_ratio(true[valid], depth[valid]) if isinstance(scaled, str) else float(scaled)
    predicted = np.clip(ratio * depth, *protocol.depth_range)
    error = np.abs(predicted - true) / np.where(valid, true, 1.0)
    found = {}
    for name, mask in masks.items():
        inside = mask & valid
        found[name] = float(error[inside].mean()) if inside.any() else float("nan")
    return found


def _nearest(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    resized = interpolate(torch.from_numpy(np.ascontiguousarray(values))[None, None], size=size, mode="nearest-exact")
    return np.asarray(resized[0, 0].numpy(), dtype=np.float64)


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
