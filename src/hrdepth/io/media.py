"""Read an image, a folder of images or a video as uint8 arrays in RGB."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.images import (
    DAMAGE,
    open_image,
    read_image,
)
from hrdepth.io.video import open_video, read_video

__all__ = [
    "Frame",
    "MediaInfo",
    "frames",
    "probe",
]

# fmt: off
IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".mpo", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pnm",
    ".jp2", ".avif", ".heic", ".heif",
])
# fmt: on


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of an image, a folder or a video: `image` is uint8 (H,W,3), `index` counts from 0.

    `name` is the file's name without suffix (with it where two files differ in the suffix alone), for a
    video the file's name and the number of the frame.
    """

    name: str
    image: NDArray[np.uint8]
    index: int


@dataclass(frozen=True)
class MediaInfo:
    """What a path contains: `count` images or None if unknown, `fps` in frames a second for a video."""

    path: Path
    kind: Literal["image", "folder", "video"]
    count: int | None
    fps: float | None


def probe(path: str | Path) -> MediaInfo:
    """Find out what `path` is, by its content first and its suffix second, without decoding it.

    Raises:
        InputError: it does not exist, is neither image nor video, or a folder without images.
    """
    path = Path(path)
    if path.is_dir():
        return MediaInfo(path, "folder", len(_images_in(path)), None)
    if not path.exists():
        raise InputError(f"{path} does not exist; give an image, a folder of images or a video")
    if _is_image(path):
        return MediaInfo(path, "image", 1, None)
    with open_video(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        return MediaInfo(path, "video", stream.frames or None, float(rate) if rate else None)


def frames(
    source: str | Path | MediaInfo,
    on_error: Callable[[InputError], None] | None = None,
    is_wanted: Callable[[str], bool] | None = None,
) -> Iterator[Frame]:
    """Yield the images of an image, a folder (in natural order: 2 before 10) or a video.

    One image is in memory at a time. Files of a folder that are not images, and hidden files, are left
    out. The rotation that phones store with a video is applied.

    Args:
        source: what to read, as a path or as `probe` describes it.
        on_error: called with the error for each unreadable image of a folder, which is then skipped;
            without it the error is raised.
        is_wanted: called with the name of each image before it is read, if it is no video's; others are left out.

    Raises:
        InputError: what `probe` raises, at once; while reading, a damaged image, a video without frames,
            or a video that is damaged further on.
    """
    info = source if isinstance(source, MediaInfo) else probe(source)
    path, kind = info.path, info.kind
    if kind == "video":
        return (Frame(f"{path.stem}_{index:06d}", image, index) for index, image in enumerate(read_video(path)))
    return _image_frames(_images_in(path) if kind == "folder" else [path], on_error, is_wanted)


def _is_image(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return not (image.format == "GIF" and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        return True
    except DAMAGE:
        return path.suffix.lower() in IMAGE_SUFFIXES


def _images_in(folder: Path) -> list[Path]:
    try:
        files = [file for file in folder.iterdir() if file.is_file()]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror})") from error
    if not files:
        raise InputError(f"the folder {folder} is empty")
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")]
    if not images:
        raise InputError(f"the folder {folder} contains no images (such as .jpg or .png)")
    return sorted(images, key=lambda file: _natural(file.name))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _image_frames(
    paths: list[Path], on_error: Callable[[InputError], None] | None, is_wanted: Callable[[str], bool] | None
) -> Iterator[Frame]:
    stems = [path.stem for path in paths]
    doubled = {stem for stem in stems if stems.count(stem) > 1} if len(set(stems)) < len(stems) else set()
    for index, path in enumerate(paths):
        name = path.name if path.stem in doubled else path.stem
        if is_wanted is not None and not is_wanted(name):
            continue
        try:
            image = np.array(read_image(path))
        except InputError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield Frame(name, image, index)
