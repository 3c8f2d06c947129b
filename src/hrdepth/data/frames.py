"""From a place in a recording to a sample: which images, resized, with the K of that size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from hrdepth.camera import Camera
from hrdepth.config import AugmentConfig
from hrdepth.data.augment import WHOLE, Window, augment_colours, degrade, draw_window, flip_sample
from hrdepth.data.batch import Batch
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.objects import load_objects
from hrdepth.data.splits import SplitLine
from hrdepth.errors import InputError
from hrdepth.geometry import crop_intrinsics, scale_intrinsics
from hrdepth.io.images import read_image

__all__ = [
    "FrameDataset",
    "FrameReader",
    "find_image",
    "image_tensor",
    "load_image",
    "resize_image",
    "resized_intrinsics",
    "stereo_pose",
]

SUFFIXES = (".jpg", ".png", ".jpeg")


class FrameReader(Protocol):
    """What a data set must know; one class a data-set file."""

    @property
    def targets(self) -> Sequence[SplitLine]:
        """The target frames, in order."""

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """Return the image at `frame` (0 the target, an offset in time, "s" the other eye), None if there is none."""

    def camera(self, line: SplitLine) -> Camera:
        """Return the camera of the line's recording."""


class FrameDataset(Dataset[Batch]):
    """Samples of one recording set.

    Args:
        reader: knows files and cameras.
        frames: the sources, see `config.ObjectiveConfig`.
        size: (height, width) of the samples.
        augment: random changes, or None.
        seed: of those.
        neighbours: which neighbours a sample takes; by default the direct ones, none of which may be missing.
        check: look whether every image is there before the first is asked for.

    A missing second eye is marked in `source_valid`. Asking for item `i + n * len(self)` gives sample i with its n-th
    random changes, whichever process loads it. `read` says how an image file is read; a cache puts its own way
    there, see `data.cache.use_cache`. `with_masks` adds `mask` to every sample, all ones where the camera has none.
    `with_objects` adds `objects`, see `data.objects`. `cameras` adds `camera` and `view`: the row of each recording's
    learned camera. `teacher`, where it is set, gives what a teacher sees in a window of an image, resized, (1,H,W);
    `hints` likewise what is known of its depth before.

    Raises:
        InputError: images or a second eye's baseline are missing, or a camera is wrong; all are named.
    """

    def __init__(
        self,
        reader: FrameReader,
        frames: Sequence[int | str],
        size: tuple[int, int],
        augment: AugmentConfig | None = None,
        seed: int = 0,
        neighbours: Neighbours | None = None,
        check: bool = True,
    ) -> None:
        self.reader = reader
        self.frames = tuple(frames)
        self.size = size
        self.augment = augment
        self.seed = seed
        self.read: Callable[[Path], Image.Image] = read_image
        self.with_masks = False
        self.with_objects = False
        self.cameras: dict[str, int] | None = None
        self.teacher: Callable[[Path, tuple[int, int], Window], Tensor] | None = None
        self.hints: Callable[[Path, tuple[int, int], Window], Tensor] | None = None
        self.neighbours = Neighbours(reader, frames) if neighbours is None else neighbours
        if check and (faults := self.neighbours.faults()):
            raise InputError.several(faults)

    def __len__(self) -> int:
        return len(self.reader.targets)

    def name(self, item: int) -> str:
        """Return the target frame of an item, for messages: `folder frame side (path:line of the split)`."""
        line = self.reader.targets[item % len(self)]
        return f"{line.name} ({line.origin})" if line.origin else line.name

    def __getitem__(self, item: int) -> Batch:
        line = self.reader.targets[item % len(self)]
        random = np.random.default_rng((self.seed, item))
        camera = self.reader.camera(line)
        window = (WHOLE if self.augment is None else draw_window(self.augment, random)).above(camera.keep)
        target = load_image(self.neighbours.target(line), self.size, window, self.read)
        others = self.neighbours.sources(line, None if self.augment is None else (self.seed, item))
        sources = target.new_zeros(len(others), *target.shape)
        for index, path in enumerate(others):
            if path is not None:
                sources[index] = load_image(path, self.size, window, self.read)
        sample = Batch(
            target=target,
            sources=sources,
            target_augmented=target,
            sources_augmented=sources,
            intrinsics=resized_intrinsics(camera, self.size, window),
            stereo_pose=stereo_pose(camera, line.side),
            source_valid=torch.tensor([path is not None for path in others], dtype=torch.bool),
            item=torch.tensor(item),
        )
        if self.with_masks:
            sample["mask"] = _load_mask(camera.mask, self.size, window)
        if self.with_objects:
            paths = [self.neighbours.target(line), *others]
            sample["objects"] = torch.stack([load_objects(path, self.size, window) for path in paths])
        if self.cameras is not None:
            sample["camera"] = torch.tensor(self.cameras.get(line.folder, -1))
            sample["view"] = _view(camera.size, self.size, window)
        if self.teacher is not None:
            sample["teacher"] = self.teacher(self.neighbours.target(line), self.size, window)
        if self.hints is not None:
            sample["hint"] = self.hints(self.neighbours.target(line), self.size, window)
        if self.augment is None:
            return sample
        if random.random() < self.augment.flip:
            sample = flip_sample(sample)
        return degrade(augment_colours(sample, self.augment, random), self.augment, random)

    def has_masks(self) -> bool:
        """Say whether the camera of any recording has a mask."""
        lines = {(line.folder, line.side): line for line in self.reader.targets}
        return any(self.reader.camera(line).mask is not None for line in lines.values())

    def is_cropped(self) -> bool:
        """Say whether the camera of any recording leaves out what lies below."""
        lines = {line.folder: line for line in self.reader.targets}
        return any(self.reader.camera(line).keep < 1 for line in lines.values())

    def targets(self) -> Iterator[Path]:
        """Yield the images whose depth is learnt."""
        return map(self.neighbours.target, self.reader.targets)

    def images(self) -> Iterator[Path]:
        """Yield every image that samples are made of; one may come several times."""
        for line in self.reader.targets:
            yield from self.neighbours.existing(line)


