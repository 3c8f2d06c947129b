"""Files of a prediction: images, arrays, point clouds, videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.camera import DepthScale
from hrdepth.config import Outputs
from hrdepth.config.inference import texts
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Prediction
from hrdepth.io.files import atomic_path
from hrdepth.io.images import write_depth_png, write_image
from hrdepth.io.pointcloud import KITTI_FOCAL, PointCloud, assumed_intrinsics, point_cloud, write_glb, write_ply
from hrdepth.io.visualize import StableRange, colorize_disparity, panel
from hrdepth.registry import lookup

__all__ = [
    "OUTPUTS",
    "ImageOutput",
    "check_outputs",
    "cloud_intrinsics",
    "describe_cloud",
    "image_files",
    "lift",
    "limit_width",
    "resolve_outputs",
    "video_frame",
    "wanted",
    "write_npz",
]

SMOOTHING = ("exponential", "flow")
DEFAULT = ("disparity",)
"""Outputs that are always written."""
FAR_MEDIANS = 20.0
"""Points farther than this many median depths, such as the sky, are left out of a cloud."""


@dataclass(frozen=True)
class ImageOutput:
    """A file that `predict` writes for each image. Another one costs a file and a line in `OUTPUTS`.

    Attributes:
        suffix: of its name, after that of the image.
        write: writes it, given path and prediction.
        of_frames: whether each frame of a video has one, too.
        of_depth: whether it needs depth, which not every network gives.
    """

    suffix: str
    write: Callable[[Path, Prediction], Any]
    of_frames: bool = True
    of_depth: bool = False


def resolve_outputs(outputs: Outputs, kind: str) -> Outputs:
    """Check what is wanted of an `image`, a `folder` or a `video`, and fill in the defaults.

    Returns:
        The outputs; where `npz` is None, .npz files are written for images and folders, not for videos. What `write`
        names and has an option of its own is that option.

    Raises:
        InputError: an output does not exist or does not fit the input.
    """
    if outputs.depth_video and kind != "video":
        raise InputError("--depth-video needs a video; for images use --depth-png true")
    for name in texts(outputs.write):
        lookup(OUTPUTS, name, "output")
    if outputs.smooth not in (None, *SMOOTHING):
        raise InputError(f"unknown smoothing '{outputs.smooth}': give {' or '.join(SMOOTHING)}")
    if kind == "image" and (outputs.smooth is not None or outputs.flicker):
        raise InputError("smoothing and flicker need frames in order of time, not one image")
    chosen = {field.name: getattr(outputs, field.name) for field in fields(Outputs)}
    chosen["npz"] = kind != "video" if outputs.npz is None else outputs.npz
    chosen |= {name: True for name in texts(outputs.write) if name in chosen}
    chosen["write"] = tuple(name for name in texts(outputs.write) if name not in chosen)
    return Outputs(**chosen)


def check_outputs(outputs: Outputs, scale: DepthScale) -> None:
    """Check that a network of this scale gives what is wanted.

    Raises:
        InputError: it gives no depth, and an output needs it.
    """
    needed = [output.suffix for output in wanted(outputs) if output.of_depth]
    needed += ["_depth.mkv"] if outputs.depth_video else []
    if needed and not scale.has_depth:
        raise InputError(
            f"NAME{needed[0]} needs depth, which this network does not give: {scale.sentence}; give the shift with "
            "--shift VALUE, in 1/units of depth, or leave this output out"
        )


def image_files(name: str, outputs: Outputs) -> list[str]:
    """Return the names of the files of one image."""
    return [f"{name}{output.suffix}" for output in wanted(outputs)]


def wanted(outputs: Outputs) -> list[ImageOutput]:
    """Return what is written for an image: the default, what has its option, and what `write` names."""
    named = (*DEFAULT, *texts(outputs.write))
    return [output for name, output in OUTPUTS.items() if name in named or getattr(outputs, name, False)]


def write_npz(path: str | Path, prediction: Prediction) -> None:
    """Write a prediction as .npz, atomically; `numpy.load` reads it without pickle.

    Arrays: disparity and depth (H,W) float32, min_depth and max_depth in network units, scale (what a unit
    of depth is, a text), metres_per_unit, intrinsics (3,3) and canonical_focal only where they are known, shift only
    where it was given; depth only where the network gives it.

    Raises:
        InputError: the folder cannot be written.
    """
    arrays: dict[str, Any] = {
        "disparity": prediction.disparity,
        "depth": prediction.depth if prediction.depth_scale.has_depth else None,
        "min_depth": np.float64(prediction.min_depth),
        "max_depth": np.float64(prediction.max_depth),
        "scale": np.array(prediction.scale),
        "metres_per_unit": prediction.metres_per_unit,
        "intrinsics": prediction.intrinsics,
        "canonical_focal": prediction.canonical_focal,
        "shift": prediction.shift or None,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{name: value for name, value in arrays.items() if value is not None})


def cloud_intrinsics(prediction: Prediction) -> NDArray[np.float64]:
    """Return the prediction's intrinsics (3,3); if unknown those of the network's camera, or of KITTI's."""
    if prediction.intrinsics is not None:
        return prediction.intrinsics
    height, width = prediction.disparity.shape
    return assumed_intrinsics((height, width), prediction.canonical_focal or KITTI_FOCAL)


