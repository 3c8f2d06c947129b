"""What is evaluated: a network's prediction for one image by the protocol, or the file of another program."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hrdepth.camera import focal_factor
from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import check_disparity
from hrdepth.inference.predictor import blend_flipped
from hrdepth.io.arrays import map_array, open_archive
from hrdepth.io.files import existing_file
from hrdepth.io.images import image_size, read_image
from hrdepth.truth import GroundTruth

__all__ = [
    "Predict",
    "check_shape",
    "check_true_image",
    "per_image",
    "predict_image",
    "read_disparities",
    "read_true_image",
]

ASPECT_TOLERANCE = 0.05
"""Share by which an image and its true depth may differ in aspect ratio, as in the scan of training data."""

Predict = Callable[[Image.Image], NDArray[np.float32]]


def read_disparities(path: str | Path) -> NDArray[Any]:
    """Read predictions: an .npy, or an .npz with one array; (N,h,w) or (N,1,h,w), 1/depth.

    Raises:
        InputError: the file is missing or damaged, or holds Python objects or another shape.
    """
    path = existing_file(path, "the file of predictions")
    try:
        if zipfile.is_zipfile(path):
            with open_archive(path) as arrays:
                if len(arrays.files) != 1:
                    raise InputError(f"{path} must hold one array, but holds {', '.join(arrays.files) or 'none'}")
                array: NDArray[Any] = np.asanyarray(arrays[arrays.files[0]])  # bytes of a file that is no array
        else:
            array = map_array(path)
    except InputError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise InputError(
            f"{path} is not an .npy or .npz of plain numbers ({error}); save scaled disparities (N,h,w)"
        ) from error
    return per_image(array, str(path))


def per_image(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Return predictions (N,h,w) or (N,1,h,w) of floats as (N,h,w).

    Raises:
        InputError: they have another shape or type; `where` is their source, for the message.
    """
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{where}: {array.dtype} {array.shape} must be float disparities (N,h,w)")
    return array


def predict_image(
    predict: Predict, truth: GroundTruth, protocol: DepthProtocol, canonical_focal: float | None = None
) -> NDArray[Any]:
    """Predict scaled disparity (h,w) for one image by the protocol; see `evaluate_network`.

    Raises:
        InputError: the image is missing or damaged, or the prediction is not an array of finite, non-negative values.
    """
    image = read_true_image(truth)
    try:
        disparity = check_disparity(predict(image)) / _focal_factor(truth, canonical_focal)
        if not protocol.post_process:
            return disparity
        mirrored = check_disparity(predict(ImageOps.mirror(image)))[:, ::-1] / _focal_factor(truth, canonical_focal)
    except InputError as error:
        raise InputError(f"{truth.image}: {error}") from error
    return blend_flipped(disparity, mirrored)


def read_true_image(truth: GroundTruth) -> Image.Image:
    """Read the image of true depth, or the part of it that the depth is of.

    Raises:
        InputError: the image is missing, damaged, or of another shape than the depth.
    """
    if truth.image is None:
        raise InputError(f"the image of '{truth.name}' is missing; a network needs it")
    image = read_image(truth.image)
    if truth.image_rows is not None:
        upper, lower = (round(part * image.height) for part in truth.image_rows)
        image = image.crop((0, upper, image.width, lower))
    check_shape(truth, (image.height, image.width), f"the image {truth.image}", ASPECT_TOLERANCE)
    return image


def check_true_image(truth: GroundTruth) -> None:
    """Check by its header that the image of true depth has the depth's shape, if there is one that can be read.

    Raises:
        InputError: it has another one, as depth of another view has.
    """
    if truth.image is None:
        return
    try:
        height, width = image_size(truth.image)
    except InputError:  # given predictions do not need it
        return
    upper, lower = (round(part * height) for part in truth.image_rows or (0.0, 1.0))
    check_shape(truth, (lower - upper, width), f"the image {truth.image}", ASPECT_TOLERANCE)


def check_shape(truth: GroundTruth, size: tuple[int, ...], what: str, tolerance: float) -> None:
    """Raise InputError if true depth has another aspect ratio than `size` (height, width)."""
    aspect = size[1] * truth.depth.shape[0] / (size[0] * truth.depth.shape[1])
    if not truth.stretched and max(aspect, 1 / aspect) > 1 + tolerance:
        turned = " (as it is displayed, upright)" if what.startswith("the image") else ""
        raise InputError(
            f"the true depth of '{truth.name}' has {truth.depth.shape[1]}x{truth.depth.shape[0]} pixels (width x "
            f"height), {what} {size[1]}x{size[0]}{turned}: one is turned or cropped; give depth of the same view"
        )


def _focal_factor(truth: GroundTruth, canonical_focal: float | None) -> float:
    if canonical_focal is None or truth.intrinsics is None:
        return 1.0
    return focal_factor(float(truth.intrinsics[0, 0]), truth.depth.shape[1], canonical_focal)
