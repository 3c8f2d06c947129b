"""Find the camera of a video: from a calibration file, EXIF or a field of view, or to be learned."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hrdepth.camera import Camera
from hrdepth.errors import InputError
from hrdepth.io.images import DAMAGE, open_image
from hrdepth.io.video import open_video
from hrdepth.prepare.calibration_file import read_calibration
from hrdepth.prepare.lens import Lens

__all__ = ["START_FOV", "find_lens", "lens_from_fov"]

log = logging.getLogger(__name__)

OFF_CENTRE = 0.25  # of the image: how far from its middle a principal point may lie where K names no size
START_FOV = 70.0  # degrees: phones and dash cameras lie between 60 and 120
# EXIF (CIPA DC-008): focal length as if on 35 mm film, whose image has this diagonal in mm.
EXIF_IFD, FOCAL_35MM, FILM_DIAGONAL = 0x8769, 0xA405, math.hypot(36, 24)


def find_lens(
    path: Path,
    size: tuple[int, int],
    intrinsics: str,
    fov: float | None,
    camera: str | None = None,
    pixel_aspect: float = 1.0,
) -> Lens:
    """Find the camera of a video or folder of frames.

    Args:
        path: of the video or folder.
        size: (height, width) of its upright images.
        intrinsics: see `config.PrepareVideoConfig`.
        fov: horizontal field of view in degrees.
        camera: which one, where the calibration file has several.
        pixel_aspect: width / height of the images' pixels; a calibration file has it in its fx and fy.

    Raises:
        InputError: there is no EXIF focal length, or a calibration cannot be that of such images.
    """
    if fov is not None and not 5 <= fov <= 170:
        raise InputError(f"fov {fov:g} is no horizontal field of view in degrees; give 5 to 170")
    if camera is not None and intrinsics in ("auto", "exif", "learn"):
        raise InputError(f"--camera {camera} names a camera of a calibration file; give that with --intrinsics")
    if intrinsics == "learn":
        return _start(fov, size, pixel_aspect)
    if fov is not None:
        if intrinsics != "auto":
            raise InputError(
                f"give either --fov or --intrinsics {intrinsics}, not both; --intrinsics learn starts from --fov"
            )
        return lens_from_fov(fov, size, pixel_aspect=pixel_aspect)
    if intrinsics in ("auto", "exif"):
        found = _from_exif(path, size, pixel_aspect)
        if found is not None:
            return found
        if intrinsics == "exif":
            raise InputError(f"{path} has no focal length in its EXIF data; give --fov or a calibration file")
        log.warning(
            "%s has no calibration: starting from a field of view of %g degrees, to be learned; "
            "--fov or --intrinsics FILE is better", path, START_FOV,
        )  # fmt: skip
        return _start(None, size, pixel_aspect)
    return _fitted(read_calibration(intrinsics, camera), size, path)


def lens_from_fov(fov: float, size: tuple[int, int], source: str = "", pixel_aspect: float = 1.0) -> Lens:
    """Return the pinhole with the principal point in the middle.

    Args:
        fov: horizontal field of view in degrees.
        size: (height, width) in pixels.
        source: where it comes from, for messages.
        pixel_aspect: width / height of a pixel.

    Example:
        >>> float(lens_from_fov(90.0, (100, 200)).intrinsics[0, 0].round(6))
        100.0
    """
    focal = size[1] / 2 / math.tan(math.radians(fov) / 2)
    return _central(focal, size, source or f"a field of view of {fov:g} degrees", pixel_aspect)


def _start(fov: float | None, size: tuple[int, int], pixel_aspect: float) -> Lens:
    start = START_FOV if fov is None else fov
    source = f"to be learned, from a field of view of {start:g} degrees"
    return replace(lens_from_fov(start, size, source, pixel_aspect), learn=True)


def _central(focal: float, size: tuple[int, int], source: str, pixel_aspect: float) -> Lens:
    height, width = size
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal * pixel_aspect, (height - 1) / 2], [0, 0, 1]])
    return Lens(matrix, size, source=source, pixel_aspect=pixel_aspect)


def _from_exif(path: Path, size: tuple[int, int], pixel_aspect: float) -> Lens | None:
    found = _film_focal(path)
    if found is None:
        return None
    focal = found / FILM_DIAGONAL * math.hypot(size[0] / pixel_aspect, size[1])  # in widths of a pixel
    return _central(focal, size, f"EXIF: {found:g} mm as on 35 mm film", pixel_aspect)


def _film_focal(path: Path) -> float | None:
    """Return the focal length as if on 35 mm film, in mm, of the first image or of a phone's video."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            try:
                with open_image(file) as image:
                    value = image.getexif().get_ifd(EXIF_IFD).get(FOCAL_35MM)
            except DAMAGE:
                continue
            return _positive(value)
        return None
    with open_video(path) as (container, stream):
        for key, value in {**container.metadata, **stream.metadata}.items():
            if key.endswith("focal_length.35mm_equivalent"):
                return _positive(value)
    return None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):  # nothing, several values, or a fraction of 0
        return None
    return number if 0 < number < math.inf else None


def _fitted(lens: Lens, size: tuple[int, int], path: Path) -> Lens:
    """Bring a calibration to the images' size; a different size with the same aspect ratio is accepted."""
    if lens.size is None:
        found = _checked(replace(lens, size=size))
        _check_middle(lens, size, path)
        log.warning("%s names no size of images; K is taken to be in pixels of those of %s, %dx%d (width x height)",
                    lens.source, path, size[1], size[0])  # fmt: skip
        return found
    if lens.size == size:
        return _checked(lens)
    if lens.is_window:
        raise InputError(
            f"the roi of {lens.source} is {lens.size[1]}x{lens.size[0]} (width x height), the images of {path} are "
            f"{size[1]}x{size[0]}; give the calibration of these"
        )
    height, width = size[0] / lens.size[0], size[1] / lens.size[1]
    if abs(height / width - 1) > 0.01:
        (h, w), rotated = lens.size, lens.size == size[::-1]
        raise InputError(
            f"{lens.source} holds for {w}x{h} images (width x height), those of {path} are {size[1]}x{size[0]}"
            + ("; calibrate with images held upright as in the video" if rotated else "; give the calibration of these")
        )
    return _checked(replace(lens, size=size, intrinsics=np.diag([width, height, 1.0]) @ lens.intrinsics))


def _check_middle(lens: Lens, size: tuple[int, int], path: Path) -> None:
    """Refuse a K whose principal point is far from the middle: it is in pixels of other images."""
    for centre, side in ((lens.intrinsics[0, 2], size[1]), (lens.intrinsics[1, 2], size[0])):
        if abs(centre - side / 2) > side * OFF_CENTRE:
            cx, cy = lens.intrinsics[:2, 2]
            raise InputError(
                f"{lens.source} names no size of images, and its principal point ({cx:g}, {cy:g}) is not near the "
                f"middle of those of {path}, {size[1]}x{size[0]} (width x height); give K in pixels of these, or the "
                "size that it holds for"
            )


def _checked(lens: Lens) -> Lens:
    assert lens.size is not None
    Camera(lens.intrinsics, lens.size, source=lens.source)
    return lens
