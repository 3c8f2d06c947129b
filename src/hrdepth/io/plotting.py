"""Style of figures: sizes of a two-column paper, colours that are safe for the colour-blind, vector output."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib import rc_context
from matplotlib.backends.registry import BackendFilter, backend_registry
from matplotlib.figure import Figure

from hrdepth.errors import InputError
from hrdepth.io.files import write_bytes
from hrdepth.io.images import read_image

__all__ = ["COLOURS", "PAGE_WIDTH", "colour", "new_figure", "save", "show_images", "style"]

# Okabe and Ito, Color Universal Design, 2008; without the yellow, which fades on paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHOWN = 4
PAGE_WIDTH = 7.0  # inches: both columns of an AAAI page

_SETTINGS = {
    "font.size": 8,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "svg.hashsalt": "hrdepth",  # the same figure is the same file
}


def colour(index: int) -> str:
    """Return the colour of the series number `index`."""
    return COLOURS[index % len(COLOURS)]


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this."""
    with rc_context(_SETTINGS):
        yield


def new_figure(height: float, width: float = PAGE_WIDTH) -> Figure:
    """Return an empty figure, inches, that no window shows."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, folder: Path, name: str, formats: Sequence[str], dpi: int = 150) -> list[Path]:
    """Write a figure in each format, atomically, and return the files."""
    written = []
    for suffix in formats:
        path = folder / f"{name}.{suffix}"
        metadata = {"Date": None} if suffix == "svg" else {"CreationDate": None} if suffix == "pdf" else None
        content = BytesIO()
        figure.savefig(content, format=suffix, dpi=dpi, metadata=metadata)
        write_bytes(path, content.getbuffer())
        written.append(path)
    return written


def show_images(paths: Sequence[Path]) -> None:
    """Open a window with images, one below the other, and wait until it is closed.

    Args:
        paths: image files, of which the first few are shown.

    Raises:
        InputError: there is nothing to show, or no screen.
    """
    if not paths:
        raise InputError("there is no image to show; open the video in a player")
    if matplotlib.get_backend().lower() not in backend_registry.list_builtin(BackendFilter.INTERACTIVE):
        raise InputError(f"cannot open a window: there is no display, or no GUI toolkit; open {paths[0]} instead")
    pyplot = importlib.import_module("matplotlib.pyplot")
    shown = paths[:SHOWN]
    figure, axes = pyplot.subplots(len(shown), squeeze=False, layout="constrained")
    for axis, path in zip(axes[:, 0], shown, strict=True):
        axis.imshow(read_image(path))
        axis.set_axis_off()
    pyplot.show()
    pyplot.close(figure)
