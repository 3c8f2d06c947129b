"""The Eigen protocol: seven metrics that compare predicted with true depth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.io.tables import METRIC_HEADINGS

__all__ = [
    "METRICS",
    "Comparison",
    "ImageResult",
    "compare_depth",
    "compared_pixels",
    "depth_errors",
    "evaluate_image",
    "garg_crop",
    "sample_disparity",
    "scale_and_shift",
]

METRICS = tuple(METRIC_HEADINGS)
"""The seven in the paper's order. Lower is better for the first four; sq_rel and rmse are in metres."""

GARG_ROWS = (0.40810811, 0.99189189)
GARG_COLUMNS = (0.03594771, 0.96405229)
"""Bounds of the crop, fractions of height and width."""


@dataclass(frozen=True)
class ImageResult:
    """The result of one image.

    Attributes:
        errors: the seven metrics, see `depth_errors`.
        ratio: the factor that scaled the prediction to metres; 1 where disparity was aligned.
        valid_pixels: number of compared pixels.
        name: of the image.
        extras: additional metrics, see `evaluation.extras`.
        truth_sha256: of the compared true depth, metres, float32; "" if it was not computed.
        falls: whether the prediction falls where 1/true depth rises, as depth does.
    """

    errors: dict[str, float]
    ratio: float
    valid_pixels: int
    name: str = ""
    extras: dict[str, float] = field(default_factory=dict)
    truth_sha256: str = ""
    falls: bool = False


def depth_errors(ground_truth: ArrayLike, prediction: ArrayLike) -> dict[str, float]:
    """Compare predicted with true depth by the seven metrics, in the paper's order.

    Args:
        ground_truth: any shape, valid pixels only, metres.
        prediction: the same shape, metres.

    Returns:
        abs_rel, sq_rel (metres), rmse (metres), rmse_log, and delta1, delta2, delta3: the shares of pixels
        within a factor of 1.25, 1.25^2, 1.25^3.

    Raises:
        InputError: the shapes differ, there are no pixels, or a value is not a real number, finite and positive.

    Source: Eigen, Puhrsch, Fergus, Depth Map Prediction from a Single Image, section 4.2; HR-Depth, Table 2.

    Example:
        >>> {name: round(value, 3) for name, value in depth_errors([1.0, 2.0], [1.0, 3.0]).items()}
        {'abs_rel': 0.25, 'sq_rel': 0.25, 'rmse': 0.707, 'rmse_log': 0.287,
         'delta1': 0.5, 'delta2': 1.0, 'delta3': 1.0}
    """
    if np.ma.is_masked(ground_truth) or np.ma.is_masked(prediction):
        raise InputError("masked arrays are not compared; give the values of valid pixels, such as truth.compressed()")
    for values, what in ((ground_truth, "true"), (prediction, "predicted")):
        if (kind := np.asarray(values).dtype).kind not in "fiu":
            raise InputError(f"{what} depth must be numbers in metres, not {kind}")
    true = np.asarray(ground_truth, dtype=np.float64)
    predicted = np.asarray(prediction, dtype=np.float64)
    if true.shape != predicted.shape:
        raise InputError(f"true depth has shape {true.shape}, predicted depth {predicted.shape}")
    if not true.size:
        raise InputError("there are no pixels to compare; leave out images without true depth")
    for depth, what in ((true, "true"), (predicted, "predicted")):
        if not (np.isfinite(depth).all() and (depth > 0).all()):
            raise InputError(f"{what} depth must be finite and positive; give valid pixels only, in metres")
    difference = true - predicted
    log_difference = np.log(true) - np.log(predicted)
    factor = np.maximum(true / predicted, predicted / true)
    values = (
        np.mean(np.abs(difference) / true),
        np.mean(difference**2 / true),
        np.sqrt(np.mean(difference**2)),
        np.sqrt(np.mean(log_difference**2)),
        *(np.mean(factor < 1.25**power) for power in (1, 2, 3)),
    )
    return {name: float(value) for name, value in zip(METRICS, values, strict=True)}


