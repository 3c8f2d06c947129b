"""The camera of an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError

__all__ = ["Camera"]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        intrinsics: (3,3) float64 in pixels of an image of `size`.
        size: (height, width) in pixels.
        baseline: distance between the left and the right camera, positive, in the units that predicted depth shall
            have; None without a stereo pair.
        source: where the numbers come from, for messages.
        baseline_metres: the same distance in metres, where it is known.
        mask: an image of the same shape, black where the camera never sees the scene: overlays, the car's hood.
        learn: whether the intrinsics are only where learning starts.
        keep: the share of the image's height, from the top, that samples are made of; below lies the car's hood.

    Raises:
        InputError: the numbers cannot be pixels of such an image.
    """

    intrinsics: NDArray[np.float64]
    size: tuple[int, int]
    baseline: float | None = None
    source: str = "the camera"
    baseline_metres: float | None = None
    mask: Path | None = None
    learn: bool = False
    keep: float = 1.0

    def __post_init__(self) -> None:
        height, width = self.size
        fx, fy, cx, cy = self.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
        if not (0.1 * width < fx < 20 * width and 0.1 * height < fy < 20 * height):
            raise InputError(
                f"{self.source}: focal lengths fx = {fx:g}, fy = {fy:g} cannot be pixels of a {width}x{height} image "
                "(width x height); give K in pixels of that size, not normalised or in millimetres"
            )
        if self.baseline is not None and not self.baseline > 0:
            raise InputError(f"{self.source}: the baseline {self.baseline:g} must be positive: left and right swapped?")
        if not (0 < cx < width and 0 < cy < height):
            raise InputError(
                f"{self.source}: the principal point ({cx:g}, {cy:g}) lies outside the {width}x{height} image; "
                "give K in pixels of that size"
            )
