"""Faults of a camera: what K no lens has, and what baseline no rig."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from hrdepth.camera import Camera
from hrdepth.check.finding import Finding

__all__ = ["examine_camera", "intrinsics_faults"]

OFF_CENTRE = 0.2  # share of the side by which a principal point lies beside the middle of an uncropped image
SQUARE = 1.15  # ratio of fx and fy, in pixels of one size
FLAT = 0.2  # height / width below which an image may have been squeezed, so that its pixels are not square
FOV = (15.0, 150.0)  # degrees, horizontally
LONGEST, SHORTEST = 5.0, 0.01  # metres of a baseline


def intrinsics_faults(
    intrinsics: ArrayLike, size: tuple[int, int], stored: tuple[int, int] | None = None, pixel_aspect: float = 1.0
) -> Iterator[str]:
    """Yield what no lens does.

    Args:
        intrinsics: (3,3), in pixels of an image of `size`.
        size: (height, width).
        stored: (height, width) of the images where they were resized without their K; else `size`.
        pixel_aspect: width / height of a pixel, where it is known not to be 1.
    """
    (fx, _, cx), (_, fy, cy) = np.asarray(intrinsics, dtype=np.float64)[:2].tolist()
    (height, width), (rows, columns) = size, stored or size
    if min(fx, fy) <= 0:
        yield f"fx {fx:g} and fy {fy:g} must be positive"
        return
    aside, high = abs(cx - width / 2) / width, abs(cy - height / 2) / height
    swapped = abs(cx - height / 2) / height + abs(cy - width / 2) / width
    if (width > height) != (columns > rows) and width != height:
        yield (
            f"K holds for {width}x{height} (width x height), the images are {columns}x{rows}: width and height are "
            "swapped"
        )
    elif max(aside, high) > OFF_CENTRE and swapped < 0.5 * (aside + high):
        yield (
            f"the principal point ({cx:g}, {cy:g}) fits an image of {height}x{width}: cx and cy, and perhaps fx and fy,"
            " are swapped"
        )
    elif max(aside, high) > OFF_CENTRE:
        yield (
            f"the principal point ({cx:g}, {cy:g}) lies far beside the middle of {width}x{height}; is K that of "
            "another size or of the uncropped image?"
        )
    fov = math.degrees(2 * math.atan(width / 2 / fx))
    if not FOV[0] < fov < FOV[1]:
        yield f"fx {fx:g} makes a field of view of {fov:.0f} degrees; is K in pixels of {width}x{height}?"
    ratio = pixel_aspect * (fx * columns / width) / (fy * rows / height)
    if max(ratio, 1 / ratio) > SQUARE and rows / columns > FLAT:
        yield (
            f"fx {fx:g} and fy {fy:g} differ by more than lenses do: pixels are square; are they of another size, or "
            "swapped?"
        )


def examine_camera(camera: Camera, size: tuple[int, int]) -> Iterator[Finding]:
    """Yield what does not fit between a camera and its images of `size` (height, width).

    Units and a principal point outside are found where the camera is read.
    """
    for sentence in intrinsics_faults(camera.intrinsics, camera.size, size, camera.pixel_aspect):
        yield Finding("camera", f"{camera.source}: {sentence}")
    if camera.baseline_metres is not None and not SHORTEST <= camera.baseline_metres <= LONGEST:
        yield Finding(
            "baseline", f"{camera.source}: the baseline {camera.baseline_metres:g} is in metres; is this another unit?"
        )
