"""Images in files and arrays: read upright, checked, written."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hrdepth.errors import InputError
from hrdepth.io.arrays import array_from_bytes, load_array
from hrdepth.io.files import regular_file, write_bytes
from hrdepth.io.shards import Member

__all__ = [
    "DAMAGE",
    "RUN_LENGTHS",
    "ImageLike",
    "as_rgb",
    "check_size",
    "image_size",
    "is_readable",
    "open_image",
    "read_depth",
    "read_image",
    "save_image",
    "small_grey",
    "to_image",
    "to_pixels",
    "write_depth_png",
    "write_image",
]

ImageLike = str | Path | Image.Image | NDArray[Any]

# Pillow also "recognises" MPEG videos, PDF and HDF5 files, so the formats are named.
IMAGE_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF")
_PHOTOMETRIC, _ORIENTATION, _PLANAR, _BITS = 0x0106, 0x0112, 0x011C, 0x0102  # of TIFF and EXIF
MOST_EXIF = 2**16
# The most pixels of an image; and of one with more than SURELY_READ, the most for each byte of its file.
MOST_PIXELS, SURELY_READ, PIXELS_A_BYTE = 2**27, 2**25, 32
# The most pixels that a network is asked to see: those of a 4K image; it needs a hundred times their memory and more.
MOST_SEEN = 2**23
DEPTH_PNG_UNITS = 256.0  # a metre, KITTI's way
RUN_LENGTHS = zlib.Z_RLE
"""How PNGs are compressed: disparity and depth in a third of the usual time, for an eighth more bytes."""

# What Pillow's plugins raise for damaged files.
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError, RuntimeError, KeyError,
    TypeError, IndexError, OverflowError, ZeroDivisionError,
)  # fmt: skip


def read_image(path: str | Path) -> Image.Image:
    """Read an image as 8-bit RGB, upright.

    The EXIF orientation is applied; see `as_rgb` for grey, 16-bit and transparent images.

    Raises:
        InputError: the file is missing, damaged, cut short, or not an image.
    """
    with _opened(_path(path)) as image:
        image.load()
        return as_rgb(_upright(_usual_grey(image)))


def is_readable(path: str | Path) -> bool:
    """Return whether the whole image can be decoded."""
    try:
        read_image(path)
    except InputError:
        return False
    return True


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of an image, upright, by its header alone.

    Raises:
        InputError: the file is missing, not an image, or its beginning is damaged.
    """
    if isinstance(path, Member) and path.exists() and path.entry.size is not None:
        return path.entry.size
    with _opened(_path(path), _opened_header) as image:
        # Pillow turns TIFF itself.
        lying = image.format != "TIFF" and _orientation(image) >= 5
        return (image.width, image.height) if lying else (image.height, image.width)


