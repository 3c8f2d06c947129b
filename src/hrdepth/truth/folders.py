"""Depth maps in folders: images beside depth maps, and drives with exact depth."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import GroundTruthConfig
from hrdepth.data.camera_file import read_camera
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.files import last_parts
from hrdepth.io.image_files import find_image, is_visible, visible_images
from hrdepth.io.images import read_depth
from hrdepth.truth.base import GroundTruth, GroundTruthSet, Remembered, data_folder, refuse_settings

__all__ = ["DepthFolder", "Drive"]

log = logging.getLogger(__name__)


class DepthFolder(GroundTruthSet):
    """`ROOT/depth/NAME.png` (16 bit, metres x 256) or `.npy` (float, metres), with `ROOT/image/NAME.*`.

    The order is that of the names. Images may be missing where predictions are given.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        root = data_folder(config, config.root)
        refuse_settings(config, split=config.split, depths=config.depths)
        depths = root / "depth"
        files = sorted(depths.iterdir()) if depths.is_dir() else []
        self._files = [file for file in files if is_visible(file.name) and file.suffix.lower() in (".png", ".npy")]
        if not self._files:
            raise InputError(f"{depths} holds no depth maps; it needs 16-bit .png (metres x 256) or .npy (metres)")
        names: dict[str, str] = {}
        for file in self._files:
            if (other := names.setdefault(file.stem, file.name)) != file.name:
                raise InputError(f"{depths} holds both {file.name} and {other}; keep one")
        if len(files) > len(self._files):
            other = next(file.name for file in files if file not in self._files)
            log.warning("%s: %d files are left out, which are hidden or no depth maps, such as %s",
                        depths, len(files) - len(self._files), other)  # fmt: skip
        self._images = root / "image"
        images = visible_images(sorted(self._images.iterdir())) if self._images.is_dir() else []
        if lacking := [image.name for image in images if image.stem not in names]:
            log.warning("%s: %d images have no depth map and are left out, such as %s",
                        self._images, len(lacking), lacking[0])  # fmt: skip
        self.description = "depth maps in a folder, in order of their names"

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> GroundTruth:
        file = self._files[index]
        return GroundTruth(file.stem, find_image(self._images, file.stem), read_depth(file))


class Drive(GroundTruthSet):
    """`ROOT/DRIVE/left/000000.png` with exact depth along the camera's z in `ROOT/DRIVE/depth/000000.npy`."""

    dataset = "folder"

    def __init__(self, config: GroundTruthConfig) -> None:
        self._root = data_folder(config, config.root)
        refuse_settings(config, depths=config.depths)
        split = config.split or str(self._root / "val.txt")
        self._lines = read_split(split)
        right = next((line for line in self._lines if line.side == "r"), None)
        if right is not None:
            raise InputError(f"{right.origin}: true depth exists for left frames only; remove the line")
        self._depths = Remembered(_numbered_maps)
        self.description = f"depth along the camera's z, split {last_parts(split)}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line = self._lines[index]
        drive = self._root / line.folder
        file = self._depths(drive).get(line.frame)
        if file is None:
            raise InputError(f"{line.origin}: {drive / 'depth'} holds no depth map of frame {line.frame}")
        depth = read_depth(file)
        return GroundTruth(line.name, find_image(drive / "left", file.stem), depth, _drive_intrinsics(drive, depth))


def _drive_intrinsics(drive: Path, depth: NDArray[np.float32]) -> NDArray[np.float64] | None:
    if not (drive / "camera.yaml").is_file():
        return None
    camera = read_camera(drive / "camera.yaml")
    height, width = camera.size
    factors = np.array([[depth.shape[1] / width], [depth.shape[0] / height], [1.0]])
    return np.asarray(camera.intrinsics * factors, dtype=np.float64)


def _numbered_maps(drive: Path) -> dict[int, Path]:
    files = (file for file in (drive / "depth").glob("*") if is_visible(file.name) and file.suffix.lower() == ".npy")
    return {int(file.stem): file for file in files if file.stem.isdecimal()}
