"""Find the camera of a video: from a calibration file of a common tool, EXIF or a field of view, or to be learned."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file
from hrdepth.io.video import open_video

__all__ = ["START_FOV", "Lens", "choose_camera", "lens_from_fov", "read_calibration"]

log = logging.getLogger(__name__)

START_FOV = 70.0  # degrees: phones and dash cameras lie between 60 and 120
# EXIF (CIPA DC-008): focal length as if on 35 mm film, whose image has this diagonal in mm.
EXIF_IFD, FOCAL_35MM, FILM_DIAGONAL = 0x8769, 0xA405, math.hypot(36, 24)

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
        source: origin of the numbers, for messages.
        learn: whether the intrinsics are to be learned, and these are only the initial values.
    """

    intrinsics: NDArray[np.float64]
    size: tuple[int, int] | None
    model: Model = "pinhole"
    distortion: tuple[float, ...] = ()
    source: str = "the camera"
    learn: bool = False


def read_calibration(path: str | Path, camera: str | None = None) -> Lens:
    """Read a calibration file, whose format is detected from its content.

    Args:
        path: see `FORMATS`.
        camera: which one, if the file has several.

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
    """Read a YAML file of OpenCV or ROS, or a camera.yaml."""
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


def choose_camera(
    path: Path, size: tuple[int, int], intrinsics: str, fov: float | None, camera: str | None = None
) -> Lens:
    """Find the camera of a video or folder of frames.

    Args:
        path: of the video or folder.
        size: (height, width) of its upright images.
        intrinsics: see `config.PrepareVideoConfig`.
        fov: horizontal field of view in degrees.
        camera: which one, where the calibration file has several.

    Raises:
        InputError: there is no EXIF focal length, or a calibration is for images of another shape.
    """
    if fov is not None and not 5 <= fov <= 170:
        raise InputError(f"fov {fov:g} is no horizontal field of view in degrees; give 5 to 170")
    if intrinsics == "learn":
        return _start(fov, size)
    if fov is not None:
        if intrinsics != "auto":
            raise InputError(
                f"give either --fov or --intrinsics {intrinsics}, not both; --intrinsics learn starts from --fov"
            )
        return lens_from_fov(fov, size)
    if intrinsics in ("auto", "exif"):
        found = _from_exif(path, size)
        if found is not None:
            return found
        if intrinsics == "exif":
            raise InputError(f"{path} has no focal length in its EXIF data; give --fov or a calibration file")
        log.warning(
            "%s has no calibration: starting from a field of view of %g degrees, to be learned; "
            "--fov or --intrinsics FILE is better", path, START_FOV,
        )  # fmt: skip
        return _start(None, size)
    return _fitted(read_calibration(intrinsics, camera), size, path)


def lens_from_fov(fov: float, size: tuple[int, int], source: str = "") -> Lens:
    """Return the pinhole with square pixels and the principal point in the middle.

    Args:
        fov: horizontal field of view in degrees.
        size: (height, width) in pixels.
        source: where it comes from, for messages.

    Example:
        >>> float(lens_from_fov(90.0, (100, 200)).intrinsics[0, 0].round(6))
        100.0
    """
    focal = size[1] / 2 / math.tan(math.radians(fov) / 2)
    return _central(focal, size, source or f"a field of view of {fov:g} degrees")


def _start(fov: float | None, size: tuple[int, int]) -> Lens:
    start = START_FOV if fov is None else fov
    return replace(lens_from_fov(start, size, f"to be learned, from a field of view of {start:g} degrees"), learn=True)


def _central(focal: float, size: tuple[int, int], source: str) -> Lens:
    height, width = size
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    return Lens(matrix, size, source=source)


def _from_exif(path: Path, size: tuple[int, int]) -> Lens | None:
    found = _film_focal(path)
    if found is None:
        return None
    focal = found / FILM_DIAGONAL * math.hypot(*size)
    return _central(focal, size, f"EXIF: {found:g} mm as on 35 mm film")


def _film_focal(path: Path) -> float | None:
    """Return the focal length as if on 35 mm film, in mm, of the first image or of a phone's video."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            try:
                with Image.open(file) as image:
                    value = image.getexif().get_ifd(EXIF_IFD).get(FOCAL_35MM)
            except (OSError, SyntaxError, ValueError):
                continue
            return float(value) if value else None
        return None
    with open_video(path) as (container, stream):
        for key, value in {**container.metadata, **stream.metadata}.items():
            if key.endswith("focal_length.35mm_equivalent"):
                try:
                    return float(value) or None
                except ValueError:
                    return None
    return None


def _fitted(lens: Lens, size: tuple[int, int], path: Path) -> Lens:
    """Bring a calibration to the images' size; a different size with the same aspect ratio is accepted."""
    if lens.size is None or lens.size == size:
        return replace(lens, size=size)
    height, width = size[0] / lens.size[0], size[1] / lens.size[1]
    if abs(height / width - 1) > 0.01:
        (h, w), rotated = lens.size, lens.size == size[::-1]
        raise InputError(
            f"{lens.source} holds for {w}x{h} images (width x height), those of {path} are {size[1]}x{size[0]}"
            + ("; calibrate with images held upright as in the video" if rotated else "; give the calibration of these")
        )
    return replace(lens, size=size, intrinsics=np.diag([width, height, 1.0]) @ lens.intrinsics)