def _orientation(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode all pixels to look behind them
        return _late_orientation(image)
    return int(image.getexif().get(_ORIENTATION, 1))


def _late_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a PNG whose EXIF lies behind its pixels, by the lengths of its parts."""
    file = getattr(image, "fp", None)
    if file is None:
        return 1
    before = file.tell()
    try:
        file.seek(8)
        while len(header := file.read(8)) == 8:
            length, kind = int.from_bytes(header[:4], "big"), header[4:]
            if kind == b"eXIf":
                exif = Image.Exif()
                exif.load(file.read(min(length, MOST_EXIF)))
                return int(exif.get(_ORIENTATION, 1))
            file.seek(length + 4, 1)
        return 1
    except DAMAGE:  # an image with damaged EXIF can still be read
        return 1
    finally:
        file.seek(before)


def small_grey(path: str | Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read an image as grey and small, (H,W) of `size`, fast: a JPEG is decoded at a fraction of its size.

    Raises:
        InputError: as `read_image`.
    """
    with _opened(_path(path)) as image:
        image.draft("L", (size[1], size[0]))
        return np.asarray(as_rgb(image).convert("L").resize((size[1], size[0]), Image.Resampling.BILINEAR))


@contextmanager
def _opened(path: Path, opening: Callable[[Path], Image.Image] | None = None) -> Iterator[Image.Image]:
    """Open an image; turn any error into one `InputError`."""
    if not path.exists():
        raise InputError(f"the image {path} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an image")
    try:
        with (opening or open_image)(path) as image:
            yield image
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not an image of a known kind, or its beginning is damaged") from error
    except DAMAGE as error:
        raise InputError(f"the image {path} cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).strip().rstrip(".") or "damaged"


def as_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in mode RGB.

    16-bit grey is scaled by 255/65535, so that frames of one camera keep their relative brightness; float
    grey is read as [0,1], [0,255] if it goes beyond 1, [0,65535] if it goes beyond 255; transparent parts become white.

    Example:
        >>> as_rgb(Image.new("I;16", (2, 2), 65535)).getpixel((0, 0))
        (255, 255, 255)
    """
    if image.mode.startswith("I"):
        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))  # rounded value x 255/65535
    elif image.mode == "F":
        grey = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        highest = grey.max(initial=0.0)
        grey = grey * 255 if highest <= 1 else grey / 257 if highest > 255 else grey
        image = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image if image.mode == "RGB" else image.convert("RGB")


def to_image(image: ImageLike) -> Image.Image:
    """Turn a path, a Pillow image or an array (see `ImageLike`) into an RGB image.

    Raises:
        InputError: it cannot be read, or its shape, type or values are not those of an image.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        if not image.width or not image.height:
            raise InputError(f"an image of {image.width}x{image.height} pixels is empty")
        try:
            image.load()
            return as_rgb(image)
        except DAMAGE as error:
            raise InputError(f"the image cannot be read: {_reason(error)}") from error
    array = np.asarray(image)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise InputError(f"an image must be an array (H,W,3) or grey (H,W), not one of shape {array.shape}")
    if array.dtype == np.uint16:
        array = array / np.float32(65535)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise InputError("an image of floats must lie in [0,1]; divide values of 0 to 255 by 255")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"an image must be uint8, uint16 or float, not {array.dtype}")
    return as_rgb(Image.fromarray(array))


def to_pixels(image: ImageLike) -> NDArray[np.uint8]:
    """Convert a path, a Pillow image or an array (see `ImageLike`) to a new array, uint8 (H,W,3).

    Raises:
        InputError: as `to_image`.
    """
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        return image.copy()  # through Pillow it is five times as slow
    return np.array(to_image(image))


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write a uint8 image (H,W,3) or (H,W), atomically, in the format that the suffix names.

    Raises:
        InputError: the folder cannot be written or the suffix is unknown.
    """
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise InputError(f"{path}: no image format has this suffix; use .png or .jpg")
    save_image(path, Image.fromarray(image), compress_type=RUN_LENGTHS)


def save_image(path: str | Path, image: Image.Image, **options: Any) -> None:
    """Write an image, atomically, in the format that the suffix names, with Pillow's options of that format.

    Raises:
        InputError: the folder cannot be written, or its disk is full.
    """
    Image.init()
    content = BytesIO()  # Pillow itself overlooks a disk that fills up at the end of an image
    image.save(content, format=Image.EXTENSION[Path(path).suffix.lower()], **options)
    write_bytes(path, content.getbuffer())


def read_depth(path: str | Path) -> NDArray[np.float32]:
    """Read a depth map: 16-bit PNG (metres x 256, KITTI's way) or a float `.npy` in metres.

    Returns:
        (H,W) float32, metres; 0 means none.

    Raises:
        InputError: the file is missing, damaged, or holds no depth.
    """
    path = _path(path)
    try:
        if path.suffix.lower() == ".npy":
            depth = load_array(path)
            if depth.ndim != 2 or not depth.size or not np.issubdtype(depth.dtype, np.floating):
                raise InputError(f"{path} must hold float metres (H,W), it holds {depth.dtype} {depth.shape}")
            return np.asarray(depth, dtype=np.float32)
        with open_image(path) as image:
            if image.mode not in ("I;16", "I;16B", "I"):
                raise InputError(f"{path} must be a 16-bit grey PNG (metres x 256), its mode is {image.mode}")
            upright = ImageOps.exif_transpose(image)  # as the image that it belongs to
            return np.asarray(upright).astype(np.float32) / np.float32(DEPTH_PNG_UNITS)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"the depth map {path} does not exist") from error
    except DAMAGE as error:
        raise InputError(f"the depth map {path} cannot be read ({error})") from error


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
    values[valid] = np.clip(np.rint(depth[valid] * DEPTH_PNG_UNITS), 1, 65535).astype(np.uint16)
    save_image(path, Image.fromarray(values), compress_type=RUN_LENGTHS)


def open_image(path: Path) -> Image.Image:
    """Open an image file without decoding it; raises Pillow's errors, such as that it would be too large."""
    image, size = _opened_header(path), path.stat().st_size
    pixels = image.width * image.height
    if image.format == "TIFF" and image.mode == "RGB" and _is_planar_16_bit(image):
        image.close()
        raise ValueError("16-bit TIFF with a plane for each colour; save it with interleaved colours, or as PNG")
    if pixels > min(MOST_PIXELS, max(SURELY_READ, PIXELS_A_BYTE * size)):
        image.close()
        raise Image.DecompressionBombError(
            f"{image.width}x{image.height} pixels in {size / 1e6:.1f} MB; at most {MOST_PIXELS / 1e6:.0f} million are "
            f"read, and above {SURELY_READ / 1e6:.0f} million at most {PIXELS_A_BYTE} a byte"
        )
    return image


def _is_planar_16_bit(image: Image.Image) -> bool:
    """Return whether Pillow would mix up the colours of a TIFF."""
    tags = image.getexif()
    return tags.get(_PLANAR) == 2 and max(np.ravel(tags.get(_BITS, 8))) > 8


def _opened_header(path: Path) -> Image.Image:
    if isinstance(path, Member) and path.suffix == ".npy":  # decoded when it was packed
        return Image.fromarray(array_from_bytes(path.read_bytes()))
    Image.init()
    file = path.open("rb") if isinstance(path, Member) else regular_file(path)
    return Image.open(file, formats=[name for name in IMAGE_FORMATS if name in Image.OPEN])


def _path(path: str | Path) -> Path:
    return path if isinstance(path, Path) else Path(path)  # a `Member` stays one


def _usual_grey(image: Image.Image) -> Image.Image:
    """Return a grey TIFF in the range that its type has in others: with 0 as black, and 8 bits in 8.

    Scanners write 0 as white, which Pillow mends for 8 bits alone; and some programs write 8 bits in 32.
    """
    if image.format != "TIFF" or image.mode[0] != "I":
        return image
    levels = np.asarray(image)
    if image.mode == "I" and levels.max() <= 255:
        return Image.fromarray(np.maximum(levels, 0).astype(np.uint8))
    if image.mode != "I" and image.getexif().get(_PHOTOMETRIC) == 0:
        return Image.fromarray(65535 - levels.astype(np.uint16))
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except DAMAGE:  # an image with damaged EXIF can still be read
        return image


def check_size(size: tuple[int, int], stride: int, least: int = 2) -> None:
    """Check that an image's size fits a network.

    Args:
        size: (height, width).
        stride: what both must be multiples of.
        least: strides that both must have at least; two, as reflection at the coarsest map has nothing to mirror
            otherwise.

    Raises:
        InputError: it does not; the sentence names the nearest size that does.

    Example:
        >>> check_size((190, 650), 32)
        Traceback (most recent call last):
        ...
        hrdepth.errors.InputError: an image of 190x650 (height x width) does not fit the network: both must be \
multiples of 32 and at least 64, such as 192x640
    """
    if not (isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, Integral) for side in size)):
        raise InputError(f"the size {size!r:.40} must be two whole numbers, (height, width)")
    if size[0] * size[1] > MOST_SEEN:
        raise InputError(
            f"an image of {size[0]}x{size[1]} (height x width) is too large for a network: at most "
            f"{MOST_SEEN / 1e6:.0f} million pixels, as of 2160x3840"
        )
    if any(length % stride or length < least * stride for length in size):
        fitting = "x".join(str(max(2, least, round(length / stride)) * stride) for length in size)
        raise InputError(
            f"an image of {size[0]}x{size[1]} (height x width) does not fit the network: both must be multiples of "
            f"{stride} and at least {least * stride}, such as {fitting}"
        )
