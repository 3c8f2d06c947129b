"""A real camera, and which descriptions of one are refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError

__all__ = ["FORMATS", "Lens", "Model", "refuse_entries", "unique_entries"]

Model = Literal["pinhole", "brown", "fisheye"]

FORMATS = "KITTI, COLMAP cameras.txt, OpenCV YAML, ROS camera_info YAML, or a camera.yaml of this package"


@dataclass(frozen=True, eq=False)
class Lens:
    """A real camera, with its distortion.

    Attributes:
        intrinsics: (3,3) float64, pixels of an image of `size`; pixel centres have integer coordinates.
        size: (height, width), None where the file does not give it.
        model: `brown` is OpenCV's usual one (k1, k2, p1, p2, k3, ...), `fisheye` its equidistant one (k1 to k4).
        distortion: its coefficients; empty for a pinhole.
        source: origin of the numbers, for messages.
        learn: whether the intrinsics are to be learned, and these are only the initial values.
        is_window: whether `size` is a part of the sensor, so that K cannot be scaled to images of another size.
        pixel_aspect: width / height of a pixel, where K follows from it.
    """

    intrinsics: NDArray[np.float64]
    size: tuple[int, int] | None
    model: Model = "pinhole"
    distortion: tuple[float, ...] = ()
    source: str = "the camera"
    learn: bool = False
    is_window: bool = False
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        k = self.intrinsics
        if self.size is not None and min(self.size) < 1:
            raise InputError(f"{self.source}: the size {self.size[1]}x{self.size[0]} of its images must be positive")
        if not np.isfinite(k[:2, 2]).all():
            raise InputError(f"{self.source}: the principal point ({k[0, 2]:g}, {k[1, 2]:g}) must be finite numbers")
        if not (np.isfinite(k).all() and k[0, 0] > 0 and k[1, 1] > 0):
            raise InputError(
                f"{self.source}: focal lengths fx = {k[0, 0]:g}, fy = {k[1, 1]:g} must be positive numbers; a "
                "camera_info of zeros is that of a camera that is not calibrated"
            )
        if abs(k[0, 1]) > 1e-4 * k[0, 0] or any(k[[1, 2, 2], [0, 0, 1]]) or k[2, 2] != 1:
            raise InputError(f"{self.source}: the camera matrix must be [fx 0 cx; 0 fy cy; 0 0 1], without skew")
        if not np.isfinite(self.distortion).all():
            raise InputError(f"{self.source}: its distortion coefficients must be finite numbers")


def refuse_entries(keys: Iterable[str], source: str) -> None:
    """Refuse entries of a calibration that are not understood, if there are any.

    Raises:
        InputError: there are; it names them.
    """
    if named := ", ".join(f"'{key}'" for key in keys):
        raise InputError(
            f"{source}: {named} is not understood, and may change what the camera sees; remove it if it does not, or "
            f"write the calibration as one of {FORMATS}"
        )


def unique_entries(pairs: Iterable[tuple[str, Any]], source: str) -> dict[str, Any]:
    """Return the entries of a calibration by their names.

    Raises:
        InputError: one is given twice, with different values.
    """
    entries: dict[str, Any] = {}
    for name, value in pairs:
        if repr(entries.setdefault(name, value)) != repr(value):  # NaN is not equal to itself
            raise InputError(f"{source}: '{name}' is given twice, with different values; remove the wrong one")
    return entries
