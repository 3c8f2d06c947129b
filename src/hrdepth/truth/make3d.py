"""Make3D's 134 test images with the depth of a laser, the central part that published numbers compare.

Source: Saxena, Sun, Ng, Make3D, TPAMI 2009; the central crop, twice as wide as high: Godard et al., Unsupervised
Monocular Depth Estimation with Left-Right Consistency, CVPR 2017.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.io.files import regular_file
from hrdepth.io.image_files import walk
from hrdepth.truth.base import GroundTruth, GroundTruthSet
from hrdepth.truth.matlab import read_matlab_array

__all__ = ["CROP", "Make3D"]

log = logging.getLogger(__name__)

# The images are 1704 wide and 2272 high; their middle, half as high as wide, as fractions of the height.
CROP = ((2272 - 852) / 2 / 2272, (2272 + 852) / 2 / 2272)
IMAGES = 134
TRAINING = "train400"  # begins the names of folders with the images to learn from
DISTANCE = 3  # of the four layers of Position3DGrid


class Make3D(GroundTruthSet):
    """`img-NAME.jpg` and `depth_sph_corr-NAME.mat`, in any folders below `root`, as the archives have them.

    Frames whose image or depth lies in a folder Train400Img or Train400Depth are for training, and left out.

    The laser measured 55 rows of 305 distances an image; its rows within the crop are compared. Networks see the
    cropped image, and given predictions must be of it too.
    """

    # Karsch, Liu, Kang, Depth Transfer, TPAMI 2014 (C1: true depth below 70 m). The frames are cropped already.
    protocol: ClassVar[dict[str, Any]] = {"max_depth": 70.0, "crop": "none"}
    metrics = ("log10",)
    description = "Make3D's test images, central crop, the laser's distance"

    def __init__(self, config: GroundTruthConfig) -> None:
        if config.root is None or not Path(config.root).is_dir():
            raise InputError("ground truth 'make3d' needs root, the folder of Test134 and the depths")
        if config.split is not None or config.depths is not None:
            raise InputError("ground truth 'make3d' has no split and no depths; leave them out")
        root = Path(config.root)
        depths, learned = _found(root, "depth_sph_corr-", ".mat")
        images, seen = _found(root, "img-", ".jpg")
        self._names = sorted(set(depths) - learned - seen)
        if not self._names:
            raise InputError(
                f"{root} holds no depth_sph_corr-*.mat of test images; unpack Test134Depth.tar.gz and Test134.tar.gz"
            )
        if len(self._names) != IMAGES:
            log.warning("%s holds %d of Make3D's test images, not %d", root, len(self._names), IMAGES)
        self._depths, self._images = depths, images

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> GroundTruth:
        name = self._names[index]
        depth = _read(self._depths[name])
        rows = slice(math.floor(CROP[0] * len(depth)), math.ceil(CROP[1] * len(depth)))
        return GroundTruth(name, self._images.get(name), depth[rows], image_rows=CROP, stretched=True)


def _found(root: Path, prefix: str, suffix: str) -> tuple[dict[str, Path], set[str]]:
    """Return files of the test by their names, and the names of training files."""
    found: dict[str, Path] = {}
    learned = set()
    named = (file for file in walk(root) if file.name.startswith(prefix) and file.suffix.lower() == suffix)
    for file in sorted(named):
        name = file.stem.removeprefix(prefix)
        if any(part.lower().startswith(TRAINING) for part in file.relative_to(root).parts[:-1]):
            learned.add(name)
        else:
            found[name] = file
    return found, learned


def _read(path: Path) -> NDArray[np.float32]:
    try:
        grid = read_matlab_array(regular_file(path), "Position3DGrid")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or no file of Make3D's ({error})") from error
    if grid.ndim != 3 or grid.shape[2] <= DISTANCE:
        raise InputError(f"Position3DGrid in {path} must be (rows,columns,4), not of shape {grid.shape}")
    return np.ascontiguousarray(grid[:, :, DISTANCE], dtype=np.float32)
