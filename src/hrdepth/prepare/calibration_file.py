"""Read the calibration files of common tools. Every entry is used, known to be irrelevant, or refused by its name."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from hrdepth.camera import pinhole
from hrdepth.config.safe_yaml import read_text
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import existing_file
from hrdepth.prepare.calibration_yaml import read_yaml
from hrdepth.prepare.lens import FORMATS, Lens, Model, refuse_entries, unique_entries

__all__ = ["read_calibration"]


def read_calibration(path: str | Path, camera: str | None = None) -> Lens:
    """Read a calibration file, whose format is detected from its content.

    Args:
        path: see `FORMATS`.
        camera: which one, if the file has several.

    Raises:
        InputError: the file is missing, of no known format, has several cameras, lacks a number, or has an entry that
            is not understood, which is named.
    """
    file = existing_file(path, "the calibration file")
    text = read_text(file)
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    try:
        if all(len(row) > 4 and row[0].isdigit() and row[1].isupper() for row in rows) and rows:
            return _colmap(rows, camera, str(path))
        if any(re.fullmatch(r"(P|P_rect_|K_)\d+:", row[0]) and len(row) > 9 for row in rows):
            return _kitti(rows, camera, str(path))
        return read_yaml(text, str(path), camera)
    except InputError:
        raise
    except (*MALFORMED, yaml.YAMLError) as error:
        raise InputError(f"the calibration file {path} is of no known format ({FORMATS}): {error}") from error


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
    cameras = unique_entries(((row[0], row) for row in rows), source)
    if camera is None and len(cameras) == 1:
        camera = next(iter(cameras))
    if camera is None or camera not in cameras:
        raise InputError(f"{source} has the cameras {', '.join(cameras)}; set --camera to one of them")
    _, name, *numbers = cameras[camera]
    if name not in COLMAP:
        raise InputError(
            f"{source}: the camera model {name} is none of {', '.join(COLMAP)}; undistort with COLMAP first"
        )
    focals, model, count = COLMAP[name]
    width, height = int(numbers[0]), int(numbers[1])
    values = [float(value) for value in numbers[2:]]
    if len(values) != focals + 2 + count:
        raise InputError(f"{source}: a camera {name} has {focals + 2 + count} parameters, not {len(values)}")
    cx, cy = values[focals : focals + 2]
    coefficients = tuple(values[focals + 2 :])
    # OpenCV's order is k1 k2 p1 p2 k3 ...; radial models have no p.
    coefficients += (0.0,) * max(0, 4 - len(coefficients)) if model != "pinhole" else ()
    # COLMAP calls the centre of the first pixel (0.5, 0.5).
    return Lens(pinhole(values[0], values[focals - 1], cx - 0.5, cy - 0.5), (height, width), model, coefficients,
                f"{source} (COLMAP)")  # fmt: skip


# calib_cam_to_cam.txt, calib.txt of odometry and of objects. K, D, R, T hold before the rectification.
KITTI = re.compile(r"(calib_time|corner_dist|(S|K|D|R|T|S_rect|R_rect|P_rect)_\d\d|P\d|R0_rect|Tr\w*)")


def _kitti(rows: list[list[str]], camera: str | None, source: str) -> Lens:
    """Read calib_cam_to_cam.txt or an odometry calib.txt: rectified images, the left colour camera by default."""
    entries = unique_entries(((row[0].rstrip(":"), row[1:]) for row in rows), source)
    refuse_entries([name for name in entries if not KITTI.fullmatch(name)], f"{source} (KITTI)")
    number = "2" if camera is None else camera.zfill(1)
    long, short = f"P_rect_{number.zfill(2)}", f"P{number.lstrip('0') or 0}"
    if long not in entries and short not in entries:
        raise InputError(f"{source} (KITTI) has no camera {camera or 2}; set --camera to 0, 1, 2 or 3")
    values = [float(value) for value in entries[long if long in entries else short]]
    size = entries.get(f"S_rect_{number.zfill(2)}")
    projection = np.array(values).reshape(3, 4)
    shape = None if size is None else (round(float(size[1])), round(float(size[0])))
    return Lens(projection[:, :3].copy(), shape, source=f"{source} (KITTI, rectified)")
