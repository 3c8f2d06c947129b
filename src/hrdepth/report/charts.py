"""Figures of the page, as SVG that stands in it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hrdepth.errors import InputError
from hrdepth.evaluation.results import Evaluation
from hrdepth.io.plotting import colour, new_figure, style
from hrdepth.report.curves import learning_curves
from hrdepth.report.frames import Shown

__all__ = ["curves_chart", "frames_chart"]


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
