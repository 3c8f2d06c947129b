"""The camera of an image, and what a network's disparity means for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BaselineError",
    "Camera",
    "DepthScale",
    "LearnedCamera",
    "aspect_size",
    "check_focal_lengths",
    "choose_camera",
    "focal_factor",
    "pinhole",
]

Number = TypeVar("Number", float, "Tensor")

SAME_ASPECT = 0.1
"""Difference of the logarithms of aspect ratios up to which an image is resized to the trained size."""
UNKNOWN_SHIFT = "1/depth is known up to a factor and a shift that differ from image to image"
"""What a network predicts that learned nothing else from its teacher."""
MOST_PIXELS = 2.0
"""Of an image with its own aspect ratio, in the number that the network was trained with."""


class BaselineError(InputError):
    """The distance between the cameras of a stereo pair is not positive, or in another unit than metres."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        intrinsics: (3,3) float64 in pixels of an image of `size`.
        size: (height, width) in pixels.
        baseline: distance between the left and the right camera, positive, in the units that predicted depth should
            have; None without stereo pairs.
        source: where the numbers come from, for messages.
        baseline_metres: the same distance in metres, if it is known.
        mask: an image of the same shape, black where the camera never sees the scene: overlays, the car's hood.
        learn: whether the intrinsics are learned, and these are only the initial values.
        keep: the share of the image's height, from the top, that samples use; the car's hood lies below.
        pixel_aspect: width / height of a pixel; K has it in fx and fy.

    Raises:
        InputError: the intrinsics cannot be pixels of an image of this size, or the baseline is not positive.
    """

    intrinsics: NDArray[np.float64]
    size: tuple[int, int]
    baseline: float | None = None
    source: str = "the camera"
    baseline_metres: float | None = None
    mask: Path | None = None
    learn: bool = False
    keep: float = 1.0
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        height, width = self.size
        cx, cy = self.intrinsics[:2, 2]
        check_focal_lengths(self.intrinsics, self.size, self.source)
        if self.baseline is not None and not self.baseline > 0:
            raise BaselineError(
                f"{self.source}: the baseline {self.baseline:g} must be positive: left and right swapped?"
            )
        if not (0 < cx < width and 0 < cy < height):
            raise InputError(
                f"{self.source}: the principal point ({cx:g}, {cy:g}) lies outside the {width}x{height} image; "
                "give K in pixels of that size"
            )


def check_focal_lengths(intrinsics: NDArray[np.float64], size: tuple[int, ...], source: str) -> None:
    """Check that the intrinsics (3,3) are in pixels of an image of `size` (height, width).

    Raises:
        InputError: they cannot be, as those that are normalised or in millimetres.
    """
    (height, width), fx, fy = size[:2], intrinsics[0, 0], intrinsics[1, 1]
    if not (0.1 * width < fx < 20 * width and 0.1 * height < fy < 20 * height):
        raise InputError(
            f"{source}: focal lengths fx = {fx:g}, fy = {fy:g} cannot be pixels of a {width}x{height} image "
            "(width x height); give K in pixels of that size, not normalised or in millimetres"
        )


@dataclass(frozen=True)
class LearnedCamera:
    """A camera whose intrinsics were learned in training.

    Attributes:
        name: of its recording.
        size: (height, width) of its images.
        fx: focal length in pixels of `size`.
        fy: vertical focal length, pixels.
        cx: column of the principal point, pixels.
        cy: row of the principal point, pixels.
        start: initial fx.
    """

    name: str
    size: tuple[int, int]
    fx: float
    fy: float
    cx: float
    cy: float
    start: float

    def intrinsics(self, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """Return K (3,3) in pixels of an image of `size` (height, width); by default its own.

        Example:
            >>> camera = LearnedCamera("drive", (100, 200), 120.0, 120.0, 100.0, 50.0, 90.0)
            >>> camera.intrinsics((50, 100)).tolist()
            [[60.0, 0.0, 50.0], [0.0, 60.0, 25.0], [0.0, 0.0, 1.0]]
        """
        height, width = self.size if size is None else size
        across, down = width / self.size[1], height / self.size[0]
        return np.array([[self.fx * across, 0, self.cx * across], [0, self.fy * down, self.cy * down], [0, 0, 1]])


def choose_camera(cameras: Sequence[LearnedCamera], name: str | None = None) -> LearnedCamera | None:
    """Return the learned camera of a weights file that took the images to come.

    Args:
        cameras: of the weights.
        name: of the camera; None takes the only one there is, and none of several.

    Raises:
        InputError: no learned camera has that name.
    """
    if name is None:
        return cameras[0] if len(cameras) == 1 else None
    for camera in cameras:
        if camera.name == name:
            return camera
    names = ", ".join(camera.name for camera in cameras)
    raise InputError(f"the weights file has no learned camera '{name}'; it has {names or 'none'}")


def pinhole(fx: float, fy: float, cx: float, cy: float) -> NDArray[np.float64]:
    """Return the intrinsics (3,3) of a camera without skew, all in pixels."""
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class DepthScale:
    """Converts a network's disparity to depth, and describes the unit of depth.

    Attributes:
        min_depth: the depth at disparity 1, in network units.
        max_depth: the depth at disparity 0.
        metres_per_unit: metres = depth x metres_per_unit; None where depth is known up to scale only.
        canonical_focal: fx, in image widths, of the camera that the network's depth holds for; another camera's depth
            is `focal_factor` times it. None if depth is used unchanged for any camera.
        shift: of 1/depth, in 1/network units: what is added to the network's, which is 0 to nearly all. None where each
            image has an unknown factor and shift of its own, as with a network that learned from such a teacher alone:
            then there is disparity, but no depth.

    Raises:
        InputError: the range is empty, not positive or not finite, a factor is not positive, or metres of an unknown
            shift are given.

    Example:
        >>> DepthScale(metres_per_unit=5.4).depth(np.array([0.0, 1.0], np.float32)).round(3).tolist()
        [100.0, 0.10000000149011612]
    """

    min_depth: float = 0.1
    max_depth: float = 100.0
    metres_per_unit: float | None = None
    canonical_focal: float | None = None
    shift: float | None = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.min_depth < self.max_depth < inf:
            raise InputError(
                f"the depth range {self.min_depth:g} to {self.max_depth:g} is empty, not positive or not finite"
            )
        for name in ("metres_per_unit", "canonical_focal"):
            value = getattr(self, name)
            if isinstance(value, np.floating):
                value = float(value)
                object.__setattr__(self, name, value)  # which JSON has
            if value is not None and not (isinstance(value, int | float) and 0 < value <= sys.float_info.max):
                raise InputError(f"{name} is {value!r:.40}; it must be a positive number")
        if self.shift is not None and not (isinstance(self.shift, int | float) and abs(self.shift) < inf):
            raise InputError(f"shift is {self.shift!r:.40}; it must be a number, in 1/units of depth")
        if self.shift is None and self.metres_per_unit is not None:
            raise InputError("depth of an unknown shift has no metres: remove metres_per_unit")

    @classmethod
    def of(cls, network: Any) -> DepthScale:
        """Return a network's scale; of one without, the range that it names, else 0.1 to 100."""
        own: DepthScale | None = getattr(network, "scale", None)
        return own or cls(float(getattr(network, "min_depth", 0.1)), float(getattr(network, "max_depth", 100.0)))

    def as_dict(self) -> dict[str, float | None]:
        """Return it for a file, JSON-able: without a shift of 0, which files of earlier versions do not name."""
        return {name: value for name, value in asdict(self).items() if name != "shift" or value != 0}

    def focal_factor(self, intrinsics: NDArray[np.float64] | None, width: int) -> float:
        """Return depth for a camera / the network's depth; 1 without intrinsics or a canonical focal length.

        Args:
            intrinsics: (3,3) in pixels of an image that is `width` wide.
            width: pixels.
        """
        if self.canonical_focal is None or intrinsics is None:
            return 1.0
        return focal_factor(float(intrinsics[0, 0]), width, self.canonical_focal)

    def scaled_disparity(
        self, disparity: NDArray[np.float32], intrinsics: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Turn disparity (...,H,W) into 1/depth, in 1/network units; up to a factor and a shift where that is unknown.

        Args:
            disparity: the network's sigmoid output.
            intrinsics: (3,3) of the camera, in pixels of this map; None for the canonical camera.
        """
        low, high = 1 / self.max_depth, 1 / self.min_depth
        scaled = np.asarray(np.float32(high - low) * disparity, dtype=np.float32)
        scaled += np.float32(low)
        if self.shift:
            scaled = np.maximum(scaled + np.float32(self.shift), np.float32(low))  # nothing is farther than max_depth
        factor = self.focal_factor(intrinsics, disparity.shape[-1])
        return scaled if factor == 1 else np.asarray(scaled / np.float32(factor), dtype=np.float32)

    def depth(
        self, disparity: NDArray[np.float32], intrinsics: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Turn disparity into depth in network units; arguments as for `scaled_disparity`.

        Raises:
            InputError: the shift is unknown.
        """
        self.check_depth()
        return np.asarray(np.reciprocal(self.scaled_disparity(disparity, intrinsics)), dtype=np.float32)

    @property
    def has_depth(self) -> bool:
        """Whether disparity determines depth, be it up to a factor."""
        return self.shift is not None

    def check_depth(self) -> None:
        """Raise InputError if disparity does not determine depth."""
        if not self.has_depth:
            raise InputError(
                f"this network gives no depth: {UNKNOWN_SHIFT}; train it by view synthesis besides its teacher, or "
                "predict with --shift VALUE"
            )

    @property
    def unit(self) -> str:
        """The unit of depth, in words."""
        if not self.has_depth:
            return f"none: {UNKNOWN_SHIFT}"
        if self.metres_per_unit is None:
            return "up to scale: ratios of depths mean something, metres are not known"
        return "metres" if self.metres_per_unit == 1 else f"metres = depth x {self.metres_per_unit:g}"

    @property
    def sentence(self) -> str:
        """What the network's depth means, in words."""
        if not self.has_depth:
            return UNKNOWN_SHIFT
        metres = self.metres_per_unit
        known = "depth is known up to an unknown factor" if metres is None else f"metres = {metres:g} x predicted depth"
        if self.canonical_focal is None:
            return known
        return f"{known}, predicted depth being fx / ({self.canonical_focal:g} x width) times the network's"


def focal_factor(focal_length: Number, width: int, canonical_focal: float) -> Number:
    """Return the factor from depth for the canonical camera to depth for this camera.

    A network gets one image and no intrinsics: what looks twice as large, because the focal length is twice as long,
    seems half as far away. Its depth therefore holds for one canonical focal length; multiply by this factor for
    another camera.

    Args:
        focal_length: fx of the camera, in pixels, any shape.
        width: of its image, in pixels.
        canonical_focal: fx of the canonical camera, in image widths.

    Example:
        >>> focal_factor(1200.0, width=1000, canonical_focal=0.6)
        2.0
    """
    return focal_length / (canonical_focal * width)


def aspect_size(image: tuple[int, int], trained: tuple[int, int], stride: int = 32) -> tuple[int, int]:
    """Return the size of an image for a network that may have been trained at another aspect ratio.

    If the aspect ratios differ by less than a tenth, it is the trained size. Otherwise the image keeps its own, at the
    trained width, so that objects are as wide as in training, if that gives at least as many pixels as the network was
    trained with, and at most twice as many; else at the nearest of these numbers.

    Args:
        image: (height, width) of the image.
        trained: (height, width) that the network was trained with.
        stride: of the network: height and width are multiples of it, at least two of them.

    Note:
        Measured with `mini-street-fine`, of 512x160, on nine images of 1936x1216: Abs Rel 0.334 at 512x160, 0.298 at
        352x224 (as many pixels), 0.279 at 512x320 (this rule), 0.285 at 576x352; on eight of KITTI's aspect ratio
        0.144 at 512x160, 0.155 at 640x192.

    Example:
        >>> [aspect_size(image, (160, 512)) for image in ((375, 1242), (1216, 1936), (640, 480))]
        [(160, 512), (320, 512), (480, 352)]
    """
    aspect = image[1] / image[0]
    if abs(log(aspect * trained[0] / trained[1])) < SAME_ASPECT:
        return trained
    least = trained[0] * trained[1]
    pixels = min(max(trained[1] ** 2 / aspect, least), MOST_PIXELS * least)
    height, width = (max(2, round(sqrt(pixels * ratio) / stride)) * stride for ratio in (1 / aspect, aspect))
    return height, width
