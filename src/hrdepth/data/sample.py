"""A sample: its tensors, the part of an image that it shows, and how images and cameras become tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hrdepth.camera import Camera
from hrdepth.geometry import crop_intrinsics, scale_intrinsics
from hrdepth.io.images import read_image

__all__ = [
    "WHOLE",
    "Batch",
    "SizedItem",
    "Window",
    "image_tensor",
    "load_image",
    "resize_image",
    "resized_intrinsics",
    "stereo_pose",
]


class _Images(TypedDict):
    target: Tensor
    sources: Tensor
    target_augmented: Tensor
    sources_augmented: Tensor
    intrinsics: Tensor
    stereo_pose: Tensor
    source_valid: Tensor


class Batch(_Images, total=False):
    """Plain tensors; B samples, S sources in the order of the objective's `frames`.

    Attributes:
        target: (B,3,H,W) in [0,1].
        sources: (B,S,3,H,W); zeros where a sample lacks the source.
        target_augmented: the target with colours changed, blurred or noisy; the input of the networks.
        sources_augmented: the same of the sources.
        intrinsics: (B,3,3), pixels of this size; a zoomed sample's principal point may lie outside.
        stereo_pose: (B,4,4), target to the other image of the stereo pair; the identity where there is none.
        source_valid: (B,S) bool, false where a sample lacks the source.
        item: (B,) int64, the index in the data set, whose `name(item)` is the frame. Missing in a batch that comes
            from no data set.
        mask: a layer, see `data.layers.Mask`; also the following ones.
        objects: see `data.layers.Objects`.
        camera: see `data.layers.CameraRow`.
        view: see `data.layers.CameraView`.
        depth: see `data.layers.Depth`.
        hint: see `data.map_cache.DepthHints`.
        teacher: see `teachers.network.TeacherMaps` and `teachers.labels.Labels`.
        confidence: see `teachers.labels.Confidence`.
    """

    item: Tensor
    mask: Tensor
    objects: Tensor
    camera: Tensor
    view: Tensor
    depth: Tensor
    hint: Tensor
    teacher: Tensor
    confidence: Tensor


class SizedItem(NamedTuple):
    """An item of a data set at another size than the data set's own.

    Attributes:
        item: the index.
        size: (height, width) in pixels.
    """

    item: int
    size: tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A part of an image, in fractions of its width and height, so that any size can be cut.

    Attributes:
        left: where it begins, as a fraction of the width.
        top: where it begins, as a fraction of the height.
        extent: its share of width and height: 1/zoom, so that the image keeps its shape.
        height: its share of the height, where that is another one; None for `extent`.
    """

    left: float = 0.0
    top: float = 0.0
    extent: float = 1.0
    height: float | None = None

    def above(self, share: float) -> Window:
        """Return the same part of the upper `share` of the image."""
        if share == 1:
            return self
        return Window(self.left, self.top * share, self.extent, share * (self.height or self.extent))

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom in pixels of an image of `size` (height, width)."""
        height, width = size
        # A rounding error must not reach beyond the image.
        right, bottom = min(self.left + self.extent, 1.0), min(self.top + (self.height or self.extent), 1.0)
        return self.left * width, self.top * height, right * width, bottom * height


WHOLE = Window()


def load_image(
    path: Path, size: tuple[int, int], window: Window = WHOLE, read: Callable[[Path], Image.Image] = read_image
) -> Tensor:
    """Read a part of an image as (3,H,W) in [0,1], resized once to `size` (height, width)."""
    return image_tensor(read(path), size, window)


def image_tensor(image: Image.Image, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
    """Return a part of an image as (3,H,W) in [0,1], resized once to `size` (height, width)."""
    pixels = torch.from_numpy(np.array(resize_image(image, size, window)))
    # Whole planes one after the other: what comes behind is several times slower on interleaved channels.
    return pixels.permute(2, 0, 1).contiguous().float().div_(255)


def resize_image(image: Image.Image, size: tuple[int, int], window: Window = WHOLE) -> Image.Image:
    """Resize a part of an image to `size` (height, width), by Lanczos."""
    if image.size == (size[1], size[0]) and window == WHOLE:
        return image
    box = window.box((image.height, image.width))
    return image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box)


def resized_intrinsics(camera: Camera, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
    """Return K (3,3) of a part of the camera's image, in pixels of `size` (height, width).

    The principal point is scaled plainly, as the field's released trainings do, though the middle of pixel c comes to
    lie at (c + 0.5) f - 0.5: a difference of less than half a pixel, kept so that weights and numbers stay comparable.
    """
    # The principal point may lie outside the window.
    return resize_matrix(torch.from_numpy(camera.intrinsics), camera.size, size, window)


def resize_matrix(matrix: Tensor, whole: tuple[int, int], size: tuple[int, int], window: Window) -> Tensor:
    """Bring a matrix (3,3) that ends in pixels of the `whole` image to pixels of its part at `size`."""
    left, top, right, bottom = window.box(whole)
    cropped = crop_intrinsics(matrix, left, top)
    return scale_intrinsics(cropped, size[1] / (right - left), size[0] / (bottom - top)).float()


def stereo_pose(camera: Camera, side: str) -> Tensor:
    """Return the pose (4,4) from an image to the other one of its stereo pair; the identity where there is none.

    A point in the left image lies a baseline further left in the right camera's coordinates.
    """
    pose = torch.eye(4)
    if camera.baseline is not None:
        pose[0, 3] = -camera.baseline if side == "l" else camera.baseline
    return pose
