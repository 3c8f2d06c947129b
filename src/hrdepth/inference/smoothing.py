"""Video depth that does not flicker: smoothing over time, and a figure for what is left.

A network sees one image at a time, so its disparity flickers. Smoothing averages over time, either at each pixel or
along optical flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError, require

__all__ = ["Flicker", "Smoother"]

Float32 = NDArray[np.float32]
# Flow is computed at this width: fine enough for motion, fast enough for a video.
FLOW_WIDTH = 384
# Brightness difference (of 255) up to which two pixels may show the same point.
MAX_CHANGE = 20.0
# A frame that shares less than this part of its pixels with the last one begins another scene.
MIN_SHARED = 0.2


class Smoother:
    """Smooth disparity over time, frame by frame.

    Args:
        mode: `exponential` averages each pixel with its past: no library needed, but moving objects leave a trail.
            `flow` averages along optical flow where that is reliable, and uses the new value where it is not.
        weight: of the new frame, above 0 to 1; 1 does not smooth.

    Attributes:
        last: image (H,W,3) and smoothed disparity (H,W) of the last frame; None before the first.

    Raises:
        InputError: the weight is out of its range, or `flow` needs opencv, which is not installed.

    Example:
        >>> smooth = Smoother("exponential", weight=0.5)
        >>> black = np.zeros((2, 2, 3), dtype=np.uint8)
        >>> float(smooth(black, np.zeros((2, 2), np.float32))[0, 0])
        0.0
        >>> float(smooth(black, np.ones((2, 2), np.float32))[0, 0])
        0.5
    """

    def __init__(self, mode: Literal["exponential", "flow"] = "exponential", weight: float = 0.4) -> None:
        if mode not in ("exponential", "flow"):
            raise InputError(f"unknown smoothing '{mode}': give exponential or flow")
        if not 0 < weight <= 1:
            raise InputError(f"the weight of the new frame, {weight:g}, must be above 0 and at most 1")
        self.weight = weight
        self._flow = _Flow() if mode == "flow" else None
        self.last: tuple[NDArray[np.uint8], Float32] | None = None

    def __call__(self, image: NDArray[np.uint8], disparity: Float32) -> Float32:
        """Return the smoothed disparity (H,W) of the next frame, whose image is `image` (H,W,3) uint8."""
        past = self._past(image, disparity)
        smoothed = (
            disparity
            if past is None
            else np.where(np.isnan(past), disparity, self.weight * disparity + (1 - self.weight) * past)
        )
        self.last = image, np.asarray(smoothed, dtype=np.float32)
        return self.last[1]

    def _past(self, image: NDArray[np.uint8], disparity: Float32) -> Float32 | None:
        """Return the smoothed past at the pixels of this frame, NaN where there is none."""
        if self.last is None or self.last[1].shape != disparity.shape:
            return None
        before, past = self.last
        if self._flow is not None:
            return self._flow.warp(before, image, past)
        change = np.abs(before[::4, ::4].astype(np.int16) - image[::4, ::4]).mean(axis=2)
        return None if (change < MAX_CHANGE).mean() < MIN_SHARED else past


@dataclass
class Flicker:
    """How much the disparity of a video flickers, frame by frame.

    The mean difference between the disparity of a frame and that of the one before, warped by optical flow,
    as a share of the mean disparity. True changes of depth count too, so compare it between two results for one video
    and not between videos. Needs opencv.
    """

    total: float = 0.0
    pairs: int = 0
    last: tuple[NDArray[np.uint8], Float32] | None = None

    def __post_init__(self) -> None:
        self._flow = _Flow()

    def update(self, image: NDArray[np.uint8], disparity: Float32) -> None:
        """Add the next frame: image (H,W,3) uint8 and disparity (H,W)."""
        last, self.last = self.last, (image, disparity)
        if last is None or last[1].shape != disparity.shape:
            return
        warped = self._flow.warp(last[0], image, last[1])
        if warped is not None:
            known = ~np.isnan(warped)
            self.total += float(np.abs(disparity - warped)[known].mean() / disparity[known].mean())
            self.pairs += 1

    @property
    def value(self) -> float:
        """The figure so far; NaN before two frames of one scene."""
        return self.total / self.pairs if self.pairs else float("nan")


class _Flow:
    """Dense optical flow (DIS, Kroeger et al., ECCV 2016) that warps values from one frame to the next."""

    def __init__(self) -> None:
        cv2 = require("cv2", "video", "smoothing along optical flow, and the flicker figure, need")
        self._cv2 = cv2

    def warp(self, last: NDArray[np.uint8], image: NDArray[np.uint8], values: Float32) -> Float32 | None:
        """Warp `values` (H,W) of the image `last` to the pixels of `image`.

        Returns:
            (H,W), NaN where forward and backward flow disagree, brightness changes, or the point was out of view; None
            where that is nearly everywhere: another scene.
        """
        cv2 = self._cv2
        height, width = values.shape
        small = (min(width, FLOW_WIDTH), max(1, round(height * min(width, FLOW_WIDTH) / width)))
        before, now = (
            cv2.resize(
                cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY), small, interpolation=cv2.INTER_AREA
            )
            for frame in (last, image)
        )
        if min(before.shape) < 16:  # the smallest size that DIS accepts
            raise InputError(f"images of {width}x{height} are too small for optical flow")
        # A new one each time: its results depend on the images that it has seen.
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        backward, forward = dis.calc(now, before, None), dis.calc(before, now, None)
        x, y = np.meshgrid(np.arange(small[0], dtype=np.float32), np.arange(small[1], dtype=np.float32))
        at_x, at_y = x + backward[..., 0], y + backward[..., 1]
        returned = cv2.remap(forward, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1e3)
        brightness = cv2.remap(before, at_x, at_y, cv2.INTER_LINEAR).astype(np.float32)
        inside = (at_x >= 0) & (at_x <= small[0] - 1) & (at_y >= 0) & (at_y <= small[1] - 1)
        same = inside & (np.linalg.norm(returned + backward, axis=2) < 1.5) & (np.abs(brightness - now) < MAX_CHANGE)
        if same.mean() < MIN_SHARED:
            return None
        full_x = cv2.resize(at_x, (width, height)) * (width / small[0])
        full_y = cv2.resize(at_y, (width, height)) * (height / small[1])
        warped = cv2.remap(values, full_x, full_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known = cv2.resize(same.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        return np.where(known, warped, np.float32(np.nan)).astype(np.float32)
