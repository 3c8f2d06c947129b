"""Which object a pixel shows: one small image of numbers for each frame, made by whoever segments.

Beside each folder of images lies one of the same name and `_objects`, with a PNG for each image that shows any:

    ROOT/DRIVE/left/000012.png                a frame
    ROOT/DRIVE/left_objects/000012.png        its objects

The PNG has one channel, 8 or 16 bits, and the image's size. 0 is no object; the same number in neighbouring frames is
the same object. A frame without a file shows none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hrdepth.data.augment import WHOLE, Window
from hrdepth.errors import InputError
from hrdepth.io.images import image_size

__all__ = ["load_objects", "objects_file", "use_objects"]


class _Part(Protocol):
    with_objects: bool

    def images(self) -> Iterator[Path]: ...


def objects_file(image: Path) -> Path:
    """Return where the objects of an image lie, or would.

    Example:
        >>> objects_file(Path("drive/left/000012.jpg")).as_posix()
        'drive/left_objects/000012.png'
    """
    return image.parent.with_name(f"{image.parent.name}_objects") / f"{image.stem}.png"


def load_objects(path: Path | None, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
    """Read the objects of what `window` keeps of an image, by nearest neighbour.

    Args:
        path: of the frame itself; None where there is none.
        size: (height, width) in pixels.
        window: the part of the image that is kept.

    Returns:
        (H,W) int64, 0 for no object; all 0 without a file.

    Raises:
        InputError: the file is damaged, has several channels or another shape than its image.
    """
    if path is None or not (file := objects_file(path)).is_file():
        return torch.zeros(size, dtype=torch.int64)
    try:
        with Image.open(file) as image:
            image.load()
    except (OSError, ValueError) as error:
        raise InputError(f"the object mask {file} cannot be read ({error})") from error
    if len(image.getbands()) != 1:
        raise InputError(
            f"the object mask {file} has {len(image.getbands())} channels; it needs one, of object numbers"
        )
    if (image.height, image.width) != (shape := image_size(path)):
        raise InputError(
            f"the object mask {file} has {image.width}x{image.height} pixels, its image {shape[1]}x{shape[0]}"
        )
    box = window.box((image.height, image.width))
    resized = image.resize((size[1], size[0]), Image.Resampling.NEAREST, box=box)
    return torch.from_numpy(np.array(resized).astype(np.int64))


def use_objects(parts: Iterable[_Part]) -> None:
    """Let data sets read the objects of their frames.

    Raises:
        InputError: no frame of any has some.
    """
    parts = list(parts)
    images = (image for part in parts for image in part.images())
    first = next(images, None)
    if first is None or not (objects_file(first).is_file() or any(objects_file(path).is_file() for path in images)):
        raise InputError(
            f"no frame has an object mask, such as {'' if first is None else objects_file(first)}; make some, or take "
            "objective 'view_synthesis'"
        )
    for part in parts:
        part.with_objects = True
