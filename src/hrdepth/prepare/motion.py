"""How two frames of a video differ: what moved, by how much, and whether it is the same scene at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.data.neighbours import motion as difference
from hrdepth.errors import InputError, require

__all__ = ["CREEP", "STILL", "TARGET_MOTION", "Step", "is_cut", "measure_step", "opencv", "small", "stride_for"]

WIDTH = 256  # of the longer side, at which motion is measured
# Shares of the longer side. KITTI at ten hertz: 0.008 to 0.024 by drive, 0.003 for steps of 4 cm; a still camera with
# noise and compression stays below 0.0003 (docs/own-video.md).
TARGET_MOTION, CREEP, STILL = 0.012, 0.003, 0.001
DARK = 8.0  # grey levels added before brightnesses are divided
MAX_STRIDE = 30  # beyond this it is a camera that hardly moves

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Step:
    """What changed from one frame to the next.

    Attributes:
        motion: median optical flow, as a share of the longer side.
        followed: share of the image whose flow there and back again meets itself.
        likeness: correlation of what is followed, in -1 to 1.
        gain: median change of brightness of what is followed, as a natural logarithm.
        difference: mean absolute difference of the images as they are, see `data.neighbours.motion`.
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


def measure_step(first: Grey, second: Grey) -> tuple[Step, NDArray[np.float32]]:
    """Measure what changed between two small grey images of one shape (H,W).

    Returns:
        The step, and the optical flow (H,W,2) in pixels of the small images.
    """
    cv2 = opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    there, back = search.calc(first, second, None), search.calc(second, first, None)
    height, width = first.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + there[..., 0], y + there[..., 1]
    returned = there + cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    length = np.hypot(there[..., 0], there[..., 1])
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    followed = inside & (np.hypot(returned[..., 0], returned[..., 1]) < 1 + 0.1 * length)
    if followed.mean() < 0.01:
        return Step(float(np.median(length)) / max(height, width), 0.0, 0.0, 0.0, difference(first, second)), there
    warped = cv2.remap(second, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    before, after = first[followed].astype(np.float64), warped[followed].astype(np.float64)
    varied = before.std() > 1e-3 and after.std() > 1e-3
    likeness = float(np.corrcoef(before, after)[0, 1]) if varied else 1.0
    gain = float(np.median(np.log((after + DARK) / (before + DARK))))
    moved = float(np.median(length[followed])) / max(height, width)
    return Step(moved, float(followed.mean()), likeness, gain, difference(first, second)), there


def is_cut(step: Step) -> bool:
    """Say whether the second frame shows another scene, or moved so far that nothing can be followed.

    Neighbouring KITTI frames are followed for 0.47 of the image and more, cuts between its drives for 0.09 by
    median; where cuts are followed for more than 0.3, likeness is low.
    """
    return step.followed < 0.3 or (step.followed < 0.45 and step.likeness < 0.5)


def stride_for(motions: list[float], apart: int = 1) -> int:
    """Choose how many frames to go on so that the median motion of moving frames comes nearest to `TARGET_MOTION`.

    Args:
        motions: of pairs of frames.
        apart: frames from the first to the second of each pair.

    Raises:
        InputError: nothing moves.

    Example:
        >>> stride_for([0.004, 0.0041, 0.0039, 0.0])
        3
    """
    fast = float(np.percentile(motions, 90)) if motions else 0.0
    if fast < STILL:
        raise InputError("nothing moves in it: depth can only be learned from a camera that moves")
    # Where it stands for a part of the time, that part must not decide.
    typical = float(np.median([amount for amount in motions if amount > 0.2 * fast]))
    return max(1, min(MAX_STRIDE, math.floor(apart * TARGET_MOTION / typical + 0.5)))
