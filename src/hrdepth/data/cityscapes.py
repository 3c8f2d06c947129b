"""CityScapes, in its own layout: sequences of 30 frames, one camera file per snippet.

Source: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import Camera, pinhole
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import existing_file, existing_folder, parse_json
from hrdepth.io.image_files import SUFFIXES, find_image, visible_images

__all__ = ["KEPT_HEIGHT", "PARTS", "SIZE", "Cityscapes", "Rig", "numbered_files", "read_rig"]

SIZE = (1024, 2048)  # of every image as published
PARTS = ("train", "val", "test")
# Without the bottom quarter, the car's hood and star, as is usual.
KEPT_HEIGHT = 0.75
SEQUENCES = {"l": "leftImg8bit_sequence", "r": "rightImg8bit_sequence"}
_NAME = re.compile(r"(?P<sequence>.+_\d{6})_(?P<frame>\d{6})_(?P<kind>\w+)$")


class Rig(NamedTuple):
    """A camera file: K (3,3) in pixels of an image of `SIZE`, and the baseline in metres."""

    intrinsics: NDArray[np.float64]
    baseline: float


class Cityscapes(FrameReader):
    """`ROOT/leftImg8bit_sequence/PART/CITY/CITY_000000_000019_leftImg8bit.png`, and `rightImg8bit_sequence`.

    Cameras come from `ROOT/camera/PART/CITY/..._camera.json`: one for each snippet of 30 frames, at its twentieth;
    a frame has the nearest of its sequence. Images may be JPEG, and resized copies.

    Args:
        root: the folder that holds `leftImg8bit_sequence` and `camera`.
        split: lines of `PART/CITY/CITY_000000 frame side`, a file; or `train`, every left frame of that part that has
            both neighbours; `val` or `test`, the frames with a camera file (the annotated ones) that have them.
        keep: the share of the height, from the top, that is used; below lies the car's hood.
        baseline: units between the cameras of a stereo pair; None takes the camera's metres.

    Raises:
        InputError: split, cameras or images are missing or wrong.
    """

    has_stereo = True

    def __init__(self, root: str, split: str, keep: float = KEPT_HEIGHT, baseline: float | None = None) -> None:
        self.root = existing_folder(root)
        if not 0 < keep <= 1:
            raise InputError(f"keep {keep:g} of {root} is a share of the height; give a number up to 1, such as 0.75")
        self._keep = keep
        self._baseline = baseline
        self.targets = list(self._inner(split)) if split in PARTS else read_split(split)
        if not self.targets:
            raise InputError(
                f"{self.root / SEQUENCES['l'] / split} holds no frame with both neighbours and what it needs; "
                f"`hrdepth prepare cityscapes {root}` lists what is missing"
            )

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        number, side = line.at(frame)
        city, _, sequence = line.folder.rpartition("/")
        folder = SEQUENCES[side]
        name = f"{sequence}_{number:06d}_{folder.removesuffix('_sequence')}"
        return find_image(self.root / folder / city, name) if number >= 0 else None

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        city, _, sequence = line.folder.rpartition("/")
        files = self._rigs(city).get(sequence)
        if not files:
            raise InputError(
                f"{line.origin}: {self.root / 'camera' / city} holds no camera of {sequence}; unpack "
                "camera_trainvaltest.zip there"
            )
        numbers = sorted(files)
        after = bisect_left(numbers, line.frame)
        nearest = min(numbers[max(after - 1, 0) : after + 1], key=lambda number: abs(number - line.frame))
        return self._camera(files[nearest])

    @lru_cache(maxsize=8192)  # noqa: B019  (a reader lives as long as its data set)
    def _camera(self, file: Path) -> Camera:
        rig = read_rig(file)
        baseline = rig.baseline if self._baseline is None else self._baseline
        return Camera(rig.intrinsics, SIZE, baseline, str(file), rig.baseline, keep=self._keep)

    @lru_cache(maxsize=256)  # noqa: B019
    def _rigs(self, city: str) -> dict[str, dict[int, Path]]:
        return numbered_files(self.root / "camera" / city, "camera", (".json",))

    def _inner(self, part: str) -> Iterator[SplitLine]:
        """Yield the left frames of a part that have both neighbours, in order."""
        folder = self.root / SEQUENCES["l"] / part
        for city in sorted(path for path in folder.glob("*") if path.is_dir()):
            cameras = self._rigs(f"{part}/{city.name}")
            for sequence, images in numbered_files(city, "leftImg8bit", SUFFIXES).items():
                for number in sorted(images):
                    inside = number - 1 in images and number + 1 in images
                    if inside and (part == "train" or number in cameras.get(sequence, {})):
                        name, text = f"{part}/{city.name}/{sequence}", f"{number:06d}"
                        yield SplitLine(name, number, "l", text, str(images[number]))


def read_rig(file: Path) -> Rig:
    """Read a camera file.

    Raises:
        InputError: it is missing or damaged, an entry is no number, or focal lengths and baseline are not positive.
    """
    existing_file(file, "the camera file")
    try:
        content: Any = parse_json(file.read_text(encoding="utf-8"))
        fx, fy, cx, cy = (float(content["intrinsic"][key]) for key in ("fx", "fy", "u0", "v0"))
        baseline = float(content["extrinsic"]["baseline"])
    except (*MALFORMED, OSError) as error:
        raise InputError(f"{file} must give intrinsic (fx, fy, u0, v0) and extrinsic baseline ({error!r})") from error
    if not (np.isfinite([fx, fy, cx, cy, baseline]).all() and min(fx, fy, baseline) > 0):
        raise InputError(
            f"{file}: all numbers must be finite, fx, fy and the baseline positive (fx {fx:g}, fy {fy:g}, u0 {cx:g}, "
            f"v0 {cy:g}, baseline {baseline:g}); unpack camera_trainvaltest.zip again"
        )
    return Rig(pinhole(fx, fy, cx, cy), baseline)


def numbered_files(folder: Path, kind: str, suffixes: tuple[str, ...]) -> dict[str, dict[int, Path]]:
    """Return files `SEQUENCE_FRAME_KIND.SUFFIX` of a folder, by sequence and frame; none where there is no folder."""
    found: dict[str, dict[int, Path]] = {}
    for path in visible_images(sorted(folder.glob("*")), suffixes):
        match = _NAME.fullmatch(path.stem)
        if match and match["kind"] == kind:
            found.setdefault(match["sequence"], {})[int(match["frame"])] = path
    return found
