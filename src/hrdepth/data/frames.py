"""From a place in a recording to a sample: which pictures, resized, with the K of that size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from hrdepth.config import AugmentConfig
from hrdepth.data.augment import augment_colours, flip_sample
from hrdepth.data.batch import Batch
from hrdepth.data.splits import SplitLine
from hrdepth.errors import InputError
from hrdepth.geometry import scale_intrinsics
from hrdepth.media import read_image

__all__ = ["Camera", "FrameDataset", "FrameReader", "find_picture", "load_picture"]

SUFFIXES = (".jpg", ".png", ".jpeg")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        intrinsics: (3,3) float64 in pixels of a picture of `size`.
        size: (height, width) in pixels.
        baseline: distance to the other eye, positive, in the units that predicted depth shall have; None for one eye.
        source: where the numbers come from, for messages.

    Raises:
        InputError: the numbers cannot be pixels of such a picture.
    """

    intrinsics: NDArray[np.float64]
    size: tuple[int, int]
    baseline: float | None = None
    source: str = "the camera"

    def __post_init__(self) -> None:
        height, width = self.size
        fx, fy, cx, cy = self.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
        if not (0.1 * width < fx < 20 * width and 0.1 * height < fy < 20 * height):
            raise InputError(
                f"{self.source}: focal lengths fx = {fx:g}, fy = {fy:g} cannot be pixels of a {width}x{height} picture "
                "(width x height); give K in pixels of that size, not normalised or in millimetres"
            )
        if self.baseline is not None and not self.baseline > 0:
            raise InputError(f"{self.source}: the baseline {self.baseline:g} must be positive: left and right swapped?")
        if not (0 < cx < width and 0 < cy < height):
            raise InputError(
                f"{self.source}: the principal point ({cx:g}, {cy:g}) lies outside the {width}x{height} picture; "
                "give K in pixels of that size"
            )


class FrameReader(Protocol):
    """What a data set must know; one class a data-set file."""

    @property
    def targets(self) -> Sequence[SplitLine]:
        """The target frames, in order."""

    def picture(self, line: SplitLine, frame: int | str) -> Path | None:
        """Return the picture at `frame` (0 the target, an offset in time, "s" the other eye), None if there is none."""

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

    A neighbour that is missing is an error; a missing second eye is marked in `source_valid`. Asking for item
    `i + n * len(self)` gives sample i with its n-th random changes, whichever process loads it.

    Raises:
        InputError: a picture or a second eye's baseline is missing, or a camera is wrong.
    """

    def __init__(
        self,
        reader: FrameReader,
        frames: Sequence[int | str],
        size: tuple[int, int],
        augment: AugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.reader = reader
        self.frames = tuple(frames)
        self.size = size
        self.augment = augment
        self.seed = seed
        self._check()

    def __len__(self) -> int:
        return len(self.reader.targets)

    def name(self, item: int) -> str:
        """Return the target frame of an item, for messages: `folder frame side (path:line of the split)`."""
        line = self.reader.targets[item % len(self)]
        return f"{line.name} ({line.origin})" if line.origin else line.name

    def __getitem__(self, item: int) -> Batch:
        line = self.reader.targets[item % len(self)]
        target = load_picture(self._found(line, 0), self.size)
        others = [self.reader.picture(line, frame) for frame in self.frames]
        sources = [torch.zeros_like(target) if path is None else load_picture(path, self.size) for path in others]
        camera = self.reader.camera(line)
        sample = Batch(
            target=target,
            sources=torch.stack(sources),
            target_augmented=target,
            sources_augmented=torch.stack(sources),
            intrinsics=_resized_intrinsics(camera, self.size),
            stereo_pose=_stereo_pose(camera, line.side),
            source_valid=torch.tensor([path is not None for path in others]),
            item=torch.tensor(item),
        )
        if self.augment is None:
            return sample
        random = np.random.default_rng((self.seed, item))
        if random.random() < self.augment.flip:
            sample = flip_sample(sample)
        return augment_colours(sample, self.augment, random)

    def _check(self) -> None:
        for line in self.reader.targets:
            for frame in (0, *self.frames):
                if isinstance(frame, int):
                    self._found(line, frame)
            camera = self.reader.camera(line)
            second_eye = "s" in self.frames and self.reader.picture(line, "s") is not None
            if second_eye and camera.baseline is None:
                raise InputError(
                    f"{line.origin}: '{line.folder}' has a second eye, but {camera.source} gives no baseline; "
                    "give it in metres, or set the data set's option baseline"
                )
            if self.frames == ("s",) and not second_eye:
                raise InputError(
                    f"{line.origin}: frame {line.frame} of '{line.folder}' has no second eye, the only source of "
                    "frames [s]; leave the line out or add neighbours to frames"
                )

    def _found(self, line: SplitLine, frame: int) -> Path:
        path = self.reader.picture(line, frame)
        if path is None:
            what = "its picture" if frame == 0 else f"its neighbour at {frame:+d}"
            raise InputError(
                f"{line.origin}: frame {line.frame} of '{line.folder}' misses {what}; "
                "complete the recording or leave the line out"
            )
        return path


def find_picture(folder: Path, stem: str) -> Path | None:
    """Return the picture `stem` in `folder`, whatever its suffix, or None."""
    for suffix in SUFFIXES:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    return None


def load_picture(path: Path, size: tuple[int, int]) -> Tensor:
    """Read a picture as (3,H,W) in [0,1], resized to `size` (height, width)."""
    image = read_image(path)
    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _resized_intrinsics(camera: Camera, size: tuple[int, int]) -> Tensor:
    intrinsics = torch.from_numpy(camera.intrinsics)
    return scale_intrinsics(intrinsics, size[1] / camera.size[1], size[0] / camera.size[0]).float()


def _stereo_pose(camera: Camera, side: str) -> Tensor:
    """A point seen from the left eye lies a baseline further left when seen from the right one."""
    pose = torch.eye(4)
    if camera.baseline is not None:
        pose[0, 3] = -camera.baseline if side == "l" else camera.baseline
    return pose
