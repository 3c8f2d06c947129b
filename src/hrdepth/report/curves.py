"""Learning curves of trainings, and the errors of all frames; as figures, and as SVG within the page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hrdepth.errors import MALFORMED, InputError
from hrdepth.evaluation.results import Evaluation
from hrdepth.io.files import existing_file
from hrdepth.io.plotting import colour, new_figure, style
from hrdepth.io.run_folder import read_metrics
from hrdepth.report.frames import Shown

__all__ = ["curves_chart", "frames_chart", "learning_curves", "read_log"]

SMOOTHING = 9  # rows of the log


def read_log(run: str | Path, column: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return steps and values of one column of a run's metrics.csv, where it has values.

    Raises:
        InputError: the run has no metrics.csv, that no such column, or it is damaged.
    """
    file = existing_file(Path(run) / "metrics.csv", "the log of the run")
    rows = read_metrics(file.parent)
    if not rows or column not in rows[0]:
        raise InputError(f"{file} has no column {column}")
    try:
        pairs = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        steps, values = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(steps, dtype=np.int64), np.array(values, dtype=np.float64)
    except MALFORMED as error:
        raise InputError(f"{file} is damaged ({str(error)[:200]})") from error


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


def curves_chart(run: Path) -> str | None:
    """Draw training and validation loss, or None where the run has no log."""
    with style():
        try:
            return _svg(learning_curves([run], ["loss"]))
        except InputError:
            return None


def frames_chart(evaluation: Evaluation, frames: Sequence[Shown]) -> str:
    """Draw the Abs Rel of every frame, from the best to the worst, and mark those that are shown."""
    values = np.sort([row.errors["abs_rel"] for row in evaluation.rows])
    with style():
        figure = new_figure(2.8, 5.0)
        axes = figure.subplots()
        share = 100 * (np.arange(len(values)) + 0.5) / len(values)
        axes.plot(share, values, color=colour(0), linewidth=1.2)
        axes.axhline(float(values.mean()), color="0.6", linewidth=0.6, linestyle="--")
        axes.annotate(
            f"mean {values.mean():.3f}", (30, values.mean()), va="bottom", ha="center", fontsize=7, color="0.4"
        )
        for shown in frames:
            if shown.abs_rel is not None:
                at = share[int(np.searchsorted(values, shown.abs_rel).clip(0, len(values) - 1))]
                axes.plot(at, shown.abs_rel, "o", color=colour(1), markersize=4)
                side = "left" if at < 15 else "right" if at > 85 else "center"
                axes.annotate(shown.label, (at, shown.abs_rel), textcoords="offset points", xytext=(0, 5), ha=side)
        axes.set(xlabel="frames (%), from the best", ylabel="Abs Rel", xlim=(0, 100), ylim=(0, 1.12 * values.max()))
        return _svg(figure)


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