def garg_crop(size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the part of a KITTI image that is compared, bool (H,W): without sky, edges and the car's hood.

    Source: Garg et al., Unsupervised CNN for Single View Depth Estimation, section 4.

    Example:
        >>> crop = garg_crop((375, 1242))
        >>> int(crop.sum(axis=0).max()), int(crop.sum(axis=1).max())
        (218, 1153)
    """
    mask = np.zeros(size, dtype=np.bool_)
    mask[_crop(size)] = True
    return mask


def _crop(size: tuple[int, int]) -> tuple[slice, slice]:
    height, width = size
    rows = slice(*(int(bound * height) for bound in GARG_ROWS))
    columns = slice(*(int(bound * width) for bound in GARG_COLUMNS))
    return rows, columns


def evaluate_image(
    ground_truth: NDArray[Any], scaled_disparity: NDArray[Any], protocol: DepthProtocol | None = None
) -> ImageResult | None:
    """Compare one prediction with one image's true depth.

    The disparity is resized bilinearly to the true depth's size and inverted; the valid pixels (true depth
    within the range, inside the crop) are scaled, by the ratio of the medians or the fixed factor, and then
    clamped to the range. With `affine` scaling, disparity is aligned with 1/true depth before it is inverted.

    Args:
        ground_truth: (H,W), metres; values outside the protocol's range, such as 0, are ignored.
        scaled_disparity: (h,w), 1/depth, in 1/metres or up to a factor, at any size.
        protocol: by default that of published KITTI numbers.

    Returns:
        The result, or None if no pixel is valid.

    Raises:
        InputError: an array does not have two dimensions, or disparity is negative, not finite, or 0 in most pixels.

    Note:
        Disparity, not depth, is resized, and the medians are computed before clamping: results depend on both.
    """
    found = compare_depth(ground_truth, check_disparity(scaled_disparity), protocol or DepthProtocol())
    return None if found is None else ImageResult(found.errors, found.ratio, found.pixels.depth.size)


@dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels to compare, in the order of the image.

    Attributes:
        rows: int (N).
        columns: int (N).
        depth: true depth, float64 (N), metres.
        size: (height, width) of the image.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    depth: NDArray[np.float64]
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Predicted and true depth of an image.

    Attributes:
        pixels: that are compared, with their true depth.
        prediction: scaled disparity float64 (h,w), as it was predicted.
        disparity: the same, aligned where the protocol's scaling is `affine`.
        sampled: the latter at the pixels, float64 (N).
        ratio: the factor from predicted depth to metres; 1 where disparity is aligned already.
        depth: predicted depth at the pixels, scaled and clamped, float64 (N), metres.
        protocol: of the comparison.
        falls: whether the prediction falls where 1/true depth rises.
    """

    pixels: Pixels
    prediction: NDArray[np.float64]
    disparity: NDArray[np.float64]
    sampled: NDArray[np.float64]
    ratio: float
    depth: NDArray[np.float64]
    protocol: DepthProtocol
    falls: bool

    @property
    def errors(self) -> dict[str, float]:
        """The seven metrics."""
        return depth_errors(self.pixels.depth, self.depth)

    def full_depth(self) -> NDArray[np.float64]:
        """Return predicted depth of the whole image, scaled and clamped, float64 (H,W), metres."""
        with np.errstate(divide="ignore"):
            depth = self.ratio / resize_disparity(self.disparity, self.pixels.size)
        return np.clip(depth, *self.protocol.depth_range)


def compare_depth(
    ground_truth: NDArray[Any], disparity: NDArray[np.float64], protocol: DepthProtocol
) -> Comparison | None:
    """Compare a disparity returned by `check_disparity`, as `evaluate_image` does; None if no pixel is valid."""
    pixels = compared_pixels(ground_truth, protocol)
    if not pixels.depth.size:
        return None
    prediction, sampled = disparity, sample_disparity(disparity, pixels)
    true = 1 / pixels.depth
    varies = np.ptp(sampled) > 1e-6 * np.abs(sampled).max()  # beyond rounding
    falls = bool(varies and (sampled - sampled.mean()) @ (true - true.mean()) < 0)
    if protocol.scaling == "affine":
        scale, shift = scale_and_shift(true, sampled)
        # Below 0 there is no depth: as far as can be.
        disparity, sampled = (np.maximum(scale * values + shift, 0) for values in (disparity, sampled))
    with np.errstate(divide="ignore"):  # disparity 0 gives infinite depth, which is clamped
        depth = 1 / sampled
    ratio = 1.0
    if protocol.scaling == "median":
        ratio = median_ratio(pixels.depth, depth)
    elif protocol.scaling != "affine":
        ratio = float(protocol.scaling)
    clamped = np.clip(depth * ratio, *protocol.depth_range)
    return Comparison(pixels, prediction, disparity, sampled, ratio, clamped, protocol, falls)


