"""Read calibration files in the formats of common calibration tools."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file

__all__ = ["Lens", "read_calibration"]

Model = Literal["pinhole", "brown", "fisheye"]

FORMATS = "KITTI, COLMAP cameras.txt, OpenCV YAML, ROS camera_info YAML, or a camera.yaml of this package"


@dataclass(frozen=True, eq=False)
class Lens:
    """A real camera, with its distortion.

    Attributes:
        intrinsics: (3,3) float64, pixels of an image of `size`; pixel centres have integer coordinates.
        size: (height, width), None where the file does not give it.
        model: `brown` is OpenCV's usual one (k1, k2, p1, p2, k3, ...), `fisheye` its equidistant one (k1 to k4).
        distortion: its coefficients; empty for a pinhole.
        source: where the numbers come from, for messages.
    """

    intrinsics: NDArray[np.float64]
    size: tuple[int, int] | None
    model: Model = "pinhole"
    distortion: tuple[float, ...] = ()
    source: str = "the camera"


def read_calibration(path: str | Path, camera: str | None = None) -> Lens:
    """Read a calibration file, whose format is guessed by its content.

    Args:
        path: see `FORMATS`.
        camera: which one, where the file has several.

    Raises:
        InputError: the file is missing, of no known format, has several cameras, or lacks a number.
    """
    file = existing_file(path, "the calibration file")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the calibration file {path} cannot be read as text; known are {FORMATS}") from error
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        if any(len(row) > 4 and row[0].isdigit() and row[1] in COLMAP for row in rows):
            return _colmap(rows, camera, str(path))
        if any(re.fullmatch(r"(P|P_rect_|K_)\d+:", row[0]) for row in rows):
            return _kitti({row[0].rstrip(":"): row[1:] for row in rows}, camera, str(path))
        return _yaml(text, str(path))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"the calibration file {path} is of no known format ({FORMATS}): {error}") from error


def _matrix(fx: float, fy: float, cx: float, cy: float) -> NDArray[np.float64]:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=np.float64)


# COLMAP's camera models: focal lengths, and how many distortion coefficients, in OpenCV's order.
COLMAP: dict[str, tuple[int, Model, int]] = {
    "SIMPLE_PINHOLE": (1, "pinhole", 0),
    "PINHOLE": (2, "pinhole", 0),
    "SIMPLE_RADIAL": (1, "brown", 1),
    "RADIAL": (1, "brown", 2),
    "OPENCV": (2, "brown", 4),
    "FULL_OPENCV": (2, "brown", 8),
    "SIMPLE_RADIAL_FISHEYE": (1, "fisheye", 1),
    "RADIAL_FISHEYE": (1, "fisheye", 2),
    "OPENCV_FISHEYE": (2, "fisheye", 4),
}


def _colmap(rows: list[list[str]], camera: str | None, source: str) -> Lens:
    cameras = {row[0]: row for row in rows if row[1] in COLMAP}
    row = cameras[_only(cameras, camera, source)]
    focals, model, count = COLMAP[row[1]]
    width, height = int(row[2]), int(row[3])
    values = [float(value) for value in row[4:]]
    if len(values) != focals + 2 + count:
        raise InputError(f"{source}: a camera {row[1]} has {focals + 2 + count} parameters, not {len(values)}")
    cx, cy = values[focals : focals + 2]
    coefficients = tuple(values[focals + 2 :])
    # OpenCV's order is k1 k2 p1 p2 k3 ...; radial models have no p.
    coefficients += (0.0,) * max(0, 4 - len(coefficients)) if model != "pinhole" else ()
    # COLMAP calls the centre of the first pixel (0.5, 0.5).
    return Lens(_matrix(values[0], values[focals - 1], cx - 0.5, cy - 0.5), (height, width), model, coefficients,
                f"{source} (COLMAP)")  # fmt: skip


def _kitti(entries: dict[str, list[str]], camera: str | None, source: str) -> Lens:
    """Read calib_cam_to_cam.txt or an odometry calib.txt: rectified images, the left colour camera by default."""
    number = "2" if camera is None else camera.zfill(1)
    long, short = f"P_rect_{number.zfill(2)}", f"P{int(number)}"
    if long not in entries and short not in entries:
        raise InputError(f"{source} (KITTI) has no camera {camera or 2}; set --camera to 0, 1, 2 or 3")
    values = [float(value) for value in entries[long if long in entries else short]]
    size = entries.get(f"S_rect_{number.zfill(2)}")
    projection = np.array(values).reshape(3, 4)
    shape = None if size is None else (round(float(size[1])), round(float(size[0])))
    return Lens(projection[:, :3].copy(), shape, source=f"{source} (KITTI, rectified)")


def _yaml(text: str, source: str) -> Lens:
    """Read OpenCV's YAML, ROS's, or a camera.yaml."""
    # OpenCV writes a directive that YAML does not have, and its own tag for matrices.
    text = re.sub(r"^%YAML.*$", "", text, flags=re.MULTILINE).replace("!!opencv-matrix", "")
    content: Any = yaml.safe_load(text.lstrip().removeprefix("---"))
    size = _size(content)
    if {"fx", "fy", "cx", "cy"} <= content.keys():
        return Lens(_matrix(*(float(content[key]) for key in ("fx", "fy", "cx", "cy"))), size, source=source)
    matrix = _numbers(content, "camera_matrix", "cameraMatrix", "Camera_Matrix", "K", "k", "M1", "intrinsics")
    if matrix is None:
        raise ValueError("it names no camera_matrix")
    intrinsics = np.array(matrix).reshape(3, 3)
    found = _numbers(content, "distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs",
                     "D", "d", "D1")  # fmt: skip
    distortion = tuple(found or ())
    if not any(distortion):
        return Lens(intrinsics, size, source=source)
    name = str(content.get("distortion_model", "")).lower()
    fisheye = name in ("equidistant", "fisheye") or bool(content.get("fisheye_model", 0))
    if name and not fisheye and name not in ("plumb_bob", "rational_polynomial", "radtan", "thin_prism"):
        raise ValueError(f"its distortion_model '{name}' is none of plumb_bob, rational_polynomial, equidistant")
    allowed = (4,) if fisheye else (4, 5, 8, 12, 14)
    if len(distortion) not in allowed:
        raise ValueError(f"{len(distortion)} distortion coefficients, where there are {' or '.join(map(str, allowed))}")
    return Lens(intrinsics, size, "fisheye" if fisheye else "brown", distortion, source)


def _size(content: Any) -> tuple[int, int] | None:
    for height, width in (("image_height", "image_width"), ("height", "width"), ("image_Height", "image_Width")):
        if height in content and width in content:
            return int(content[height]), int(content[width])
    pair = content.get("image_size") or content.get("resolution")
    return None if pair is None else (int(pair[1]), int(pair[0]))


def _numbers(content: Any, *names: str) -> list[float] | None:
    for name in names:
        if name in content:
            value = content[name]
            value = value["data"] if isinstance(value, dict) else value
            return [float(number) for number in np.ravel(value)]
    return None


def _only(cameras: dict[str, Any], camera: str | None, source: str) -> str:
    if camera is None and len(cameras) == 1:
        return next(iter(cameras))
    if camera is None or camera not in cameras:
        raise InputError(f"{source} has the cameras {', '.join(cameras)}; set --camera to one of them")
    return camera
