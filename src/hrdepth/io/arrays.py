"""Read files of NumPy, and check archives: sizes in a header are compared with the file before memory is allocated."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.io.files import regular_file

__all__ = ["array_from_bytes", "check_archive", "check_array", "check_checksums", "load_array"]

# Sparse depth is compressed to a fifteenth, other arrays less; a thousandth is what a bomb of zeros reaches.
EXPANSION = 100
# Bytes of an .npy file in which its header ends.
HEADER = 4096
# Small archives of equal numbers may expand further.
ALWAYS = 64 * 2**20


def load_array(path: Path) -> NDArray[Any]:
    """Read an .npy file; objects in it are refused.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is damaged, shorter than its header says, or holds objects.
    """
    with regular_file(path).open("rb") as stream:
        _check_header(stream, path.stat().st_size)
        stream.seek(0)
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def array_from_bytes(content: bytes) -> NDArray[Any]:
    """Return the array of an .npy file's content, without copying it; objects in it are refused.

    Raises:
        ValueError: it is damaged, shorter than its header says, or holds objects.
    """
    stream = io.BytesIO(content[:HEADER])
    shape, fortran, dtype = _check_header(stream, len(content))
    if dtype.hasobject or fortran:
        raise ValueError("it holds Python objects, or columns in place of rows")
    return np.frombuffer(content, dtype, math.prod(shape), stream.tell()).reshape(shape)


def check_array(path: Path) -> None:
    """Check that an .npy file has as many bytes as its header says.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it has fewer, or its header is damaged.
    """
    with regular_file(path).open("rb") as stream:
        _check_header(stream, path.stat().st_size)


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
        raise ValueError(f"the checksum of {damaged} is wrong")


def _check_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Check the header of an array in `size` bytes; return its shape, whether columns come first, and its type."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, columns_first, dtype = read_header[version](stream)
        claimed = math.prod(shape) * dtype.itemsize
    except OSError:
        raise
    except Exception as error:  # NumPy evaluates the header, which can raise anything
        raise ValueError(f"its header is damaged ({str(error)[:100]})") from error
    if min(shape, default=0) < 0 or (claimed > size - stream.tell() and not dtype.hasobject):
        raise ValueError(f"its header says {dtype} {shape}, {claimed:,} bytes, but it has {size:,}")
    return shape, columns_first, dtype
