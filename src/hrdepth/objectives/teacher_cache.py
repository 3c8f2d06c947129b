"""What a teacher sees in images, computed once and kept on disk.

    CACHE/4f/4f0c...npy    float16 (h,w), the teacher's sigmoid output at its own size for one whole image

A file's name is a digest of the image (its path relative to CACHE, size and time of change), the teacher (the hash of
its file) and its size. So whatever changes, the map is computed anew, and an interrupted run goes on where it was. Seen
at its own size, an image gives the teacher all the detail that it was trained with, whatever the student's size.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor

from hrdepth.data.augment import WHOLE, Window
from hrdepth.data.frames import load_image
from hrdepth.data.kept_maps import keyed_file, read_map, write_map
from hrdepth.errors import InputError
from hrdepth.objectives.teacher import Teacher

__all__ = ["TeacherCache", "fill"]

log = logging.getLogger(__name__)

BATCH = 8


@dataclass(frozen=True)
class TeacherCache:
    """A folder of one teacher's disparities; holds no network, so that loaders' processes can have it.

    Attributes:
        folder: where it lies; other teachers' disparities may lie there too.
        teacher: the hash of the teacher's file.
        size: (height, width) of its maps.
        min_depth: the teacher's range, network units.
        max_depth: likewise.
    """

    folder: Path
    teacher: str
    size: tuple[int, int]
    min_depth: float
    max_depth: float

    @classmethod
    def of(cls, teacher: Teacher, folder: str | Path) -> TeacherCache:
        """Describe the cache of `teacher` in `folder`, which is made if it is missing.

        Raises:
            InputError: the folder cannot be made.
        """
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the teacher's cache {path} cannot be made ({error.strerror}); choose another") from error
        return cls(path, teacher.sha256(), teacher.size, teacher.min_depth, teacher.max_depth)

    def file(self, image: Path) -> Path:
        """Return where the map of an image, as it now is, lies or would."""
        return keyed_file(self.folder, image, self.teacher, self.size)

    def write(self, image: Path, disparity: Tensor) -> None:
        """Keep the teacher's disparity (h,w) of an image."""
        write_map(self.file(image), disparity.cpu().numpy())

    def read(self, image: Path, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
        """Return 1/depth (1,H,W) of what `window` keeps of an image, at `size`, for the canonical camera.

        To the network, what a zoom shows twice as large is twice as near.

        Raises:
            InputError: the map is missing or damaged.
        """
        file = self.file(image)
        try:
            disparity = read_map(file, self.size, "teacher's map")
        except FileNotFoundError as error:
            raise InputError(
                f"the teacher's cache {self.folder} lacks a map that it had: an image changed during the run, or "
                f"{file.name} was removed; start again with --resume last"
            ) from error
        map_ = Image.fromarray(1 / self.max_depth + (1 / self.min_depth - 1 / self.max_depth) * disparity)
        if map_.size != (size[1], size[0]) or window != WHOLE:
            map_ = map_.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=window.box(self.size))
        return torch.from_numpy(np.array(map_))[None] / window.extent


def fill(cache: TeacherCache, teacher: Teacher, images: Iterable[Path], device: torch.device) -> int:
    """Compute what the cache lacks of `images`; return how much that was.

    Raises:
        InputError: an image cannot be read, the folder cannot be written, or the teacher gives NaN.
    """
    missing = [image for image in dict.fromkeys(images) if not cache.file(image).is_file()]
    if missing:
        log.info("the teacher looks at %d images for the cache %s", len(missing), cache.folder)
    starts = range(0, len(missing), BATCH)
    for start in track(starts, "teacher", disable=len(missing) < 64):
        part = missing[start : start + BATCH]
        batch = torch.stack([load_image(image, cache.size) for image in part])
        for image, disparity in zip(part, teacher.disparity(batch.to(device))[:, 0], strict=True):
            if not disparity.isfinite().all():
                raise InputError(f"the teacher {teacher.path} gives NaN for {image}: its weights are damaged")
            cache.write(image, disparity)
    return len(missing)
