"""CityScapes' annotated frames with depth from their disparities, without the car's hood."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import GroundTruthConfig
from hrdepth.data.cityscapes import KEPT_HEIGHT, PARTS, SEQUENCES, SIZE, Rig, numbered_files, read_rig
from hrdepth.data.reader import SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.files import existing_file, last_parts
from hrdepth.io.image_files import find_image
from hrdepth.io.images import DAMAGE, open_image
from hrdepth.truth.base import GroundTruth, GroundTruthSet, data_folder, refuse_settings

__all__ = ["CityscapesDepth", "annotated_frames", "read_disparity"]


class CityscapesDepth(GroundTruthSet):
    """`ROOT/disparity/PART/CITY/..._disparity.png` with `ROOT/camera` and images of either archive.

    Depth is baseline x fx / disparity, disparity (p - 1) / 256, of the upper three quarters of the image. Semi-global
    matching made it: exact it is not.
    """

    # The hood is left out already; Garg's crop is for KITTI's laser.
    protocol: ClassVar[dict[str, Any]] = {"crop": "none"}

    def __init__(self, config: GroundTruthConfig) -> None:
        self._root = data_folder(config, config.root)
        refuse_settings(config, depths=config.depths)
        self._lines = _lines(config, self._root)
        split = last_parts(config.split or "val")
        self.description = f"CityScapes, depth from disparity, upper {KEPT_HEIGHT:.0%}, split {split}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line = self._lines[index]
        if line.side != "l":
            raise InputError(f"{line.origin}: CityScapes has disparities of left frames only; remove the line")
        city, _, sequence = line.folder.rpartition("/")
        stem = f"{sequence}_{line.frame:06d}"
        rig = read_rig(existing_file(self._root / "camera" / city / f"{stem}_camera.json", "the camera file"))
        depth = _depth(read_disparity(self._root / "disparity" / city / f"{stem}_disparity.png"), rig)
        height, width = depth.shape
        intrinsics = rig.intrinsics * [[width / SIZE[1]], [height / SIZE[0]], [1.0]]
        folders = (self._root / kind / city for kind in (SEQUENCES["l"], "leftImg8bit"))
        image = next(filter(None, (find_image(folder, f"{stem}_leftImg8bit") for folder in folders)), None)
        cropped = depth[: round(KEPT_HEIGHT * height)]
        return GroundTruth(line.name, image, cropped, intrinsics, image_rows=(0.0, KEPT_HEIGHT))


def annotated_frames(root: str | Path, part: str) -> list[SplitLine]:
    """Return the frames of a part that have a disparity, in order of their names."""
    folder = Path(root) / "disparity" / part
    found = []
    for city in sorted(path for path in folder.glob("*") if path.is_dir()):
        for sequence, files in numbered_files(city, "disparity", (".png",)).items():
            side: Literal["l", "r"] = "l"
            name = f"{part}/{city.name}/{sequence}"
            found += [SplitLine(name, frame, side, f"{frame:06d}", str(files[frame])) for frame in sorted(files)]
    return found


def read_disparity(file: Path) -> NDArray[np.float64]:
    """Read a disparity of CityScapes: 16-bit PNG of p, (p - 1) / 256 pixels at `SIZE`; p = 0 is none.

    Returns:
        (H,W) pixels, 0 where there is none.

    Raises:
        InputError: the file is missing, damaged, or no 16-bit PNG.
    """
    existing_file(file, "the disparity")
    try:
        with open_image(file) as image:
            if image.mode not in ("I;16", "I;16B", "I"):
                raise InputError(f"{file} must be a 16-bit grey PNG, its mode is {image.mode}")
            stored = np.asarray(image).astype(np.float64)
    except DAMAGE as error:
        raise InputError(f"the disparity {file} cannot be read ({error})") from error
    return np.maximum(stored - 1, 0) / 256


def _depth(disparity: NDArray[np.float64], rig: Rig) -> NDArray[np.float32]:
    """Return depth (H,W), metres, baseline x fx / disparity; 0 where there is none, or infinitely far."""
    focal = rig.intrinsics[0, 0] * disparity.shape[1] / SIZE[1]
    with np.errstate(divide="ignore"):
        return np.where(disparity > 0, rig.baseline * focal / disparity, 0).astype(np.float32)


def _lines(config: GroundTruthConfig, root: Path) -> list[SplitLine]:
    """Return the frames that an evaluation names: a part, by default `val`, or a split file."""
    split = config.split or "val"
    if split not in PARTS:
        return read_split(split)
    lines = annotated_frames(root, split)
    if not lines:
        raise InputError(f"{root / 'disparity' / split} holds no disparities; unpack disparity_trainvaltest.zip there")
    return lines
