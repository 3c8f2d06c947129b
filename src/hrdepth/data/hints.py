"""Depth hints: what geometry knows of an image's depth before any training, where it knows anything.

    HINTS/hints.json       of which size, in whose units, how they came about
    HINTS/4f/4f0c...npy    float16 (h,w), 1/depth in 1/units, as the canonical camera would see it; 0 where unknown
    HINTS/train-1.txt      the frames of the first data set to learn from that have one; and so on

A file's name is a digest of the image (its path relative to HINTS, size and time of change), so that the data may lie
where nothing can be written, and an image that changes has no hint. `hrdepth prepare hints` makes them.

Source: Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019, has the idea: there from stereo matching.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hrdepth.data.augment import WHOLE, Window
from hrdepth.data.kept_maps import keyed_file, read_map, write_map
from hrdepth.errors import InputError

__all__ = ["ABOUT", "Hints", "use_hints"]

ABOUT = "hints.json"


@dataclass(frozen=True)
class Hints:
    """A folder of hints.

    Attributes:
        folder: where it lies.
        size: (height, width) of its maps.
        canonical_focal: see `Checkpoint`; of the network whose units they have.
    """

    folder: Path
    size: tuple[int, int]
    canonical_focal: float | None

    @classmethod
    def open(cls, folder: str | Path) -> Hints:
        """Open a folder that `hrdepth prepare hints` has made.

        Raises:
            InputError: it is none.
        """
        file = Path(folder) / ABOUT
        try:
            about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            height, width = about["size"]
            return cls(Path(folder), (int(height), int(width)), about["canonical_focal"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} is no folder of depth hints ({file.name}: {error}); make them with hrdepth prepare hints"
            ) from error

    def file(self, image: Path) -> Path:
        """Return where the hint of an image, as it now is, lies or would."""
        return keyed_file(self.folder, image)

    def write(self, image: Path, inverse_depth: NDArray[np.float32]) -> None:
        """Keep 1/depth (h,w) of an image, 0 where it is not known."""
        write_map(self.file(image), inverse_depth)

    def read(self, image: Path, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
        """Return 1/depth (1,H,W) of what `window` keeps of an image, at `size`, for the canonical camera; 0 for none.

        To the network, what a zoom shows twice as large is twice as near.

        Raises:
            InputError: the map is damaged.
        """
        try:
            map_ = Image.fromarray(read_map(self.file(image), self.size, "depth hint"))
        except FileNotFoundError:
            return torch.zeros(1, *size)
        # No value between a near and a far one, or between one and none.
        resized = map_.resize((size[1], size[0]), Image.Resampling.NEAREST, box=window.box(self.size))
        return torch.from_numpy(np.array(resized))[None] / window.extent


class _Reader(Protocol):
    def __call__(self, image: Path, size: tuple[int, int], window: Window) -> Tensor: ...


class _Part(Protocol):
    hints: _Reader | None

    def targets(self) -> Iterable[Path]: ...


def use_hints(hints: Hints, parts: Iterable[_Part]) -> None:
    """Let data sets read hints.

    Raises:
        InputError: no target image has any.
    """
    parts = list(parts)
    if not any(hints.file(image).is_file() for part in parts for image in part.targets()):
        raise InputError(
            f"no image of the training has a depth hint in {hints.folder}: they were made for other images, or "
            "these have changed since; make them with hrdepth prepare hints"
        )
    for part in parts:
        part.hints = hints.read
