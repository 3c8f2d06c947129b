"""Read the pickled array of float maps that some archives hold, without running what a pickle may ask for.

A pickle is a program. This one is let build lists, tuples and the stand-ins below; NumPy's own classes, with
their unchecked states, stay out of its reach, and arrays are made from the stand-ins afterwards.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.arrays import check_archive, read_header
from hrdepth.io.files import existing_file

__all__ = ["read_float_maps"]


def read_float_maps(path: str | Path) -> list[NDArray[np.float32]]:
    """Read the array `data` of two-dimensional maps from an .npz, pickled (maps of several sizes) or plain (of one).

    Returns:
        float32 (H,W) maps in order.

    Raises:
        InputError: the file is missing, damaged, or holds anything but such maps; nothing in it is run.
    """
    path = existing_file(path, "the archive")
    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        with zipfile.ZipFile(path) as archive:
            if "data.npy" not in archive.namelist():
                names = ", ".join(name.removesuffix(".npy") for name in archive.namelist()) or "nothing"
                raise InputError(f"{path} has no array 'data'; it has {names}")
            with archive.open("data.npy") as stream:
                items = _read_array(stream)
            if sum(item.nbytes for item in items) > archive.getinfo("data.npy").file_size:  # one array many times
                raise pickle.UnpicklingError("its maps have more bytes than the archive")
            maps = [np.asarray(item, dtype=np.float32) for item in items]
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} is refused: {error}; depth maps must be NumPy arrays") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(f"{path} is damaged or no archive of depth maps ({type(error).__name__})") from error
    wrong = next((index for index, item in enumerate(maps) if item.ndim != 2 or not item.size), None)
    if wrong is not None or not maps:
        what = "no maps" if wrong is None else f"an entry (number {wrong}) of shape {maps[wrong].shape}"
        raise InputError(f"{path} holds {what}; it must hold depth maps (H,W)")
    return maps


def _read_array(stream: IO[bytes]) -> Any:
    shape, columns_first, dtype = read_header(stream)
    if dtype.hasobject:
        return _to_array(_ArraysOnly(stream, encoding="latin1").load())
    flat = np.frombuffer(stream.read(), dtype)
    return flat.reshape(shape, order="F" if columns_first else "C")


class _Dtype:
    """Stands in for numpy.dtype: a code such as `f4`, and the byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]

    def resolve(self) -> np.dtype[Any]:
        if self.code not in ("f2", "f4", "f8") or self.order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"it holds numbers of type {self.code!s:.20}, not floats")
        return np.dtype(f"{'=' if self.order == '|' else self.order}{self.code}")


class _Array:
    """Stands in for numpy.ndarray and for the function that starts to rebuild one."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        self.state = tuple(state)  # (version, shape, dtype, Fortran order, bytes or list)


class _Buffer(_Array):
    """Stands in for the function that rebuilds an array in pickles of protocol 5."""

    def __init__(self, buffer: object, dtype: object, shape: object, order: object) -> None:
        self.state = (1, shape, dtype, order == "F", buffer)


class _Encoded(bytes):
    """Stands in for `_codecs.encode`, by which old pickles write bytes."""

    def __new__(cls, text: str, *_: object) -> _Encoded:
        return super().__new__(cls, text.encode("latin1"))


def _to_array(item: Any, *, inner: bool = False) -> Any:
    """Make the array that a stand-in describes; an array of objects, which no `inner` one is, becomes a list.

    Rows of rows, each many times the same one, would be more than any memory holds.
    """
    if not isinstance(item, _Array) or len(item.state) != 5:
        raise pickle.UnpicklingError(f"it holds a {type(item).__name__.lstrip('_')} where an array is due")
    _, shape, dtype, fortran_order, content = item.state
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("it holds an array without a type")
    if dtype.code in ("O", "O8", "O4"):
        if not isinstance(content, list) or len(shape) != 1 or len(content) != shape[0]:
            raise pickle.UnpicklingError("its outer array is not a row of maps")
        if inner:
            raise pickle.UnpicklingError("it holds an array of objects where a map is due")
        return [_to_array(entry, inner=True) for entry in content]
    if isinstance(content, str):  # bytes of a pickle from Python 2
        content = content.encode("latin1")
    flat = np.frombuffer(content, dtype.resolve())
    if math.prod(shape) != flat.size or any(length < 0 for length in shape):
        raise pickle.UnpicklingError("it holds an array with too few or too many numbers")
    return flat.reshape(shape, order="F" if fortran_order else "C")


_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encoded,
    **{(module, "_reconstruct"): _Array for module in _NUMPY},
    **{(module, "_frombuffer"): _Buffer for module in _NUMPY},
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _STAND_INS[module, name]
