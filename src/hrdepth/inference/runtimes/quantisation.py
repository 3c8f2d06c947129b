"""Int8: weights and activations in eight bits, with ranges from a folder of images, through NNCF."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hrdepth.errors import InputError, require
from hrdepth.inference.runtimes.openvino_core import signal_stack_kept
from hrdepth.io.image_files import visible_images, walk
from hrdepth.io.images import read_image

__all__ = ["KEEP", "calibration_images", "quantise"]

# Layers that stay in float: the gates of fSE and of squeeze-and-excitation, which are tiny, cost nothing,
# and in eight bits lose ten times as much as everything else together; and the first layers of mobile backbones, whose
# few channels have ranges that differ most.
KEEP = (".*gate.*", ".*/fc[12]/.*", ".*/conv_stem/.*", r".*/blocks\.0/.*")


def calibration_images(folder: Path, limit: int) -> list[Path]:
    """List up to `limit` images below a folder, evenly spread over it.

    Raises:
        InputError: there is no such folder, or it contains no image.
    """
    if not folder.is_dir():
        raise InputError(
            f"the calibration folder {folder} does not exist; give one with images like those of the network"
        )
    found = sorted(visible_images(walk(folder)))
    if not found:
        raise InputError(f"the calibration folder {folder} contains no image, such as .jpg or .png")
    if len(found) <= limit:
        return found
    return [found[int(index)] for index in np.linspace(0, len(found) - 1, limit)]


def quantise(
    model: Any,
    folder: Path,
    size: tuple[int, int],
    *,
    keep: Sequence[str] = KEEP,
    images: int = 64,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Any:
    """Quantise an OpenVINO model.

    Args:
        model: for images of `size` or of any size; its input stays as it is.
        folder: of images like those of the network.
        size: (height, width) that they are resized to.
        keep: regular expressions over the names of layers that stay in float.
        images: at most so many of them.
        normalise: mean and standard deviation by which images in [0,1] are normalised for it; None for none.

    Raises:
        InputError: NNCF is not installed, or the folder contains no images.
    """
    nncf = require("nncf", "int8", "int8 needs")
    # Not `nncf.set_log_level`: it changes the level of handlers, which may be shared.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    paths = calibration_images(folder, images)
    mean, std = (np.array(values, dtype=np.float32) for values in normalise or ((0,) * 3, (1,) * 3))

    def sample(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        image = read_image(path).resize((size[1], size[0]), Image.Resampling.LANCZOS)
        pixels = (np.asarray(image, dtype=np.float32) / 255 - mean) / std
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])  # (1,3,h,w)

    shape = model.input(0).partial_shape
    model = model.clone()
    model.reshape([1, 3, *size])  # collecting statistics is faster with a graph of fixed sizes
    with signal_stack_kept():  # NNCF loads a core for each of its steps
        quantised = nncf.quantize(
            model,
            nncf.Dataset(paths, sample),
            subset_size=len(paths),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(patterns=list(keep), validate=False) if keep else None,
        )
    quantised.reshape(shape)
    return quantised
