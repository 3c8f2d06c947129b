"""Learning curves of several trainings."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file
from hrdepth.io.plotting import colour, new_figure

__all__ = ["learning_curves", "read_log"]

SMOOTHING = 9  # rows of the log


def read_log(run: str | Path, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return steps and values of one column of a run's metrics.csv, where it has values.

    Raises:
        InputError: the run has no metrics.csv, or that no such column.
    """
    file = existing_file(Path(run) / "metrics.csv", "the log of the run")
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if column not in (reader.fieldnames or ()):
            raise InputError(f"{file} has no column {column}")
        rows = [(int(row["step"]), float(row[column])) for row in reader if row[column]]
    steps, values = zip(*rows, strict=True) if rows else ((), ())
    return np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64)


def learning_curves(runs: Sequence[str | Path], labels: Sequence[str] | None = None) -> Figure:
    """Draw training loss (smoothed) and validation loss of runs over their steps."""
    figure = new_figure(2.8, 5.0)
    axes = figure.subplots()
    for index, run in enumerate(runs):
        name = labels[index] if labels else Path(run).name
        steps, losses = read_log(run, "train/loss")
        window = min(SMOOTHING, max(1, len(losses) // 3))  # a short run keeps most of its points
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], smooth, color=colour(index), linewidth=0.8, label=f"{name}, training")
        steps, losses = read_log(run, "val/loss")
        axes.plot(steps, losses, "o--", color=colour(index), markersize=3, linewidth=0.8, label=f"{name}, validation")
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure
