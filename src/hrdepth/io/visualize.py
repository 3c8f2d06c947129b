"""Colours for disparity and error, and panels of images; NumPy in, uint8 RGB out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hrdepth.errors import InputError, require
from hrdepth.io.arrays import load_array

__all__ = [
    "COLOUR_MAPS",
    "StableRange",
    "colorize_disparity",
    "colorize_error",
    "disparity_range",
    "panel",
    "side_by_side",
]

NO_VALUE = (64, 64, 64)
"""The grey of pixels without a value (NaN, infinity); no colour map used here has it."""

COLOUR_MAPS = ("magma", "viridis", "inferno", "plasma", "cividis", "turbo", "jet", "gray")
"""Rows of `colour_maps.npy`, uint8 (8,256,3): matplotlib's, which a test compares. Others need matplotlib itself."""

Array = NDArray[Any]


def disparity_range(disparity: Array, percentile: float = 95.0) -> tuple[float, float]:
    """Return the range worth colouring: from the minimum to a high percentile of the finite values.

    A few very near pixels then do not darken all the rest. Without any finite value it is (0, 0).

    Example:
        >>> disparity_range(np.array([[0.0, 50.0], [100.0, np.nan]]), percentile=50)
        (0.0, 50.0)
    """
    finite = disparity[np.isfinite(disparity)]
    if finite.size == 0:
        return 0.0, 0.0
    # As `np.percentile`, which imports a large part of NumPy when it is called for the first time.
    position = (finite.size - 1) * percentile / 100
    below, above = int(position), min(int(position) + 1, finite.size - 1)
    ordered = np.partition(finite.ravel(), (below, above))
    low, high = float(ordered[below]), float(ordered[above])
    return float(finite.min()), low + (high - low) * (position - below)


def colorize_disparity(
    disparity: Array, vmin: float | None = None, vmax: float | None = None, cmap: str = "magma"
) -> NDArray[np.uint8]:
    """Turn disparity (or 1/depth) into colours: near is bright.

    Args:
        disparity: (H,W), any unit that grows towards the camera.
        vmin: the value of the darkest colour, by default the minimum.
        vmax: the value of the brightest colour, by default the 95th percentile.
        cmap: one of `COLOUR_MAPS`, or another of matplotlib where that is installed.

    Returns:
        uint8 (H,W,3). A constant image gets the middle colour; NaN and infinity are grey.

    Raises:
        InputError: there is no such colour map.

    Example:
        >>> colorize_disparity(np.linspace(0, 1, 12).reshape(3, 4)).shape
        (3, 4, 3)
    """
    disparity = np.asarray(disparity)
    low, high = disparity_range(disparity)
    return _colorize(disparity, low if vmin is None else vmin, high if vmax is None else vmax, cmap, 0.5)


def colorize_error(
    error: Array, vmin: float | None = None, vmax: float | None = None, cmap: str = "viridis"
) -> NDArray[np.uint8]:
    """Turn an error (H,W) into colours: no error is dark, a large one bright.

    Args:
        error: (H,W) in any unit, NaN where there is no ground truth: grey.
        vmin: the error of the darkest colour, by default 0.
        vmax: the error of the brightest colour, by default the 95th percentile.
        cmap: see `colorize_disparity`.

    Returns:
        uint8 (H,W,3).

    Raises:
        InputError: there is no such colour map.
    """
    error = np.asarray(error)
    high = disparity_range(error)[1] if vmax is None else vmax
    return _colorize(error, 0.0 if vmin is None else vmin, high, cmap, 0.0)


def side_by_side(images: Sequence[Array], labels: Sequence[str] | None = None) -> NDArray[np.uint8]:
    """Put images in a row, each scaled to the height of the first, with labels above if there are any.

    Args:
        images: uint8 (H,W,3) or grey (H,W).
        labels: one text each.

    Returns:
        uint8 (H',W',3); without labels H' is the height of the first.

    Raises:
        ValueError: there are no images, or not one label for each.

    Example:
        >>> side_by_side([np.zeros((4, 6, 3), np.uint8), np.zeros((8, 6), np.uint8)]).shape
        (4, 9, 3)
    """
    if not images or (labels is not None and len(labels) != len(images)):
        raise ValueError(f"{len(images)} images need as many labels, not {len(labels or ())}")
    height = images[0].shape[0]
    row = [_to_height(np.asarray(image), height) for image in images]
    if labels is None:
        return np.concatenate(row, axis=1)
    return np.concatenate(
        [
            np.concatenate([_title(label, image.shape[1], height), image])
            for label, image in zip(labels, row, strict=True)
        ],
        axis=1,
    )


