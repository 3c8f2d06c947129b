"""What every teacher implements, and what its output means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.camera import DepthScale
from hrdepth.errors import InputError

__all__ = ["Meaning", "Teacher", "same_camera"]


class Meaning(StrEnum):
    """What a teacher's map v, larger where it is nearer, says of 1/depth.

    `metric`: v = 1/depth. `scale`: v = 1/depth times an unknown factor of each image. `affine`: v = a/depth
    + b with unknown a > 0 and b of each image.
    """

    METRIC = "metric"
    SCALE = "scale"
    AFFINE = "affine"


class Teacher(ABC):
    """A depth model of any origin, frozen.

    Attributes:
        name: by which it was asked for.
        meaning: of its maps.
        licence: SPDX identifier, or None where it is not stated.
        canonical_focal: fx, in image widths, of the camera that metric depth holds for whatever camera took the
            image; None where the depth is that of the image's own camera.
        metres_per_unit: of metric maps, whose values are 1/units; None if unknown.
    """

    name: str
    meaning: Meaning
    licence: str | None = None
    canonical_focal: float | None = None
    metres_per_unit: float | None = None

    @abstractmethod
    def digest(self) -> str:
        """Return a hash of all that decides on its maps: weights and preprocessing."""

    @abstractmethod
    def maps(self, images: Sequence[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the maps of RGB images of one size, (N,h,w), resized to `size` (height, width)."""

    def facts(self) -> dict[str, Any]:
        """Return JSON-able facts for the labels and the student's weights file."""
        return {
            "name": self.name, "meaning": str(self.meaning), "licence": self.licence,
            "canonical_focal": self.canonical_focal, "digest": self.digest(),
        }  # fmt: skip


def same_camera(what: str, canonical_focal: float, student: DepthScale) -> float:
    """Return the canonical focal length of a student, which depth for a canonical camera is converted to.

    Args:
        what: the beginning of the message, such as `the labels in maps hold`.
        canonical_focal: of the teacher.
        student: its scale.

    Raises:
        InputError: the student has none.
    """
    if student.canonical_focal is None:
        raise InputError(
            f"{what} for canonical_focal {canonical_focal:g}, the run has none; set canonical_focal to "
            f"{canonical_focal:g}"
        )
    return student.canonical_focal
