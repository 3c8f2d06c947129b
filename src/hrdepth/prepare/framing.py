"""Turn an image of a camera into a frame of the training set: undistort, crop or letterbox, resize."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.prepare.lens import Lens
from hrdepth.prepare.motion import opencv

__all__ = ["LONGER_SIDE", "Framing", "natural_size"]

LONGER_SIDE = 640


class Framing:
    """Converts images of one camera to frames of one size, and K with them.

    Args:
        lens: the camera; its `size` is that of the images.
        size: (height, width) of the frames, multiples of 32; None for `natural_size`.
        fit: `crop` or `letterbox`.

    Attributes:
        intrinsics: (3,3) float64, of the frames.
        size: (height, width) of the frames.

    Raises:
        InputError: a size that is no multiple of 32, or a distortion that folds the image or leaves nothing of it.
    """

    def __init__(self, lens: Lens, size: tuple[int, int] | None, fit: Literal["crop", "letterbox"] = "crop") -> None:
        assert lens.size is not None
        self.lens = lens
        self.source = lens.size
        self.size = natural_size(lens.size) if size is None else (int(size[0]), int(size[1]))
        if any(side < 64 or side % 32 for side in self.size):
            raise InputError(
                f"size {self.size[0]}x{self.size[1]} (height x width): both must be multiples of 32, at least 64"
            )
        (height, width), (tall, wide) = self.size, self.source
        pinhole = self._pinhole
        if lens.model != "pinhole":
            self._check_maps()
        if fit == "crop":
            scale = max(height / tall, width / wide)
            kept_w, kept_h = width / scale, height / scale
            left, top = (wide - kept_w) / 2, (tall - kept_h) / 2
            self._box = (left, top, left + kept_w, top + kept_h)
            self._inner = (0, 0, width, height)
        else:
            scale = min(height / tall, width / wide)
            inner_w, inner_h = round(wide * scale), round(tall * scale)
            self._box = (0.0, 0.0, float(wide), float(tall))
            self._inner = ((width - inner_w) // 2, (height - inner_h) // 2, inner_w, inner_h)
        x, y, inner_w, inner_h = self._inner
        shift = np.array([[1, 0, -self._box[0]], [0, 1, -self._box[1]], [0, 0, 1]])
        resize = np.diag([inner_w / (self._box[2] - self._box[0]), inner_h / (self._box[3] - self._box[1]), 1.0])
        translate = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
        self.intrinsics: NDArray[np.float64] = translate @ resize @ shift @ pinhole

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn an image (H,W,3) of the lens's size into a frame."""
        if self.lens.model != "pinhole":
            cv2 = opencv()
            image = cv2.remap(image, *self._maps, cv2.INTER_LINEAR)
        x, y, width, height = self._inner
        inner = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, box=self._box)
        if (height, width) == self.size:
            return np.asarray(inner)
        frame = np.zeros((*self.size, 3), dtype=np.uint8)
        frame[y : y + height, x : x + width] = np.asarray(inner)
        return frame

    def inside(self) -> NDArray[np.bool_]:
        """Return where a frame shows the image (H,W): all but a letterbox's bars."""
        x, y, width, height = self._inner
        shown = np.zeros(self.size, dtype=bool)
        shown[y : y + height, x : x + width] = True
        return shown

    @cached_property
    def _pinhole(self) -> NDArray[np.float64]:
        """The K of the undistorted image: the largest view in which every pixel was seen."""
        if self.lens.model == "pinhole":
            return self.lens.intrinsics
        cv2, wide_first = opencv(), self.source[::-1]
        coefficients = np.array(self.lens.distortion)
        if self.lens.model == "fisheye":
            new: Any = cv2.fisheye.estimateNewCameraMatrixForUndistortRectify(
                self.lens.intrinsics, coefficients, wide_first, np.eye(3), balance=0.0
            )
        else:
            new, _ = cv2.getOptimalNewCameraMatrix(self.lens.intrinsics, coefficients, wide_first, 0.0)
        if not (np.isfinite(new).all() and new[0, 0] > 0 and new[1, 1] > 0):
            raise InputError(f"{self.lens.source}: its distortion leaves nothing of the image; check the coefficients")
        matrix: NDArray[np.float64] = np.asarray(new, dtype=np.float64).copy()
        # OpenCV scales each side separately; the larger factor for both keeps pixels square.
        factors = matrix[[0, 1], [0, 1]] / self.lens.intrinsics[[0, 1], [0, 1]]
        for axis, side in enumerate(wide_first):
            stretch = factors.max() / factors[axis]
            matrix[axis, axis] *= stretch
            matrix[axis, 2] = side / 2 + stretch * (matrix[axis, 2] - side / 2)
        return matrix

    @cached_property
    def _maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        cv2 = opencv()
        undistort = cv2.fisheye.initUndistortRectifyMap if self.lens.model == "fisheye" else cv2.initUndistortRectifyMap
        coefficients, wide_first = np.array(self.lens.distortion), self.source[::-1]
        x, y = undistort(self.lens.intrinsics, coefficients, np.eye(3), self._pinhole, wide_first, cv2.CV_32FC1)
        return x, y

    def _check_maps(self) -> None:
        """Refuse a distortion that shows a part of the image mirrored: it holds for a narrower view, if for any."""
        (x_down, x_across), (y_down, y_across) = (np.gradient(one) for one in self._maps)
        folded = float((x_across * y_down - x_down * y_across <= 0).mean())
        if folded > 0:
            raise InputError(
                f"{self.lens.source}: its distortion folds {max(folded, 0.001):.1%} of the image; check the "
                "coefficients, their order and their number"
            )


def natural_size(source: tuple[int, int]) -> tuple[int, int]:
    """Choose the size of frames: the image's shape, multiples of 32, 640 on the longer side or less.

    Args:
        source: (height, width) of the images.

    Raises:
        InputError: the images are smaller than 64 pixels.

    Example:
        >>> natural_size((1080, 1920)), natural_size((1920, 1080)), natural_size((192, 640))
        ((352, 640), (640, 352), (192, 640))
    """
    if min(source) < 64:
        raise InputError(f"its images are {source[1]}x{source[0]}; the networks need 64 pixels at least")
    factor = min(1.0, LONGER_SIDE / max(source))
    height, width = (max(64, 32 * int(side * factor / 32 + 0.499)) for side in source)
    return min(height, source[0] // 32 * 32), min(width, source[1] // 32 * 32)
