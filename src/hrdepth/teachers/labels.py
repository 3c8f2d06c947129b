"""Labels: a teacher's maps of images, computed once by `hrdepth prepare labels` and read without the teacher."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from hrdepth.camera import DepthScale
from hrdepth.data.map_cache import MapCache
from hrdepth.data.sample import WHOLE, Window
from hrdepth.errors import MALFORMED, InputError
from hrdepth.geometry import focal_factors
from hrdepth.io.files import read_json
from hrdepth.teachers.base import Meaning, canonical_factor

__all__ = ["Confidence", "Labels"]


class Labels(MapCache):
    """`teacher` (1,H,W): a teacher's map, larger where nearer, NaN where it says nothing; see `teachers.base.Meaning`.

        LABELS/labels.json              the teacher, what its maps mean, its licence, of which size, how they were made
        LABELS/4f/4f0c...npy            a map, float16; affine ones from 0 to 1, those of a factor with median 1
        LABELS/confidence/4f/4f0c...npy how far the teacher agrees with itself there, 0 to 1; optional

    Args:
        folder: where they lie.
        about: the content of labels.json.

    Attributes:
        meaning: of the maps.
        licence: of the teacher, SPDX or None.
        canonical_focal: see `teachers.base.Teacher`.
        own_camera: whether metric maps are of each image's own camera.
        metres_per_unit: of metric maps, whose values are 1/units; None if unknown.
    """

    key = "teacher"
    unknown_value = torch.nan  # 0 is infinitely far
    kind = "label"
    ending = "label.npy"
    resampling = Image.Resampling.BILINEAR
    own_aspect = True
    ABOUT: ClassVar[str] = "labels.json"

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        height, width = about["size"]
        super().__init__(folder, (int(height), int(width)))
        self.about = about
        teacher = about["teacher"]
        self.meaning = Meaning(teacher["meaning"])
        self.licence: str | None = teacher["licence"]
        self.canonical_focal: float | None = teacher["canonical_focal"]
        self.own_camera: bool = teacher.get("own_camera", True) and self.canonical_focal is None
        self.metres_per_unit: float | None = about["metres_per_unit"]

    @classmethod
    def open(cls, folder: str | Path) -> Labels:
        """Open a folder of `hrdepth prepare labels`.

        Raises:
            InputError: it is none.
        """
        file = Path(folder) / cls.ABOUT
        try:
            return cls(Path(folder), read_json(file))
        except (*MALFORMED, OSError) as error:
            raise InputError(
                f"{folder} is no folder of labels ({file.name}: {error}); make them with hrdepth prepare labels"
            ) from error

    def check(self, images: Iterable[Path]) -> None:
        """Check that every image has a label.

        Raises:
            InputError: some have none.
        """
        missing = [image for image in dict.fromkeys(images) if not self.file(image).is_file()]
        if missing:
            raise InputError(
                f"{len(missing)} images, such as {missing[0]}, have no label in {self.folder}: they were not labelled, "
                "or have changed since; label them with hrdepth prepare labels"
            )

    def is_labelled(self, image: Path, confidence: bool = False) -> bool:
        """Return whether an image has a label, and its confidence if it is wanted."""
        return self.file(image).is_file() and (not confidence or Confidence(self).file(image).is_file())

    def meaning_for(self, scale: DepthScale) -> Meaning:
        """Return what the maps mean to a student of this scale: without metres, up to a factor to one that has them."""
        unknown = self.meaning == Meaning.METRIC and self.metres_per_unit is None and scale.metres_per_unit is not None
        return Meaning.SCALE if unknown else self.meaning

    def resized(self, image: Path, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
        """See `MapCache.resized`; depth of the image's own camera does not change by a zoom."""
        map_ = super().resized(image, size, window)
        return map_ * window.extent if self.meaning != Meaning.AFFINE and self.own_camera else map_

    def scaled_disparity(self, maps: Tensor, intrinsics: Tensor, scale: DepthScale) -> Tensor:
        """Return metric maps in 1/units of a network with this scale, as its canonical camera would see the images.

        Args:
            maps: (B,1,H,W), from `read`; others than metric ones come back unchanged.
            intrinsics: (B,3,3) of the samples.
            scale: of the student.

        Raises:
            InputError: as `canonical_factor`.
        """
        if self.meaning != Meaning.METRIC:
            return maps
        units = (scale.metres_per_unit or 1.0) / (self.metres_per_unit or 1.0)
        if not self.own_camera:
            what = f"the labels in {self.folder}"
            return maps * units / canonical_factor(what, self.canonical_focal, scale.canonical_focal)
        return maps * units * focal_factors(intrinsics, maps.shape[-1], scale.canonical_focal)

    @property
    def confidence(self) -> Confidence | None:
        """The labels' confidence, None if there is none."""
        return Confidence(self) if (self.folder / "confidence").is_dir() else None


class Confidence(MapCache):
    """`confidence` (1,H,W): how far a teacher agrees with itself, 0 to 1; 1 for an image without any."""

    key = "confidence"
    kind = "label's confidence"
    ending = "confidence.npy"
    resampling = Image.Resampling.BILINEAR
    own_aspect = True

    def __init__(self, labels: Labels) -> None:
        super().__init__(labels.folder / "confidence", labels.size)

    def resized(self, image: Path, size: tuple[int, int], window: Window = WHOLE) -> Tensor:
        """See `MapCache.resized`."""
        if not self.file(image).is_file():
            return torch.ones(1, *size)
        # Those that earlier versions made were NaN where the teacher said nothing.
        return super().resized(image, size, window).nan_to_num(nan=0.0) * window.extent
