"""The camera of a drive: `camera.yaml` (docs/data.md)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hrdepth.camera import BaselineError, Camera, pinhole
from hrdepth.config.safe_yaml import load_yaml, read_text
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import existing_file
from hrdepth.io.image_files import walk

__all__ = ["IRRELEVANT", "camera_of", "find_cameras", "number", "plain_key", "read_camera"]

ENTRIES = ("width", "height", "fx", "fy", "cx", "cy")
# Entries of calibrations, as `plain_key` spells them, that do not change what the camera sees. Any other is refused.
IRRELEVANT = frozenset([
    "source", "comment", "comments", "note", "notes", "description", "header", "framerate", "fps", "frameid", "date",
    "time", "name", "cameraname", "cameraid", "serial", "serialnumber", "calibrationtime",
    "calibrationdate", "nframes", "nrframes", "nrofframes", "boardwidth", "boardheight", "squaresize", "markersize",
    "fixaspectratio", "aspectratio", "flags", "flagvalue", "rms", "ret", "rvecs", "tvecs", "reprojectionerror",
    "meanerror", "avgreprojectionerror", "perviewreprojectionerrors", "extrinsicparameters", "imagepoints",
    "gridpoints", "pixelaspect",
])  # fmt: skip
LONGEST_BASELINE = 20.0  # metres; a rig's millimetres are more


def find_cameras(root: Path) -> list[Path]:
    """Return the camera.yaml of each drive of a set, also behind links, in order."""
    return sorted(path for path in walk(root) if path.name == "camera.yaml")


def plain_key(key: object) -> str:
    """Return the name of an entry in one spelling: `Image_Width` is imagewidth; `K1`, of two letters, is unchanged.

    Example:
        >>> plain_key("distCoeffs"), plain_key("dist_coeffs"), plain_key("p1"), plain_key("P1")
        ('distcoeffs', 'distcoeffs', 'p1', 'P1')
    """
    text = str(key)
    return text if len(text) < 3 else re.sub(r"[\W_]", "", text.lower())


def number(value: Any) -> float:
    """Return a number that a file gives, also as text.

    Raises:
        TypeError: it is something else, such as true.
        ValueError: it is a text that is no number.
    """
    if isinstance(value, bool):
        raise TypeError(f"{str(value).lower()} is no number")
    return float(value)


def read_camera(file: Path) -> Camera:
    """Read a camera.yaml: width, height, fx, fy, cx, cy in pixels, and optionally baseline in metres and `learn`.

    Raises:
        InputError: the file or an entry is missing or is no number.
    """
    existing_file(file, "the camera file")
    try:
        content: Any = load_yaml(read_text(file), unique=True)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{file} must give the numbers {', '.join(ENTRIES)} in pixels ({error})") from error
    return camera_of(content, str(file))


def camera_of(content: Any, source: str) -> Camera:
    """Return the camera of a camera.yaml's content; `source` names it in messages.

    Raises:
        InputError: an entry is missing, unknown or no number.
    """
    try:
        width, height, fx, fy, cx, cy = (number(content[key]) for key in ENTRIES)
        baseline = None if content.get("baseline") is None else number(content["baseline"])
        known = {*ENTRIES, "baseline", "learn"}
        unknown = [key for key in content if key not in known and plain_key(key) not in IRRELEVANT]
        aspect = number(content.get("pixel_aspect", 1))
    except MALFORMED as error:
        raise InputError(f"{source} must give the numbers {', '.join(ENTRIES)} in pixels ({error})") from error
    if unknown:
        raise InputError(
            f"{source}: {', '.join(map(str, unknown))} is not understood; remove it, or what it describes "
            "from the images, as hrdepth prepare FRAMES --intrinsics FILE removes distortion"
        )
    if baseline is not None and baseline > LONGEST_BASELINE:
        raise BaselineError(f"{source}: the baseline {baseline:g} is in metres; are these millimetres?")
    learn = content.get("learn", False)
    if not isinstance(learn, bool):
        raise InputError(f"{source}: learn must be true or false, not {learn!r}")
    if not all(abs(pixels) < 2**31 and pixels.is_integer() for pixels in (width, height)):
        raise InputError(f"{source}: width {width:g} and height {height:g} must be whole numbers of pixels")
    if not 0 < aspect < np.inf:
        raise InputError(f"{source}: pixel_aspect {aspect:g} must be the width / height of a pixel")
    return Camera(
        pinhole(fx, fy, cx, cy), (int(height), int(width)), baseline, source, baseline, learn=learn, pixel_aspect=aspect
    )
