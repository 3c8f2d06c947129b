"""`hrdepth compare`: networks on the same images: side by side (paper, Figure 4), errors, feature maps, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from hrdepth.config import CompareConfig
from hrdepth.data.sample import image_tensor
from hrdepth.errors import InputError
from hrdepth.evaluation.evaluate import protocol_for
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import output_folder, write_json
from hrdepth.io.plotting import PAGE_WIDTH, colour, new_figure, save, style
from hrdepth.io.provenance import provenance
from hrdepth.io.visualize import disparity_range
from hrdepth.report.curves import learning_curves
from hrdepth.report.features import draw_features, first_level_maps
from hrdepth.report.frames import WORST, Sample, predict_sample, visible
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.weights.checkpoint import load_network

__all__ = ["compare", "draw_comparison", "error_by_distance", "error_histogram"]

DISTANCES = (0, 5, 10, 15, 20, 30, 40, 50, 60, 80)  # metres
LABEL_LETTERS = 26  # of a line; wider labels would leave no room for the images
Rows = Mapping[str, Sequence[Sample]]


def compare(config: CompareConfig) -> list[Path]:
    """Write comparison.*, distance.*, histogram.*, features.*, curves.* and compare.json; return the files.

    Raises:
        InputError: no weights, labels that do not fit, missing images, none with true depth, or what reading them
            raises.
    """
    labels = _labels(config.weights, config.labels)
    truths = build_ground_truth(config.data)
    chosen = _chosen(config, len(truths))
    runs = [config.runs] if isinstance(config.runs, str) else config.runs
    with style():
        curves = {"curves": learning_curves(runs)} if runs else {}  # first: a missing log is found before long work
    predictors = {
        name: Predictor.from_file(path, device=config.device, trust=config.trust)
        for name, path in zip(labels, config.weights, strict=True)
    }
    folder = output_folder(config.out, overwrite=config.overwrite)
    rows: dict[str, list[Sample]] = {}
    protocol = depth_protocol(config.data.kind, config.protocol)
    for name, predictor in predictors.items():
        bar = track(chosen, escape(name), console=Console(stderr=True))
        own = protocol_for(predictor.scale, protocol)
        rows[name] = [predict_sample(predictor, truths[at], own) for at in bar]
    written = []
    with style():
        figures = {
            "comparison": draw_comparison(rows),
            "distance": error_by_distance(rows),
            "histogram": error_histogram(rows),
        }
        if config.features and (maps := _features(predictors, config.weights, rows)):
            figures["features"] = draw_features(rows[labels[0]][0].image, maps)
        for name, figure in (figures | curves).items():
            written += save(figure, folder, name, config.formats, config.dpi)
    result = {
        "pictures": {name: {sample.name: sample.errors for sample in samples} for name, samples in rows.items()},
        "data": truths.description,
        "provenance": provenance(weights=[Path(path).name for path in config.weights]),
    }
    write_json(folder / "compare.json", result)
    return [*written, folder / "compare.json"]


def draw_comparison(rows: Rows) -> Figure:
    """Draw images in columns: the image, each network's disparity in one range of colours, truth, and error maps.

    Args:
        rows: for each network's name its samples, of the same images in the same order.

    Source: paper, Figure 4.
    """
    first = next(iter(rows.values()))
    names = ["image", *rows, "truth", *(f"error of {name}" for name in rows)]
    height, width = first[0].image.shape[:2]
    figure = new_figure(0.35 + len(names) * PAGE_WIDTH / len(first) * height / width)
    grid = figure.subplots(len(names), len(first), squeeze=False)
    for axes, samples in zip(grid.T, zip(*rows.values(), strict=True), strict=True):
        low, high = disparity_range(np.concatenate([sample.scaled_disparity.ravel() for sample in samples]))
        axes[0].imshow(samples[0].image)
        axes[0].set_title(samples[0].name, fontsize=6)
        for sample, axis in zip(samples, axes[1:], strict=False):
            disparity = axis.imshow(sample.scaled_disparity, cmap="magma", vmin=low, vmax=high)
        at = 1 + len(samples)
        axes[at].imshow(visible(1 / samples[0].truth), cmap="magma", vmin=low, vmax=high)
        for sample, axis in zip(samples, axes[at + 1 :], strict=True):
            error = axis.imshow(visible(sample.relative_error), cmap="viridis", vmin=0, vmax=WORST)
    for name, axes in zip(names, grid, strict=True):
        axes[0].set_ylabel(fill(name, LABEL_LETTERS), fontsize=6, rotation=0, ha="right", va="center")
        for axis in axes:
            _bare(axis)
    bar = figure.colorbar(disparity, ax=list(grid[1 : len(rows) + 2].ravel()), pad=0.01, aspect=40)
    bar.set_label("1/depth (1/m), last column", fontsize=6)
    bar = figure.colorbar(error, ax=list(grid[len(rows) + 2 :].ravel()), pad=0.01, aspect=25)
    bar.set_label("absolute relative error", fontsize=6)
    return figure


def error_by_distance(rows: Rows) -> Figure:
    """Draw each network's absolute relative error against true distance, with the share of pixels below.

    Raises:
        InputError: no pixel has true depth.
    """
    _check_truth(rows)
    figure = new_figure(3.2, 4.5)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for index, (name, samples) in enumerate(rows.items()):
        truth = np.concatenate([sample.truth[~np.isnan(sample.truth)] for sample in samples])
        error = np.concatenate([sample.relative_error[~np.isnan(sample.truth)] for sample in samples])
        bins = np.digitize(truth, DISTANCES) - 1
        means = [error[bins == at].mean() if (bins == at).any() else np.nan for at in range(len(DISTANCES) - 1)]
        upper.stairs(means, DISTANCES, baseline=None, color=colour(index), label=name)
        if not index:
            lower.hist(truth, bins=DISTANCES, weights=np.full(len(truth), 100 / len(truth)), color="0.7")
    upper.set(ylabel="absolute relative error", ylim=(0, None))
    upper.legend()
    lower.set(xlabel="true distance (m)", ylabel="pixels (%)", xlim=(0, DISTANCES[-1]))
    return figure


def error_histogram(rows: Rows) -> Figure:
    """Draw how often each signed relative error occurs: left of 0 is predicted too near.

    Raises:
        InputError: no pixel has true depth.
    """
    _check_truth(rows)
    figure = new_figure(2.6, 4.5)
    axes = figure.subplots()
    edges = np.linspace(-1, 1, 81)
    for index, (name, samples) in enumerate(rows.items()):
        signed = np.concatenate([(1 / sample.scaled_disparity / sample.truth - 1).ravel() for sample in samples])
        signed = signed[~np.isnan(signed)]
        counts = np.histogram(np.clip(signed, -1, 1), edges)[0]
        axes.stairs(100 * counts / len(signed), edges, color=colour(index), label=name)
    axes.axvline(0, color="0.6", linewidth=0.6)
    axes.set(
        xlabel="(prediction - truth) / truth; the last bin counts all above",
        ylabel="pixels (%)",
        xlim=(-1, 1),
        ylim=(0, None),
    )
    axes.legend()
    return figure


def _check_truth(rows: Rows) -> None:
    for name, samples in rows.items():
        if all(np.isnan(sample.truth).all() for sample in samples):
            raise InputError(
                f"the images of '{name}' have no true depth within the protocol's range and crop; choose others"
            )


def _features(
    predictors: dict[str, Predictor], weights: Sequence[str], rows: dict[str, list[Sample]]
) -> dict[str, dict[str, np.ndarray]]:
    """Return the maps of the networks that have a fusion at the first level."""
    maps = {}
    for (name, predictor), path in zip(predictors.items(), weights, strict=True):
        batch = image_tensor(Image.fromarray(rows[name][0].image), predictor.size)[None]  # (1,3,H,W)
        try:
            maps[name] = first_level_maps(load_network(path), batch)
        except InputError as error:
            Console(stderr=True).print(f"left out of the feature maps: {error}", markup=False)
    return maps


def _labels(weights: Sequence[str], labels: Sequence[str] | None) -> list[str]:
    if not weights:
        raise InputError("give at least one weights file to compare")
    if labels is not None and len(labels) != len(weights):
        raise InputError(f"{len(labels)} labels for {len(weights)} weights files; give one each")
    found = list(labels) if labels is not None else [Path(path).stem for path in weights]
    if labels is None and len(set(found)) < len(found):
        found = [f"{Path(path).parent.name}/{Path(path).stem}" for path in weights]
    if len(set(found)) < len(found):
        raise InputError("two networks have the same name; give --labels")
    return found


def _chosen(config: CompareConfig, length: int) -> list[int]:
    if config.images is None:
        return sorted({round(at) for at in np.linspace(0, length - 1, min(config.count, length))})
    wrong = [at for at in config.images if not 0 <= at < length]
    if wrong or not config.images:
        raise InputError(f"images {wrong}: the data has those from 0 to {length - 1}")
    return config.images


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[], facecolor="0.25")
    for spine in axis.spines.values():
        spine.set_visible(False)
