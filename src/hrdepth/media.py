"""Pictures and videos in and out: what the rest of the package sees are uint8 arrays in RGB."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hrdepth.errors import InputError
from hrdepth.files import atomic_path
from hrdepth.video import VideoWriter, open_video, read_video

__all__ = [
    "Frame",
    "MediaInfo",
    "Picture",
    "VideoWriter",
    "as_rgb",
    "frames",
    "picture_size",
    "probe",
    "read_image",
    "small_grey",
    "to_picture",
    "write_depth_png",
    "write_image",
]

Picture = str | Path | Image.Image | NDArray[Any]

# fmt: off
PICTURE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".mpo", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pnm",
    ".jp2", ".avif", ".heic", ".heif",
])
# fmt: on
# Pillow also "recognises" MPEG videos, PDF and HDF5 files, so the formats are named.
PICTURE_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF")
_ORIENTATION = 0x0112  # EXIF
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a picture, a folder or a video: `image` is uint8 (H,W,3), `index` counts from 0.

    `name` is the file's name without suffix (with it where two files differ in the suffix alone), for a
    video the file's name and the number of the frame.
    """

    name: str
    image: NDArray[np.uint8]
    index: int


@dataclass(frozen=True)
class MediaInfo:
    """What a path holds: `count` pictures or None if unknown, `fps` in frames a second for a video."""

    kind: Literal["picture", "folder", "video"]
    count: int | None
    fps: float | None


def read_image(path: str | Path) -> Image.Image:
    """Read a picture as 8-bit RGB, upright.

    The EXIF orientation is applied; see `as_rgb` for grey, 16-bit and transparent pictures.

    Raises:
        InputError: the file is missing, damaged, cut short, or not a picture.
    """
    with _opened(Path(path)) as image:
        image.load()
        return as_rgb(_upright(image))


def picture_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of a picture, upright, by its header alone.

    Raises:
        InputError: the file is missing, not a picture, or its beginning is damaged.
    """
    with _opened(Path(path)) as image:
        # Pillow decodes a whole PNG to look for EXIF behind the pixels.
        lying = (image.format != "PNG" or "exif" in image.info) and image.getexif().get(_ORIENTATION, 1) >= 5
        return (image.width, image.height) if lying else (image.height, image.width)


def small_grey(path: str | Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a picture as grey and small, (H,W) of `size`, fast: a JPEG is decoded at a fraction of its size.

    Raises:
        InputError: as `read_image`.
    """
    with _opened(Path(path)) as image:
        image.draft("L", (size[1], size[0]))
        return np.asarray(as_rgb(image).convert("L").resize((size[1], size[0]), Image.Resampling.BILINEAR))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture, and say what goes wrong with it in one sentence."""
    if not path.exists():
        raise InputError(f"the picture {path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a picture")
    try:
        with _open_picture(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture of a known kind, or its beginning is damaged") from error
    except DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error).strip().rstrip(".") or "damaged"
        raise InputError(f"the picture {path} cannot be read: {reason}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in mode RGB.

    16-bit grey is scaled by 255/65535, so that frames of one camera keep their relative brightness; float
    grey is taken as [0,1], or [0,255] if it goes beyond 1; transparent parts become white.

    Example:
        >>> as_rgb(Image.new("I;16", (2, 2), 65535)).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        if image.mode != "F":
            grey = grey * (255 / 65535)
        elif grey.max(initial=0.0) <= 1:
            grey = grey * 255
        image = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image if image.mode == "RGB" else image.convert("RGB")


def to_picture(image: Picture) -> Image.Image:
    """Turn a path, a Pillow picture or an array (see `Picture`) into an RGB picture.

    Raises:
        InputError: it cannot be read, or its shape, type or values are not those of a picture.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        return as_rgb(image)
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError(f"a picture must be an array (H,W,3) or grey (H,W), not one of shape {array.shape}")
    if array.dtype == np.uint16:
        array = array / np.float32(65535)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise InputError("a picture of floats must lie in [0,1]; divide values of 0 to 255 by 255")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"a picture must be uint8, uint16 or float, not {array.dtype}")
    return as_rgb(Image.fromarray(array))


