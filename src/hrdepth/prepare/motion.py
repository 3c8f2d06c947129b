"""Measure what moves between frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.data.neighbours import motion as difference
from hrdepth.errors import require

__all__ = ["STILL", "Step", "is_cut", "measure_step", "opencv", "small", "two_way_flow"]

WIDTH = 256  # of the longer side, at which motion is measured
# Shares of the longer side. KITTI at ten hertz: 0.008 to 0.024 by drive, 0.003 for steps of 4 cm; a still camera with
# noise and compression stays below 0.0003 (docs/own-video.md).
TARGET_MOTION, CREEP, STILL = 0.012, 0.003, 0.001
DARK = 8.0  # grey levels added before brightnesses are divided

Grey = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """The change from one frame to the next.

    Attributes:
        motion: median optical flow, as a share of the longer side.
        followed: share of the image in which forward and backward flow agree.
        likeness: correlation of what is followed, in -1 to 1.
        gain: median change of brightness of what is followed, as a natural logarithm.
        difference: mean absolute difference of the images without alignment, see `data.neighbours.motion`.
    """

    motion: float
    followed: float
    likeness: float
    gain: float
    difference: float


def opencv() -> Any:
    """Return OpenCV.

    Raises:
        InputError: it is not installed.
    """
    return require("cv2", "video", "videos need")


def small(image: NDArray[np.uint8]) -> Grey:
    """Shrink an image (H,W,3) to grey with `WIDTH` pixels on the longer side."""
    cv2 = opencv()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    factor = WIDTH / max(grey.shape)
    size = max(32, round(grey.shape[1] * factor)), max(32, round(grey.shape[0] * factor))
    shrunk: Grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return shrunk


def two_way_flow(first: Grey, second: Grey, *, fast: bool = True) -> tuple[Floats, Floats]:
    """Follow the pixels of one grey image (H,W) to another, and back again.

    Source: dense inverse search, Kroeger et al., ECCV 2016, in OpenCV.

    Returns:
        Optical flow (H,W,2) in pixels, x first; and the distance (H,W) from where a pixel began to where it returns,
        infinite where it leaves the image.
    """
    cv2 = opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST if fast else cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forward, backward = search.calc(first, second, None), search.calc(second, first, None)
    (height, width), (x, y) = first.shape, _ends(forward)
    returned = forward + cv2.remap(backward, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    return forward, np.where(inside, np.hypot(returned[..., 0], returned[..., 1]), np.inf)


def _ends(flow: Floats) -> tuple[Floats, Floats]:
    """Return x and y (H,W) of where each pixel goes."""
    y, x = (np.arange(side, dtype=np.float32) for side in flow.shape[:2])
    return x + flow[..., 0], y[:, None] + flow[..., 1]


def measure_step(first: Grey, second: Grey) -> Step:
    """Measure what changed between two small grey images of one shape (H,W)."""
    cv2 = opencv()
    flow, error = two_way_flow(first, second)
    longer, length = max(first.shape), np.hypot(flow[..., 0], flow[..., 1])
    followed = error < 1 + 0.1 * length
    if followed.mean() < 0.01:
        return Step(float(np.median(length)) / longer, 0.0, 0.0, 0.0, difference(first, second))
    warped = cv2.remap(second, *_ends(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    before, after = first[followed].astype(np.float64), warped[followed].astype(np.float64)
    varied = before.std() > 1e-3 and after.std() > 1e-3
    likeness = float(np.corrcoef(before, after)[0, 1]) if varied else 1.0
    gain = float(np.median(np.log((after + DARK) / (before + DARK))))
    moved = float(np.median(length[followed])) / longer
    return Step(moved, float(followed.mean()), likeness, gain, difference(first, second))


def is_cut(step: Step) -> bool:
    """Return whether the second frame shows another scene, or moved so far that nothing can be followed.

    Neighbouring KITTI frames are followed for 0.47 of the image and more, cuts between its drives mostly for
    less than 0.1; where cuts are followed for more than 0.3, likeness is low.
    """
    return step.followed < 0.3 or (step.followed < 0.45 and step.likeness < 0.5)
