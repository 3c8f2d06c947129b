"""Networks one above the other on the same images (paper, Figure 4), and where their errors lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import from_numpy
from torch.nn.functional import max_pool2d

from hrdepth.io.plotting import PAGE_WIDTH, colour, new_figure
from hrdepth.io.visualize import disparity_range
from hrdepth.report.samples import Sample

__all__ = ["WORST", "error_by_distance", "error_histogram", "side_by_side", "visible"]

WORST = 0.5  # the relative error of the brightest colour
DISTANCES = (0, 5, 10, 15, 20, 30, 40, 50, 60, 80)  # metres
Rows = Mapping[str, Sequence[Sample]]


def side_by_side(rows: Rows) -> Figure:
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
        axes[0].set_ylabel(name, fontsize=6, rotation=0, ha="right", va="center")
        for axis in axes:
            _bare(axis)
    bar = figure.colorbar(disparity, ax=list(grid[1 : len(rows) + 2].ravel()), pad=0.01, aspect=40)
    bar.set_label("1/depth (1/m), last column", fontsize=6)
    bar = figure.colorbar(error, ax=list(grid[len(rows) + 2 :].ravel()), pad=0.01, aspect=25)
    bar.set_label("absolute relative error", fontsize=6)
    return figure


def error_by_distance(rows: Rows) -> Figure:
    """Draw each network's absolute relative error against true distance, with the share of pixels below."""
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
    """Draw how often each signed relative error occurs: left of 0 is predicted too near."""
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
        xlabel="(prediction - truth) / truth; the last bin holds all above",
        ylabel="pixels (%)",
        xlim=(-1, 1),
        ylim=(0, None),
    )
    axes.legend()
    return figure


def visible(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let each single laser point cover 3x3 pixels, as one alone is not seen on paper; dense maps stay as they are."""
    if np.isnan(values).mean() < 0.5:
        return values
    filled = from_numpy(np.where(np.isnan(values), np.float32(-np.inf), values))
    spread = max_pool2d(filled[None, None], 3, stride=1, padding=1)[0, 0].numpy()
    return np.where(np.isinf(spread), np.float32(np.nan), spread)


def _bare(axis: Axes) -> None:
    axis.set(xticks=[], yticks=[], facecolor="0.25")
    for spine in axis.spines.values():
        spine.set_visible(False)