def probe(path: str | Path) -> MediaInfo:
    """Say what `path` is, by its content first and its suffix second, without decoding it.

    Raises:
        InputError: it does not exist, is neither picture nor video, or a folder without pictures.
    """
    path = Path(path)
    if path.is_dir():
        return MediaInfo("folder", len(_pictures_in(path)), None)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a picture, a folder of pictures or a video")
    if _is_picture(path):
        return MediaInfo("picture", 1, None)
    with open_video(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        return MediaInfo("video", stream.frames or None, float(rate) if rate else None)


def frames(path: str | Path, on_error: Callable[[InputError], None] | None = None) -> Iterator[Frame]:
    """Yield the pictures of a picture, a folder (in natural order: 2 before 10) or a video.

    One picture is in memory at a time. Files of a folder that are not pictures, and hidden files, are left
    out. The rotation that phones store with a video is applied.

    Args:
        path: what to read.
        on_error: called with the error for each unreadable picture of a folder, which is then skipped;
            without it the error is raised.

    Raises:
        InputError: what `probe` raises, at once; while reading, a damaged picture, a video without frames,
            or a video that is damaged further on.
    """
    path = Path(path)
    kind = probe(path).kind
    if kind == "video":
        return (Frame(f"{path.stem}_{index:06d}", image, index) for index, image in enumerate(read_video(path)))
    return _picture_frames(_pictures_in(path) if kind == "folder" else [path], on_error)


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write a uint8 picture (H,W,3) or (H,W), atomically, in the format that the suffix names.

    Raises:
        InputError: the folder cannot be written or the suffix is unknown.
    """
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise InputError(f"{path}: no picture format has this suffix; use .png or .jpg")
    with atomic_path(path) as temporary:
        Image.fromarray(image).save(temporary)


def write_depth_png(path: str | Path, depth: NDArray[np.floating[Any]]) -> None:
    """Write depth as a 16-bit PNG in KITTI's convention: value = depth x 256, 0 = none.

    Args:
        path: where to, atomically.
        depth: (H,W) in metres or network units; NaN and values of 0 and below become 0 (none), values
            beyond 255.996 become 65535, and what would round to 0 becomes 1.

    Raises:
        InputError: the folder cannot be written.
    """
    depth = np.asarray(depth, dtype=np.float64)
    valid = depth > 0
    values = np.zeros(depth.shape, dtype=np.uint16)
    values[valid] = np.clip(np.rint(depth[valid] * 256), 1, 65535).astype(np.uint16)
    with atomic_path(path) as temporary:
        Image.fromarray(values).save(temporary, format="PNG")


def _open_picture(path: Path) -> Image.Image:
    Image.init()
    return Image.open(path, formats=[name for name in PICTURE_FORMATS if name in Image.OPEN])


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGE:  # damaged EXIF is no reason to refuse a picture
        return image


def _is_picture(path: Path) -> bool:
    try:
        with _open_picture(path) as image:
            return not (image.format == "GIF" and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        return True
    except DAMAGE:
        return path.suffix.lower() in PICTURE_SUFFIXES


def _pictures_in(folder: Path) -> list[Path]:
    try:
        files = [file for file in folder.iterdir() if file.is_file()]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror})") from error
    if not files:
        raise InputError(f"the folder {folder} is empty")
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES and not file.name.startswith(".")]
    if not pictures:
        raise InputError(f"the folder {folder} holds no pictures (such as .jpg or .png)")
    return sorted(pictures, key=lambda file: _natural(file.name))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _picture_frames(paths: list[Path], on_error: Callable[[InputError], None] | None) -> Iterator[Frame]:
    stems = [path.stem for path in paths]
    doubled = {stem for stem in stems if stems.count(stem) > 1} if len(set(stems)) < len(stems) else set()
    for index, path in enumerate(paths):
        try:
            image = np.array(read_image(path))
        except InputError as error:
            if on_error is None:
                raise
            on_error(error)
            continue
        yield Frame(path.name if path.stem in doubled else path.stem, image, index)