def compared_pixels(ground_truth: NDArray[Any], protocol: DepthProtocol) -> Pixels:
    """Return the pixels of true depth (H,W), metres, within the protocol's range and crop.

    Raises:
        InputError: the array does not have two dimensions.

    Note:
        95 % of a laser's depth image are empty; all later steps use the other pixels only.
    """
    truth = np.asarray(ground_truth)
    if truth.ndim != 2:
        raise InputError(f"true depth must be (H,W), not of shape {truth.shape}")
    size = (int(truth.shape[0]), int(truth.shape[1]))
    rows, columns = _crop(size) if protocol.crop != "none" else (slice(0, size[0]), slice(0, size[1]))
    inside = truth[rows, columns]
    found = np.flatnonzero(inside > 0)
    depth = inside.reshape(-1)[found].astype(np.float64)  # the range is compared in float64, as the reference does
    nearest, farthest = protocol.depth_range
    valid = (depth > nearest) & (depth < farthest)
    y, x = np.divmod(found[valid], max(1, inside.shape[1]))
    return Pixels(y + rows.start, x + columns.start, depth[valid], size)


def sample_disparity(disparity: NDArray[np.float64], pixels: Pixels) -> NDArray[np.float64]:
    """Return the disparity, resized bilinearly to the image's size, at the pixels, float64 (N).

    Args:
        disparity: (h,w).
        pixels: at which to sample.
    """
    if disparity.shape == pixels.size:
        return np.asarray(disparity[pixels.rows, pixels.columns])
    (top, bottom, down), (left, right, across) = (
        tuple(values[indices] for values in _neighbours(length, full))
        for length, full, indices in zip(disparity.shape, pixels.size, (pixels.rows, pixels.columns), strict=True)
    )
    flat, width = disparity.reshape(-1), disparity.shape[1]
    top, bottom = top * width, bottom * width
    upper = flat[top + left] * (1 - across) + flat[top + right] * across
    lower = flat[bottom + left] * (1 - across) + flat[bottom + right] * across
    return np.asarray(upper * (1 - down) + lower * down)


def median_ratio(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Return median(true) / median(predicted) of depths (N).

    Raises:
        InputError: most of the predicted depths are infinite.
    """
    median = float(np.median(predicted))
    if not np.isfinite(median):
        raise InputError("scaled disparity is 0 in most of the compared pixels; there is no median depth")
    return float(np.median(true)) / median


def scale_and_shift(true: NDArray[np.float64], disparity: NDArray[np.float64]) -> tuple[float, float]:
    """Return s and t that minimise the sum of (s disparity + t - true)^2.

    Args:
        true: 1/depth (N).
        disparity: (N); if it is constant, s is 0 and t the mean of `true`.

    Source: Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2020, section 5.

    Example:
        >>> scale_and_shift(np.array([3.0, 5.0, 7.0]), np.array([1.0, 2.0, 3.0]))
        (2.0, 1.0)
    """
    centre = disparity.mean()
    spread = float(((disparity - centre) ** 2).sum())
    # A constant disparity has a small spread because of rounding.
    constant = spread <= 1e-24 * len(disparity) * float(centre) ** 2
    scale = 0.0 if constant else float(((disparity - centre) * (true - true.mean())).sum()) / spread
    return scale, float(true.mean() - scale * centre)


def _neighbours(length: int, full: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return, for each of `full` pixels, the two of `length` that it lies between, and the second one's weight."""
    position = np.maximum((np.arange(full) + 0.5) * (length / full) - 0.5, 0)
    first = np.minimum(position.astype(np.intp), length - 1)
    return first, np.minimum(first + 1, length - 1), position - first


def valid_pixels(truth: NDArray[Any], protocol: DepthProtocol) -> NDArray[np.bool_]:
    """Return where true depth (H,W), metres, is compared: within the protocol's range and crop, bool (H,W)."""
    pixels = compared_pixels(truth, protocol)
    valid = np.zeros(pixels.size, dtype=np.bool_)
    valid[pixels.rows, pixels.columns] = True
    return valid


def check_disparity(scaled_disparity: NDArray[Any]) -> NDArray[np.float64]:
    """Return the disparity as float64 (h,w).

    Raises:
        InputError: it does not have two dimensions, is empty, negative or not finite.
    """
    disparity = np.asarray(scaled_disparity, dtype=np.float64)
    if disparity.ndim != 2 or not disparity.size:
        raise InputError(f"scaled disparity must be (h,w), not of shape {disparity.shape}")
    if not np.isfinite(disparity).all():
        raise InputError("scaled disparity holds values that are not finite")
    if (disparity < 0).any():
        raise InputError("scaled disparity (1/depth) is negative somewhere; is it 1/depth?")
    return disparity


def resize_disparity(disparity: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize disparity (h,w) bilinearly to `size` (height, width)."""
    rows, columns = np.divmod(np.arange(size[0] * size[1]), size[1])
    return sample_disparity(disparity, Pixels(rows, columns, np.empty(0), size)).reshape(size)