def find_image(folder: Path, stem: str) -> Path | None:
    """Return the image `stem` in `folder`, whatever its suffix, or None."""
    for suffix in SUFFIXES:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    return None


def load_image(
    path: Path, size: tuple[int, int], window: Window = WHOLE, read: Callable[[Path], Image.Image] = read_image
) -> Tensor:
    """Read what `window` keeps of an image as (3,H,W) in [0,1], resized once to `size` (height, width)."""
    return image_tensor(read(path), size, window)


def image_tensor(image: Image.Image, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
    """Return what `window` keeps of an image as (3,H,W) in [0,1], resized once to `size` (height, width)."""
    pixels = torch.from_numpy(np.array(resize_image(image, size, window)))
    # Whole planes one after the other: what comes behind is several times slower on interleaved channels.
    return pixels.permute(2, 0, 1).contiguous().float().div_(255)


def resize_image(image: Image.Image, size: tuple[int, int], window: Window = WHOLE) -> Image.Image:
    """Resize what `window` keeps to `size` (height, width), by Lanczos."""
    if image.size == (size[1], size[0]) and window == WHOLE:
        return image
    box = window.box((image.height, image.width))
    return image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box)


def _load_mask(path: Path | None, size: tuple[int, int], window: Window) -> Tensor:
    """Read a mask as (1,H,W): 1 where all that a pixel was resized from shows the scene, else 0."""
    if path is None:
        return torch.ones(1, *size)
    grey = _read_mask(path)
    resized = grey.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=window.box((grey.height, grey.width)))
    return torch.from_numpy(np.array(resized) > 250)[None].float()


@lru_cache(maxsize=64)
def _read_mask(path: Path) -> Image.Image:
    return read_image(path).convert("L")


def resized_intrinsics(camera: Camera, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
    """Return K (3,3) of what `window` keeps of the camera's image, in pixels of `size` (height, width)."""
    # Of a window the principal point may lie outside: the lens is where it was.
    return _resize(torch.from_numpy(camera.intrinsics), camera.size, size, window)


def _view(whole: tuple[int, int], size: tuple[int, int], window: Window) -> Tensor:
    """Return what maps the camera's image, (0,0) to (1,1), to pixels of a sample: (3,3)."""
    return _resize(torch.diag(torch.tensor([whole[1], whole[0], 1.0], dtype=torch.float64)), whole, size, window)


def _resize(matrix: Tensor, whole: tuple[int, int], size: tuple[int, int], window: Window) -> Tensor:
    left, top, right, bottom = window.box(whole)
    cropped = crop_intrinsics(matrix, left, top)
    return scale_intrinsics(cropped, size[1] / (right - left), size[0] / (bottom - top)).float()


def stereo_pose(camera: Camera, side: str) -> Tensor:
    """Return the pose (4,4) from an eye to the other; the identity where there is none.

    A point seen from the left eye lies a baseline further left when seen from the right one.
    """
    pose = torch.eye(4)
    if camera.baseline is not None:
        pose[0, 3] = -camera.baseline if side == "l" else camera.baseline
    return pose
