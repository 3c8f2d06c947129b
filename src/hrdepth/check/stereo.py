"""Faults of a recording's stereo pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrdepth.check.finding import Finding
from hrdepth.io.images import read_image
from hrdepth.prepare.motion import opencv, two_way_flow

__all__ = ["examine_stereo"]

WIDTH = 512  # at which shifts are measured
ROWS = 1.0  # pixels of an image 640 wide by which rectified images may differ in height


@dataclass(frozen=True)
class _Shift:
    """How the right image lies to the left one, in pixels of an image 640 wide.

    Attributes:
        across: median horizontal shift; negative, since things lie further left in the right image.
        rows: median vertical shift.
        spread: median size of the vertical shifts, 0 for rectified images.
        followed: share of the image that both show.
    """

    across: float
    rows: float
    spread: float
    followed: float


def _measure(left: Path, right: Path) -> _Shift:
    """Measure the shift of one pair by optical flow."""
    cv2 = opencv()
    greys = [cv2.cvtColor(np.asarray(read_image(path)), cv2.COLOR_RGB2GRAY) for path in (left, right)]
    height, width = greys[0].shape
    size = WIDTH, max(32, round(height * WIDTH / width))
    first, second = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in greys)
    flow, error = two_way_flow(first, second, fast=False)
    # Vertical shifts can be measured where the image changes from row to row.
    change = np.abs(cv2.Sobel(first, cv2.CV_32F, 0, 1, scale=1 / 8)) > 4
    followed = error < 1
    good = followed & change
    if good.sum() < 50:
        return _Shift(0.0, 0.0, 0.0, 0.0)
    unit = 640 / WIDTH
    vertical = flow[..., 1][good] * unit
    return _Shift(
        float(np.median(flow[..., 0][good]) * unit),
        float(np.median(vertical)),
        float(np.median(np.abs(vertical))),
        float(followed.mean()),
    )


def examine_stereo(pairs: list[tuple[Path, Path]]) -> Iterator[Finding]:
    """Yield what is wrong with some (left, right) pairs of a recording."""
    shifts = [_measure(*pair) for pair in pairs]
    seen = [shift for shift in shifts if shift.followed > 0.2]
    example = list(pairs[0])
    if len(seen) < len(shifts) / 2:
        yield Finding(
            "stereo", "left and right show different scenes; are the images of one time, and of one rig?", example
        )
        return
    across, rows, spread = (float(np.median([getattr(s, key) for s in seen])) for key in ("across", "rows", "spread"))
    if abs(across) < 0.2 and spread < 0.2:
        yield Finding("stereo", "left and right hold the same images; was one folder copied?", example)
        return
    if spread > ROWS:
        yield Finding(
            "stereo",
            f"the pairs are not rectified: points differ in height by {spread:.1f} pixels of an image 640 wide (median "
            f"{rows:+.1f}), rectified ones by less than {ROWS:g}; rectify the images with the rig's calibration",
            example,
        )
    if across > 0.2:
        yield Finding(
            "baseline",
            f"things lie {across:.1f} pixels further right in the right image, and should lie further left: left and "
            "right are swapped",
            example,
        )
