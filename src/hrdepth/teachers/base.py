"""What every teacher implements, and what its output means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError

__all__ = ["Meaning", "Teacher", "canonical_factor"]


class Meaning(str, Enum):  # StrEnum is of Python 3.11
    """What a teacher's map v, larger where it is nearer, says of 1/depth.

    `metric`: v = 1/depth. `scale`: v = 1/depth times an unknown factor of each image. `affine`: v = a/depth
    + b with unknown a > 0 and b of each image.
    """

    METRIC = "metric"
    SCALE = "scale"
    AFFINE = "affine"

    def __str__(self) -> str:
        """Return the value."""
        return str(self.value)


class Teacher(ABC):
    """A depth model of any origin, frozen.

    Attributes:
        name: by which it was asked for.
        meaning: of its maps.
        licence: SPDX identifier, or None where it is not stated.
        canonical_focal: fx, in image widths, of the camera that metric depth holds for whatever camera took the
            image; None where the depth is that of the image's own camera, or `own_camera` is False.
        own_camera: False where the depth holds for one camera that is unknown.
        metres_per_unit: of metric maps, whose values are 1/units; None if unknown.
    """

    name: str
    meaning: Meaning
    licence: str | None = None
    canonical_focal: float | None = None
    own_camera: bool = True
    metres_per_unit: float | None = None

    @abstractmethod
    def digest(self) -> str:
        """Return a hash of all that decides on its maps: weights and preprocessing."""

    def has_digest(self, digest: str) -> bool:
        """Return whether a digest, which an earlier version may have made, is that of this teacher."""
        return digest == self.digest()

    @abstractmethod
    def maps(self, images: Sequence[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the maps of RGB images of one size, (N,h,w), resized to `size` (height, width); NaN is unknown."""

    def facts(self) -> dict[str, Any]:
        """Return JSON-able facts for the labels and the student's weights file."""
        return {
            "name": self.name, "meaning": str(self.meaning), "licence": self.licence,
            "canonical_focal": self.canonical_focal, "digest": self.digest(),
        } | ({} if self.own_camera or self.canonical_focal is not None else {"own_camera": False})  # fmt: skip


def canonical_factor(what: str, own: float | None, student: float | None) -> float:
    """Return the factor from depth for one canonical camera to depth for a student's.

    For one object at one distance, the network with the shorter canonical focal length predicts the smaller depth.

    Args:
        what: whose depth it is, for messages.
        own: its canonical focal length; None if its one camera is unknown.
        student: the student's; None if it has none.

    Raises:
        InputError: one of the two alone is known.
    """
    if own is None and student is None:
        return 1.0
    if own is None:
        raise InputError(
            f"the depth of {what} holds for the unknown camera of its training, the run's for canonical_focal "
            f"{student:g}; set the option teacher_focal to fx / width of the teacher's camera, or remove "
            "canonical_focal"
        )
    if student is None:
        raise InputError(
            f"the depth of {what} holds for canonical_focal {own:g}, the run has none; set canonical_focal to {own:g}"
        )
    return student / own
