"""The picture that a run draws of itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hrdepth.visualize import colorize_disparity, colorize_error

__all__ = ["training_panel"]

ORDER = ("target", "disparity", "synthesised", "error", "kept")


def training_panel(views: dict[str, Tensor]) -> NDArray[np.uint8]:
    """Put samples side by side, and below each other: picture, disparity, synthesised view, error, auto-mask.

    Args:
        views: what `ViewSynthesis.panels` returns, each (B,C,H,W).

    Returns:
        (5 H, B W, 3) uint8.
    """
    columns = []
    for sample in range(len(views["target"])):
        arrays = {name: views[name][sample].float().cpu().numpy() for name in ORDER}
        columns.append(np.concatenate([_draw(name, array) for name, array in arrays.items()], axis=0))
    return np.concatenate(columns, axis=1)


def _draw(name: str, array: NDArray[np.float32]) -> NDArray[np.uint8]:
    if name == "disparity":
        return colorize_disparity(array[0])
    if name == "error":
        return colorize_error(array[0], 0.0, 0.5)
    picture = (255 * np.nan_to_num(array).clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    return np.broadcast_to(picture, (*picture.shape[:2], 3))
