"""Read an image, a folder of images or a video as uint8 arrays in RGB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.image_files import IMAGE_SUFFIXES, distinct_names, list_images
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
    "named_images",
    "probe",
]


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of an image, a folder or a video: `image` is uint8 (H,W,3), `index` counts from 0.

    `name` is as `distinct_names` says, for a video the file's name and the number of the frame. `seconds` is when a
    video shows it, None if unknown; `pixel_aspect` the width / height of its pixels.
    """

    name: str
    image: NDArray[np.uint8]
    index: int
    seconds: float | None = None
    pixel_aspect: float = 1.0


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
        return MediaInfo(path, "folder", len(list_images(path, announce=True)), None)
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
    *,
    square: bool = True,
    first: int = 0,
) -> Iterator[Frame]:
    """Yield the images of an image, a folder (in natural order: 2 before 10) or a video.

    One image is in memory at a time. Files of a folder that are not images, and hidden files, are left
    out. A video's frames are as players show them, turned and mirrored.

    Args:
        source: what to read, as a path or as `probe` describes it.
        on_error: called with the error for each unreadable image of a folder, which is then skipped, and for what
            a damaged video lacks; without it the error is raised for an image, logged for a video.
        is_wanted: called with the name of each image before it is read, if it is no video's; others are left out.
        square: stretch a video's frames whose pixels are not square; else they keep the size of the file.
        first: a video's frames before this one are left out.

    Raises:
        InputError: what `probe` raises, at once; while reading, a damaged image, or a video without frames.
    """
    info = source if isinstance(source, MediaInfo) else probe(source)
    path, kind = info.path, info.kind
    if kind == "video":
        return (
            Frame(f"{path.stem}_{index:06d}", frame.image, index, frame.seconds, frame.pixel_aspect)
            for index, frame in enumerate(read_video(path, on_error, square=square, first=first), first)
        )
    return _image_frames(named_images(info), on_error, is_wanted)


def named_images(info: MediaInfo) -> dict[str, Path]:
    """Return the files of an image or folder by the names of their frames, in order; none for a video.

    Raises:
        InputError: the folder cannot be read, or contains no images.
    """
    if info.kind == "video":
        return {}
    paths = list_images(info.path) if info.kind == "folder" else [info.path]
    return dict(zip(distinct_names(paths), paths, strict=True))


def _is_image(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return not (image.format == "GIF" and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        return True
    except DAMAGE:
        return path.suffix.lower() in IMAGE_SUFFIXES


def _image_frames(
    images: dict[str, Path], on_error: Callable[[InputError], None] | None, is_wanted: Callable[[str], bool] | None
) -> Iterator[Frame]:
    for index, (name, path) in enumerate(images.items()):
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
