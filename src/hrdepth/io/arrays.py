"""Read files of NumPy, and check archives: sizes in a header are compared with the file before memory is allocated."""

from __future__ import annotations

import io
import math
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.io.files import regular_file

__all__ = [
    "array_from_bytes",
    "check_archive",
    "check_checksums",
    "load_array",
    "map_array",
    "open_archive",
    "read_header",
]

# Sparse depth is compressed to a fifteenth, other arrays less; a thousandth is what a bomb of zeros reaches.
EXPANSION = 100
# Bytes of an .npy file in which its header ends.
HEADER = 4096
# Small archives of equal numbers may expand further.
ALWAYS = 64 * 2**20
# NumPy reads a header with `ast`, which counts its depth for all threads together before Python 3.13 (gh-106905):
# an error for a file that is whole.
_ONE_HEADER = threading.RLock()


def load_array(path: Path) -> NDArray[Any]:
    """Read an .npy file; objects in it are refused.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is damaged, shorter than its header says, or holds objects.
    """
    with regular_file(path).open("rb") as stream:
        shape, columns_first, dtype = _plain_header(stream, path.stat().st_size)
        array = np.empty(math.prod(shape), dtype)
        stream.readinto(array.view(np.uint8).data)  # not np.fromfile: a file in a shard is none of the system's
    return array.reshape(shape, order="F" if columns_first else "C")


def map_array(path: Path) -> NDArray[Any]:
    """Return the array of an .npy file, read from the disk where it is used; objects in it are refused.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is damaged, shorter than its header says, or holds objects.
    """
    with regular_file(path).open("rb") as stream:
        shape, columns_first, dtype = _plain_header(stream, path.stat().st_size)
        array = np.memmap(stream, dtype, "r", stream.tell(), shape, "F" if columns_first else "C")
    return np.asarray(array)


def array_from_bytes(content: bytes) -> NDArray[Any]:
    """Return the array of an .npy file's content, without copying it; objects in it are refused.

    Raises:
        ValueError: it is damaged, shorter than its header says, or holds objects.
    """
    stream = io.BytesIO(content[:HEADER])
    shape, columns_first, dtype = _plain_header(stream, len(content))
    if columns_first:
        raise ValueError("it holds columns in place of rows")
    return np.frombuffer(content, dtype, math.prod(shape), stream.tell()).reshape(shape)


@contextmanager
def open_archive(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """Open an .npz archive after `check_archive`; reading objects from it raises ValueError.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it expands to many times its size, or it is damaged.
    """
    check_archive(path)
    with _ONE_HEADER, np.load(path, allow_pickle=False) as archive:
        yield archive


def check_archive(path: Path) -> None:
    """Check that a zip archive, such as .npz or .pth, does not expand to many times its size.

    Arrays in it (.npy) must have as many bytes as their headers say.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it expands to more than 100 times its size and more than 64 MiB, or it is damaged.
    """
    packed = regular_file(path).stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > max(ALWAYS, EXPANSION * packed):
                raise ValueError(
                    f"it expands from {packed / 1e6:.1f} MB to {unpacked / 1e6:,.0f} MB; at most {EXPANSION} times its "
                    "size are read; if it is your own, write it without compression"
                )
            for member in members:
                if member.filename.endswith(".npy"):
                    with archive.open(member) as stream:
                        _check_header(stream, member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # damaged, or encrypted
        raise ValueError(str(error)) from error


def check_checksums(path: Path) -> None:
    """Check the CRC-32 that PyTorch stores with every part of a file, and does not check itself.

    Raises:
        OSError: the file cannot be read.
        ValueError: a part is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        raise ValueError(str(error)) from error
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong; if it was saved without checksums, save it with them")


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an .npy file, from several threads, too.

    Returns:
        The array's shape, whether columns come first, and its type.

    Raises:
        OSError: it cannot be read.
        Exception: it is damaged; NumPy evaluates it, which can raise anything.
    """
    with _ONE_HEADER:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        return read[version](stream)


def _plain_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return what `_check_header` returns, for an array that holds no objects."""
    header = _check_header(stream, size)
    if header[2].hasobject:
        raise ValueError("it holds Python objects")
    return header


def _check_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Check the header of an array in `size` bytes; return its shape, whether columns come first, and its type."""
    try:
        shape, columns_first, dtype = read_header(stream)
        claimed = math.prod(shape) * dtype.itemsize
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"its header is damaged ({str(error)[:100]})") from error
    if min(shape, default=0) < 0 or (claimed > size - stream.tell() and not dtype.hasobject):
        raise ValueError(f"its header says {dtype} {shape}, {claimed:,} bytes, but it has {size:,}")
    return shape, columns_first, dtype
