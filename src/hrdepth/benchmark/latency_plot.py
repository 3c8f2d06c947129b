"""Latency against resolution, a line a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from hrdepth.benchmark.report import Measurement
from hrdepth.io.plotting import colour, new_figure, save, style

__all__ = ["SUFFIXES", "plot"]

SUFFIXES = (".png", ".svg", ".pdf")
MARKERS = "os^Dvx*P"
BASELINE = "#777777"  # the first, dashed; the others have the colours of all figures


def plot(path: str | Path, results: Sequence[tuple[str, tuple[int, int], Measurement, Measurement]]) -> Path:
    """Draw milliseconds of network and of network with all around it, with their spread.

    Args:
        path: ends in .png, .svg or .pdf.
        results: runtime, (height, width), milliseconds of the network alone and end to end.
    """
    path = Path(path)
    names = list(dict.fromkeys(runtime for runtime, *_ in results))
    sizes = sorted({size for _, size, *_ in results}, key=lambda size: size[0] * size[1])
    with style():
        figure = new_figure(3.0)
        panels = figure.subplots(1, 2, sharey=True)
        for panel, (axes, title) in enumerate(
            zip(panels, ("network alone", "image to depth at its size"), strict=True)
        ):
            for index, name in enumerate(names):
                taken = sorted((h * w / 1e6, both[panel]) for n, (h, w), *both in results if n == name)
                axes.errorbar(
                    [pixels for pixels, _ in taken],
                    [one.median for _, one in taken],
                    yerr=[one.spread / 2 for _, one in taken],
                    color=colour(index - 1) if index else BASELINE, linestyle="-" if index else "--", linewidth=1,
                    marker=MARKERS[index % len(MARKERS)], markersize=4, capsize=2, label=name,
                )  # fmt: skip
            axes.set_xticks([h * w / 1e6 for h, w in sizes], [f"{w}x{h}" for h, w in sizes])
            axes.set(title=title, xlabel="resolution", yscale="log")
            axes.margins(x=0.15)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel("ms an image")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
        return save(figure, path.parent, path.stem, [path.suffix[1:]])[0]
