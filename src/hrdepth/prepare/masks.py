"""Find regions that do not move when the camera does: overlays, and the hood of the car.

A point that moves with the scene sees edges of every direction pass by; one that is fixed to the camera keeps the same
edge. So the mean of the gradients over time, as vectors, divided by the mean of their lengths is near 1 there and near
0 elsewhere. Distant scenery can look similar in a short recording, but it shakes with the camera, whereas an overlay
does not shift by a pixel. A hood has an upper edge, dark on bright or bright on dark as the road changes, and little
changes below it.

Source: the mean gradient as evidence of what is drawn over images is Dekel et al. 2017, On the Effectiveness of
Visible Watermarks, section 3. Numbers were measured on KITTI, with hood and overlay drawn in and without
(docs/own-video.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.prepare.motion import opencv

__all__ = ["MIN_FRAMES", "StillRegions", "mask_image"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MIN_FRAMES = 24  # fewer are not conclusive
BLOCK = 8  # frames of a block, over which an edge must stay
STEADY = 0.7  # mean of the gradients over mean of their lengths, within a block
LASTING = 0.8  # share of the blocks in which an edge stays; the same over the whole recording
WEAK = 0.5  # instead of LASTING, next to found regions: letters on a background of the same colour
EDGE = 4.0  # grey levels a pixel: weaker gradients are noise
SHIFT = 0.8  # pixels that a region may shift from frame to frame; overlays 0.1 to 0.6, distant scenery from 0.9
SAMPLES = 32  # frames stored to measure shifts
HOOD_TOP, HOOD_SPAN = 0.45, 0.6  # a hood begins below this share of the height, and crosses so much of the middle
HOOD_EDGE = 0.85  # how constant the direction of its edge is, regardless of sign; a road's 0.7 at most
HOOD_STRAY = 0.03  # share of the height by which its line strays from a bow
HOOD_QUIET = 0.45  # change from frame to frame below its edge, as a share of the rest's
TOO_MUCH = 0.6  # larger shares are not a hood: the camera stands still


class StillRegions:
    """Finds regions that never move, frame by frame, with the memory of a few images.

    Args:
        size: (height, width) of the frames.

    Attributes:
        frames: how many it has seen.
        last_frame: the last of them (H,W,3).
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.frames = 0
        self._total = _Gradients(size)
        self._block = _Gradients(size)
        self._steady = np.zeros(size, dtype=np.float32)
        self._change = np.zeros(size, dtype=np.float32)
        self._last: Floats | None = None
        self.last_frame = np.zeros((*size, 3), dtype=np.uint8)
        self._samples: list[Floats] = []
        self._every = 1

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame (H,W,3) of a camera that has moved since the last one."""
        cv2 = opencv()
        blurred = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.0)
        grey: Floats = cv2.cvtColor(blurred, cv2.COLOR_RGB2GRAY)
        length = self._block.add(blurred)
        if self._last is not None:
            self._change += np.abs(grey - self._last)
        self._last, self.last_frame = grey, frame
        if self.frames % self._every == 0:
            self._samples.append(length)
            if len(self._samples) > SAMPLES:
                self._samples, self._every = self._samples[::2], 2 * self._every
        self.frames += 1
        if self.frames % BLOCK == 0:
            self._steady += (self._block.vector() > STEADY) & (self._block.length > EDGE * BLOCK)
            self._total.join(self._block)
            self._block = _Gradients(self.size)

    def find(self) -> Mask:
        """Return the regions that never move (H,W); none if there are too few frames, or nearly everything is still."""
        if self.frames < MIN_FRAMES:
            return np.zeros(self.size, dtype=bool)
        still = self._overlays() | self._hood()
        return still if still.mean() < TOO_MUCH else np.zeros_like(still)

    def _overlays(self) -> Mask:
        cv2, (height, width) = opencv(), self.size
        edges = (self._steady >= LASTING * (self.frames // BLOCK)) & (self._total.vector() > LASTING)
        # Join the letters of a line; then fill what they enclose.
        reach = max(3, width // 40) | 1
        joined = cv2.morphologyEx(edges.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
        evidence = np.bincount(labels.ravel(), weights=edges.ravel(), minlength=count)
        sides = stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].min(axis=1)
        large = (evidence >= 3e-4 * height * width) & (sides >= 0.012 * width)
        found = np.zeros(self.size, dtype=np.uint8)
        for label in np.flatnonzero(large[1:]) + 1:
            if self._shift(edges, stats[label]) < SHIFT:
                found |= labels == label
        found = self._grown(found, reach)
        outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        filled = cv2.drawContours(np.zeros(self.size, np.uint8), outlines, -1, 1, thickness=cv2.FILLED)
        margin = max(3, width // 64) | 1  # the loss uses windows
        grown: Mask = cv2.dilate(filled, np.ones((margin, margin), np.uint8)).astype(bool)
        return grown

    def _grown(self, found: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
        """Add what probably belongs to the same text: adjacent weaker evidence in the same rows."""
        cv2 = opencv()
        weak = (self._steady >= WEAK * (self.frames // BLOCK)) & (self._total.vector() > WEAK)
        weak &= np.asarray(found.any(axis=1))[:, None]
        joined = cv2.morphologyEx((weak | (found > 0)).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, reach), np.uint8))
        _, labels = cv2.connectedComponents(joined)
        grown: NDArray[np.uint8] = np.isin(labels, np.unique(labels[found > 0])).astype(np.uint8)
        return grown if found.any() else found

    def _shift(self, edges: Mask, box: NDArray[np.int32]) -> float:
        """Return the median shift of a region, in pixels, against what lasts in it; the larger of both axes."""
        cv2, around = opencv(), 6
        x, y, width, height = (int(value) for value in box[:4])
        part = np.s_[max(0, y - around) : y + height + around, max(0, x - around) : x + width + around]
        lengths = [sample[part] for sample in self._samples]
        lasting = cv2.dilate(edges[part].astype(np.uint8), np.ones((5, 5), np.uint8))
        reference = (np.mean(lengths, axis=0) * lasting).astype(np.float32)
        lengths = [np.minimum(length, reference.max()) for length in lengths]  # edges of the scene may be stronger
        window = cv2.createHanningWindow(reference.shape[::-1], cv2.CV_32F)
        shifts = np.array([cv2.phaseCorrelate(reference, length, window)[0] for length in lengths])
        shift: NDArray[np.float64] = np.median(np.abs(shifts - np.median(shifts, axis=0)), axis=0)
        return float(shift.max())

    def _hood(self) -> Mask:
        cv2, (height, width) = opencv(), self.size
        rows = np.arange(height)[:, None]
        change = cv2.blur(self._change, (9, 3))
        most = np.maximum.accumulate(change[::-1])[::-1]  # from here to the lower border
        margin = max(2, height // 60)  # the edge itself changes with the road
        quiet = most[np.minimum(rows[:, 0] + margin, height - 1)] < HOOD_QUIET * np.median(change[height // 3 :])
        strong = self._total.length > EDGE / 2 * self.frames
        tops = (self._total.direction() > HOOD_EDGE) & strong & quiet & (rows > HOOD_TOP * height)
        found = tops.any(axis=0)
        hood = np.zeros(self.size, dtype=bool)
        if found[width // 4 : width - width // 4].mean() < HOOD_SPAN:
            return hood
        columns = np.flatnonzero(found)
        tops_there = tops.argmax(axis=0)[columns]
        # A hood's line is a bow; columns far from it have seen something else above.
        near = np.ones(len(columns), dtype=bool)
        for _ in range(4):
            bow = np.polyfit(columns[near], tops_there[near], 2)
            distance = np.abs(np.polyval(bow, columns) - tops_there)
            near = distance <= max(HOOD_STRAY * height, float(np.median(distance)))
        top = np.interp(np.arange(width), columns[near], tops_there[near])
        hood[:] = rows >= top - margin
        return hood


class _Gradients:
    """Sums over frames: gradients as vectors, their lengths, and their directions without sign (doubled angles)."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.length = np.zeros(size, dtype=np.float32)
        self._vector = np.zeros(size, dtype=np.complex64)
        self._doubled = np.zeros(size, dtype=np.complex64)

    def add(self, image: Floats) -> Floats:
        """Add an image (H,W,3), and return its gradients' lengths."""
        channels = [_gradient(channel) for channel in opencv().split(image)]
        gradient, length = channels[0], np.abs(channels[0])
        # The strongest channel: yellow letters on the sky have its brightness.
        for other in channels[1:]:
            other_length = np.abs(other)
            stronger = other_length > length
            np.copyto(gradient, other, where=stronger)
            np.copyto(length, other_length, where=stronger)
        self.length += length
        self._vector += gradient
        gradient *= gradient
        gradient *= 1 / np.maximum(length, 1e-3)
        self._doubled += gradient
        return length

    def join(self, other: _Gradients) -> None:
        self.length += other.length
        self._vector += other._vector
        self._doubled += other._doubled

    def vector(self) -> Floats:
        """Return how constant the gradient is, in 0 to 1."""
        constant: NDArray[Any] = np.abs(self._vector) / np.maximum(self.length, 1e-3)
        return constant

    def direction(self) -> Floats:
        """Return how constant its direction is, regardless of sign, in 0 to 1."""
        constant: NDArray[Any] = np.abs(self._doubled) / np.maximum(self.length, 1e-3)
        return constant


def mask_image(frame: NDArray[np.uint8], keep: Mask) -> NDArray[np.uint8]:
    """Return a frame (H,W,3) with the masked part in red, outlined."""
    cv2 = opencv()
    image = frame.astype(np.float32)
    image[~keep] = 0.5 * image[~keep] + 0.5 * np.array([255.0, 30.0, 30.0], dtype=np.float32)
    drawn: NDArray[np.uint8] = image.astype(np.uint8)
    outlines, _ = cv2.findContours((~keep).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outlines, -1, (255, 255, 0), 1)
    return drawn


def _gradient(grey: Floats) -> NDArray[np.complex64]:
    """Return the gradient in grey levels a pixel, x as the real part."""
    cv2 = opencv()
    gradient = np.empty(grey.shape, dtype=np.complex64)
    gradient.real, gradient.imag = (cv2.Sobel(grey, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    return gradient