def lift(prediction: Prediction, far_medians: float = FAR_MEDIANS, max_points: int | None = None) -> PointCloud:
    """Lift a prediction to points, in metres if they are known.

    Args:
        prediction: what the network predicted.
        far_medians: points farther than this many median depths are left out.
        max_points: thin the points to about this many.

    Raises:
        InputError: no point is left, or there is no depth.
    """
    depth = prediction.best_depth
    far = far_medians * float(np.median(depth))
    return point_cloud(depth, prediction.image, cloud_intrinsics(prediction), far=far, most=max_points)


def describe_cloud(prediction: Prediction) -> dict[str, str]:
    """Return the comments for the header of a point cloud's file."""
    fx = cloud_intrinsics(prediction)[0, 0]
    return {
        "unit": "metres" if prediction.metres_per_unit is not None else prediction.scale,
        "camera": "as given" if prediction.intrinsics is not None else f"assumed: fx = {fx:g} pixels",
    }


def video_frame(prediction: Prediction, colours: StableRange, with_image: bool, widest: int) -> NDArray[np.uint8]:
    """Return a video's frame uint8 (h,w,3): disparity in colours that do not flicker, beside the image if wanted."""
    low, high = colours.update(prediction.disparity)
    if with_image:
        image = panel(prediction.image, prediction.disparity, vmin=low, vmax=high, labels=None)
    else:
        image = colorize_disparity(prediction.disparity, low, high)
    return limit_width(image, widest)


def limit_width(image: NDArray[np.uint8], widest: int) -> NDArray[np.uint8]:
    """Return an image uint8 (H,W,3) at most `widest` wide, scaled down if it is wider."""
    height, width = image.shape[:2]
    if width <= widest:
        return image
    smaller = (widest, max(1, round(height * widest / width)))
    return np.array(Image.fromarray(image).resize(smaller, Image.Resampling.BILINEAR))


@lru_cache(maxsize=1)  # for both kinds of cloud
def _cloud(prediction: Prediction) -> tuple[PointCloud, dict[str, str]]:
    return lift(prediction), describe_cloud(prediction)


OUTPUTS: dict[str, ImageOutput] = {
    "npz": ImageOutput(".npz", write_npz),
    "depth_png": ImageOutput(
        "_depth.png", lambda path, prediction: write_depth_png(path, prediction.best_depth), of_depth=True
    ),
    "ply": ImageOutput(".ply", lambda path, prediction: write_ply(path, *_cloud(prediction)), of_depth=True),
    "glb": ImageOutput(".glb", lambda path, prediction: write_glb(path, *_cloud(prediction)), of_depth=True),
    "disparity": ImageOutput(
        "_disparity.png",
        lambda path, prediction: write_image(path, colorize_disparity(prediction.disparity)),
        of_frames=False,
    ),
    "panel": ImageOutput(
        "_panel.png",
        lambda path, prediction: write_image(path, panel(prediction.image, prediction.disparity)),
        of_frames=False,
    ),
}
