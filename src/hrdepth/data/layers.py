"""Layers: what a sample may have beside images. Another one costs a class, and its name in `Batch`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hrdepth.camera import Camera
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.sample import WHOLE, Window, resize_matrix
from hrdepth.errors import InputError
from hrdepth.io.images import DAMAGE, image_size, open_image, read_image

__all__ = ["CameraRow", "CameraView", "Depth", "Frames", "Layer", "Mask", "Objects", "load_objects", "objects_file"]


class Frames(NamedTuple):
    """What one sample is made of.

    Attributes:
        line: the target.
        camera: of its recording.
        target: the image of the target.
        sources: the images of the sources, None where there is none.
        reader: of the data set.
    """

    line: SplitLine
    camera: Camera
    target: Path
    sources: list[Path | None]
    reader: FrameReader


class Layer(ABC):
    """One more plane of every sample.

    Attributes:
        key: its name in `Batch`.
        unknown_value: of pixels of which nothing is known.
    """

    key: ClassVar[str]
    unknown_value: ClassVar[float] = 0.0

    @abstractmethod
    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """Return the plane of a sample, without batch dimension.

        Args:
            frames: of the sample.
            size: (height, width) of the sample.
            window: the part of the images that the sample shows.
        """

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """Return the files that a sample's plane is read from; one may be missing, and None stands for none."""
        return ()

    def flip(self, plane: Tensor, width: int) -> Tensor:
        """Mirror a plane, along with the images of `width` pixels."""
        return plane.flip(-1)

    def unknown(self, frames: Frames, size: tuple[int, int]) -> Tensor:
        """Return the plane of a sample that the layer is not read for: nothing is known there."""
        return torch.full((1, *size), self.unknown_value)


class Mask(Layer):
    """`mask` (1,H,W) float: 1 where the pixel shows the scene, 0 on overlays, the car's hood and letterbox bars.

    These lie at the same place in all frames. All ones where the camera has no mask.
    """

    key = "mask"

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`; 1 where everything that a pixel was resized from shows the scene."""
        if frames.camera.mask is None:
            return torch.ones(1, *size)
        grey = _read_mask(frames.camera.mask)
        resized = grey.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=window.box((grey.height, grey.width)))
        return torch.from_numpy(np.array(resized) > 250)[None].float()

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """See `Layer.files`."""
        return [frames.camera.mask]


@lru_cache(maxsize=64)
def _read_mask(path: Path) -> Image.Image:
    return read_image(path).convert("L")


class Objects(Layer):
    """`objects` (1+S,H,W) int64: which object each pixel of the target and of the sources shows, 0 for none.

    Beside each folder of images lies one of the same name and `_objects`, with a PNG for each image that shows any:

        ROOT/DRIVE/left/000012.png                a frame
        ROOT/DRIVE/left_objects/000012.png        its objects

    The PNG has one channel, 8 or 16 bits, and the image's size. The same number in neighbouring frames is the same
    object. A frame without a file shows none.
    """

    key = "objects"

    @classmethod
    def of(cls, images: Iterable[Path]) -> Objects:
        """Return the layer for these images.

        Raises:
            InputError: none of them has objects.
        """
        images = iter(images)
        first = next(images, None)
        if first is None or not (objects_file(first).is_file() or any(objects_file(path).is_file() for path in images)):
            raise InputError(
                f"no frame has an object mask, such as {'' if first is None else objects_file(first)}; make some, or "
                "use objective 'view_synthesis'"
            )
        return cls()

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`."""
        return torch.stack([load_objects(path, size, window) for path in (frames.target, *frames.sources)])

    def unknown(self, frames: Frames, size: tuple[int, int]) -> Tensor:
        """See `Layer.unknown`: no object."""
        return torch.zeros(1 + len(frames.sources), *size, dtype=torch.int64)

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """See `Layer.files`."""
        return [path and objects_file(path) for path in (frames.target, *frames.sources)]


def objects_file(image: Path) -> Path:
    """Return where the objects of an image lie, or would.

    Example:
        >>> objects_file(Path("drive/left/000012.jpg")).as_posix()
        'drive/left_objects/000012.png'
    """
    return image.parent.with_name(f"{image.parent.name}_objects") / f"{image.stem}.png"


def load_objects(path: Path | None, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
    """Read the objects of a part of an image, by nearest neighbour.

    Args:
        path: of the frame itself; None where there is none.
        size: (height, width) in pixels.
        window: the part of the image.

    Returns:
        (H,W) int64, 0 for no object; all 0 without a file.

    Raises:
        InputError: the file is damaged, has several channels or another shape than its image.
    """
    if path is None or not (file := objects_file(path)).is_file():
        return torch.zeros(size, dtype=torch.int64)
    try:
        with open_image(file) as image:
            image.load()
    except DAMAGE as error:
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


class Depth(Layer):
    """`depth` (1,H,W): the target's true depth in network units, see `FrameReader.depth`.

    0 where it is unknown, infinite where there is nothing (sky). By nearest neighbour: there is no surface between a
    near and a far one.

    Args:
        metres_per_unit: of the network's depth.
    """

    key = "depth"

    def __init__(self, metres_per_unit: float) -> None:
        self.metres_per_unit = metres_per_unit

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`."""
        depth = frames.reader.depth(frames.line)
        if depth is None:
            return torch.zeros(1, *size)
        resized = Image.fromarray(depth).resize((size[1], size[0]), Image.Resampling.NEAREST, window.box(depth.shape))
        return torch.from_numpy(np.array(resized))[None] / self.metres_per_unit

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """See `Layer.files`."""
        return frames.reader.depth_files(frames.line)


class CameraRow(Layer):
    """`camera` () int64: the row of the table of learned cameras; -1 where `intrinsics` is known.

    Args:
        rows: by recording.
    """

    key = "camera"

    def __init__(self, rows: Mapping[str, int]) -> None:
        self.rows = dict(rows)

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`."""
        return torch.tensor(self.rows.get(frames.line.folder, -1))

    def flip(self, plane: Tensor, width: int) -> Tensor:
        """See `Layer.flip`; the camera stays the same one."""
        return plane


class CameraView(Layer):
    """`view` (3,3): from the camera's image, (0,0) to (1,1), to pixels of the sample, through crop, resize and flip."""

    key = "view"

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`."""
        height, width = frames.camera.size
        return resize_matrix(torch.diag(torch.tensor([width, height, 1.0], dtype=torch.float64)), frames.camera.size,
                             size, window)  # fmt: skip

    def flip(self, plane: Tensor, width: int) -> Tensor:
        """See `Layer.flip`."""
        return torch.tensor([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ plane
