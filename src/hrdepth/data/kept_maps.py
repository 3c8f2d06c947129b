"""What was computed of images once, kept in a folder: `FOLDER/4f/4f0c...npy`, float16 (h,w)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path

__all__ = ["keyed_file", "read_map", "write_map"]


def keyed_file(folder: Path, image: Path, *about: object) -> Path:
    """Return where what was computed of an image, as it now is, lies in a folder, or would.

    Args:
        folder: where it is kept.
        image: whose path relative to the folder, size and time of change count.
        about: what else decides on the result.
    """
    status = image.stat()
    name = Path(os.path.relpath(os.path.realpath(image), os.path.realpath(folder))).as_posix()
    key = json.dumps([name, status.st_size, status.st_mtime_ns, *about])
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return folder / digest[:2] / f"{digest}.npy"


def write_map(file: Path, map_: NDArray[np.floating]) -> None:
    """Keep a map (h,w) as float16."""
    file.parent.mkdir(exist_ok=True)
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, map_.astype(np.float16), allow_pickle=False)


def read_map(file: Path, size: tuple[int, int], kind: str) -> NDArray[np.float32]:
    """Return a map of `size` (h,w).

    Args:
        file: where it lies.
        size: that it must have.
        kind: what to call it, such as "depth hint".

    Raises:
        FileNotFoundError: it is missing.
        InputError: it is damaged.
    """
    try:
        map_ = np.load(file, allow_pickle=False)
        if map_.shape != size or map_.dtype != np.float16:
            raise ValueError(f"it holds {map_.dtype} {map_.shape}")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"the {kind} {file} is damaged ({error}); delete it, and it can be made anew") from error
    return np.asarray(map_, np.float32)