def panel(
    image: NDArray[np.uint8],
    disparity: Array,
    *,
    vmin: float | None = None,
    vmax: float | None = None,
    cmap: str = "magma",
    labels: Sequence[str] | None = ("image", "disparity: near is bright"),
) -> NDArray[np.uint8]:
    """Put an image and its coloured disparity side by side.

    Args:
        image: uint8 (H,W,3).
        disparity: (h,w), scaled to the image's height.
        vmin: see `colorize_disparity`.
        vmax: see `colorize_disparity`.
        cmap: see `colorize_disparity`.
        labels: two texts, or None for a panel of exactly (H,2W,3).

    Returns:
        uint8 (H',2W,3).
    """
    return side_by_side([image, colorize_disparity(disparity, vmin, vmax, cmap)], labels)


class StableRange:
    """The colour range of a video: an exponential moving average, so that colours do not flicker.

    Args:
        momentum: the weight of the past, 0 (none) to below 1; at 0.9 a range follows a change of scene
            within some twenty frames.

    Attributes:
        range: the last one; None before the first frame.

    Raises:
        ValueError: the momentum is out of range.

    Example:
        >>> colours = StableRange(momentum=0.5)
        >>> colours.update(np.array([[0.0, 1.0]]), percentile=100)
        (0.0, 1.0)
        >>> colours.update(np.array([[0.0, 3.0]]), percentile=100)
        (0.0, 2.0)
    """

    def __init__(self, momentum: float = 0.9) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must be at least 0 and below 1")
        self.momentum = momentum
        self.range: tuple[float, float] | None = None

    def update(self, disparity: Array, percentile: float = 95.0) -> tuple[float, float]:
        """Add one frame (H,W); return the range (vmin, vmax) to colour it with."""
        if self.range is not None and not np.isfinite(disparity).any():
            return self.range
        low, high = disparity_range(disparity, percentile)
        if self.range is not None:
            low = self.momentum * self.range[0] + (1 - self.momentum) * low
            high = self.momentum * self.range[1] + (1 - self.momentum) * high
        self.range = (low, high)
        return self.range


def _colorize(values: Array, low: float, high: float, cmap: str, constant: float) -> NDArray[np.uint8]:
    values = values.astype(np.float32)
    finite = np.isfinite(values)
    span = high - low
    # Rounding noise of a constant image must not be stretched to all colours.
    if span <= 1e-6 * max(abs(low), abs(high)):
        level = np.full(values.shape, constant, dtype=np.float32)
    else:
        level = np.clip((np.where(finite, values, low) - low) / span, 0, 1)
    colours = _table(cmap)[np.rint(level * 255).astype(np.uint8)]
    colours[~finite] = NO_VALUE
    return colours


@lru_cache(maxsize=8)
def _table(cmap: str) -> NDArray[np.uint8]:
    if cmap in COLOUR_MAPS:
        stored: NDArray[np.uint8] = load_array(Path(__file__).with_name("colour_maps.npy"))[COLOUR_MAPS.index(cmap)]
        return stored
    colormaps = require("matplotlib", "report", f"the colour map '{cmap}' needs").colormaps
    if cmap not in colormaps:
        raise InputError(f"unknown colour map '{cmap}'; give one of matplotlib's, such as magma or viridis")
    table: NDArray[np.uint8] = colormaps[cmap](np.linspace(0, 1, 256), bytes=True)[:, :3].copy()
    return table


def _to_height(image: Array, height: int) -> NDArray[np.uint8]:
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if image.shape[0] == height:
        return image.astype(np.uint8, copy=False)
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    return np.array(Image.fromarray(image.astype(np.uint8)).resize((width, height), Image.Resampling.BILINEAR))


def _title(text: str, width: int, height: int) -> NDArray[np.uint8]:
    size = int(np.clip(height / 16, 11, 48))
    strip = Image.new("RGB", (width, size + size // 2), "white")
    ImageDraw.Draw(strip).text((size // 2, size // 8), text, fill="black", font=ImageFont.load_default(size))
    return np.array(strip)
