"""The image that a run draws of itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hrdepth.io.visualize import colorize_disparity, colorize_error

__all__ = ["training_panel"]

ORDER = ("target", "disparity", "teacher", "synthesised", "error", "kept", "explained", "objects")


def training_panel(views: dict[str, Tensor]) -> NDArray[np.uint8]:
    """Put samples side by side, and their views below each other.

    Args:
        views: what an objective's `panels` returns, of the names in `ORDER`, each (B,C,H,W): image, disparity, the
            teacher's, synthesised view, error, auto-mask, explainability mask, objects that move.

    Returns:
        (N H, B W, 3) uint8 for N views.
    """
    columns = []
    for sample in range(len(views["target"])):
        arrays = {name: views[name][sample].detach().float().cpu().numpy() for name in ORDER if name in views}
        columns.append(np.concatenate([_draw(name, array) for name, array in arrays.items()], axis=0))
    return np.concatenate(columns, axis=1)


def _draw(name: str, array: NDArray[np.float32]) -> NDArray[np.uint8]:
    if name in ("disparity", "teacher"):
        return colorize_disparity(array[0])
    if name == "error":
        return colorize_error(array[0], 0.0, 0.5)
    image = (255 * np.nan_to_num(array).clip(0, 1)).astype(np.uint8).transpose(1, 2, 0)
    return np.broadcast_to(image, (*image.shape[:2], 3))
