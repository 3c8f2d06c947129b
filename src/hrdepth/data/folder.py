"""Your own images in plain folders: drives with a camera (docs/data.md), or images of any kind."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import Camera, pinhole
from hrdepth.config.safe_yaml import read_text
from hrdepth.data.camera_file import camera_of, find_cameras, read_camera
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.files import existing_file, existing_folder, read_json
from hrdepth.io.image_files import SUFFIXES, find_image, spellings, visible_images, walk
from hrdepth.io.images import image_size, read_depth

__all__ = ["Folder", "Images", "numbered_images"]

log = logging.getLogger(__name__)

MASK = "mask.png"
DEPTH_SPELLINGS = spellings([".npy", ".png"])
ASPECT = 1.05  # largest ratio between the aspect ratios of a depth map and its camera


class Folder(FrameReader):
    """`ROOT/DRIVE/left/000000.png`, `ROOT/DRIVE/right/...` for stereo pairs, `ROOT/DRIVE/camera.yaml`.

    Frames may also lie in `ROOT/DRIVE` itself. A frame's number is the last run of digits in its name. Where there is
    a `ROOT/DRIVE/mask.png`, what is black in it is left out of the loss. True depth of left frames, rendered or a
    sensor's, may lie in `ROOT/DRIVE/depth/000000.npy` (float metres) or `.png` (16 bits, metres x 256).

    Each drive may have a camera of its own: its size, K and baseline.

    Args:
        root: the folder that holds the drives; or, where it holds a camera.yaml itself, the one drive.
        split: lines of `drive frame side`; None takes every left frame that has both neighbours.
        baseline: units between the cameras of a stereo pair; None takes the camera's metres.
        camera: the camera of all drives, with the entries of a camera.yaml, which then is not needed.
        folders: of the left and of the right images, below a drive; once called `eyes`.
        every_frame: without a split take every left frame, also those that lack a neighbour.

    Raises:
        InputError: split, camera or images are missing or wrong.
    """

    has_stereo = True

    def __init__(
        self,
        root: str,
        split: str | None = None,
        baseline: float | None = None,
        camera: Any = None,
        folders: Sequence[str] = ("left", "right"),
        every_frame: bool = False,
    ) -> None:
        self.root = existing_folder(root)
        if len(folders) != 2 or folders[0] == folders[1]:
            raise InputError(f"folders {folders} of the data folder {root}: give two, as in [left, right]")
        self._folders = {"l": folders[0], "r": folders[1]}
        self._baseline = baseline
        self._rig = None if camera is None else camera_of(camera, f"the option camera of {root}")
        self.targets = self._all_targets(every_frame) if split is None else read_split(split)

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        number, side = line.at(frame)
        return self._images(line.folder, side).get(number)

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._camera(line.folder)

    def depth(self, line: SplitLine) -> NDArray[np.float32] | None:
        """See `FrameReader.depth`; what a rendered drive has no depth of is sky."""
        if (file := self._depth_file(line)) is None:
            return None
        depth = read_depth(file)
        if (aspect := depth.shape[1] / depth.shape[0] / self._aspect(line.folder)) > ASPECT or aspect < 1 / ASPECT:
            raise InputError(
                f"the depth map {file} has {depth.shape[1]}x{depth.shape[0]} pixels, which is another shape than that "
                f"of its camera; give the depth of the whole image"
            )
        nothing = np.inf if self._is_rendered(line.folder) else 0.0
        return np.where(depth > 0, depth, np.float32(nothing))  # NaN is not above 0 either

    def depth_files(self, line: SplitLine) -> Sequence[Path | None]:
        """See `FrameReader.depth_files`."""
        return [self._depth_file(line)]

    def has_depth_of(self, line: SplitLine) -> bool:
        """See `FrameReader.has_depth_of`."""
        return self._depth_file(line) is not None

    def _depth_file(self, line: SplitLine) -> Path | None:
        if line.side == "r" or (image := self.image(line, 0)) is None:
            return None
        return find_image(self.root / line.folder / "depth", image.stem, DEPTH_SPELLINGS)

    def _aspect(self, drive: str) -> float:
        height, width = self._camera(drive).size
        return width / height

    @lru_cache(maxsize=256)  # noqa: B019
    def _is_rendered(self, drive: str) -> bool:
        try:
            return "render" in read_json(self.root / drive / "manifest.json")
        except (OSError, ValueError):
            return False

    @lru_cache(maxsize=256)  # noqa: B019  (a reader lives as long as its data set)
    def _camera(self, drive: str) -> Camera:
        camera = self._rig or read_camera(self.root / drive / "camera.yaml")
        mask = self.root / drive / MASK
        camera = replace(camera, mask=mask) if mask.is_file() else camera
        return camera if self._baseline is None else replace(camera, baseline=self._baseline)

    @lru_cache(maxsize=256)  # noqa: B019
    def _images(self, drive: str, side: str) -> dict[int, Path]:
        folder = self.root / drive / self._folders[side]
        if side == "l" and not folder.is_dir():
            folder = self.root / drive
        return numbered_images(folder)

    def _all_targets(self, every_frame: bool) -> list[SplitLine]:
        drives = self._drives()
        if not drives:
            raise InputError(
                f"{self.root} holds no camera.yaml; each drive needs one with width, height, fx, fy, cx, cy"
                if self._rig is None
                else f"{self.root} holds no images; set the option folders to where they are"
            )
        targets = []
        for drive in drives:
            images = self._images(drive, "l")
            inside = [n for n in sorted(images) if every_frame or (n - 1 in images and n + 1 in images)]
            targets += [SplitLine(drive, number, "l", origin=str(images[number])) for number in inside]
        if not targets:
            raise InputError(f"{self.root} holds no frame with both neighbours; name frames by consecutive numbers")
        return targets

    def _drives(self) -> list[str]:
        """Return the folders that hold a camera.yaml; with a camera in the config those that hold the left images."""
        if self._rig is None:
            return [str(file.parent.relative_to(self.root)) for file in find_cameras(self.root)]
        files = list(walk(self.root))
        folders = sorted({folder for file in files for folder in file.parents if folder.is_relative_to(self.root)})
        drives = [folder for folder in folders if (folder / self._folders["l"]).is_dir()]
        plain = sorted({path.parent for path in visible_images(files)})
        return [str(drive.relative_to(self.root)) for drive in drives or plain]


class Images(FrameReader):
    """Images of any names, sizes and cameras, in a folder and those below it: enough to learn from a teacher.

    There is no order in time, no stereo pair and no camera. Each image is a recording of one frame, named by its path
    below the folder.

    Args:
        root: the folder.
        split: a text file with a path below `root` in each line; blank lines and lines that begin with `#` are
            skipped. None takes every image, in order of the paths, without hidden files and folders.

    Raises:
        InputError: the folder, the split or an image is missing.
    """

    has_neighbours = False

    def __init__(self, root: str, split: str | None = None) -> None:
        self.root = existing_folder(root)
        self.targets = self._all() if split is None else self._listed(Path(split))

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        path = self.root / line.folder
        return path if frame == 0 and path.is_file() else None

    def camera(self, line: SplitLine) -> Camera:
        """Return a camera of the image's size with a guessed K, which learning from a teacher does not use."""
        path = self.root / line.folder
        height, width = image_size(path)
        focal = float(max(height, width))
        return Camera(pinhole(focal, focal, width / 2, height / 2), (height, width), source=str(path))

    def _all(self) -> list[SplitLine]:
        files = list(walk(self.root))
        visible = sorted(path.relative_to(self.root).as_posix() for path in visible_images(files))
        if len(visible) < len(files):
            log.info("%s: %d files that are no images are left out", self.root, len(files) - len(visible))
        if not visible:
            raise InputError(f"{self.root} holds no images")
        return [SplitLine(name, 0, "l", origin=str(self.root / name)) for name in visible]

    def _listed(self, split: Path) -> list[SplitLine]:
        text = read_text(existing_file(split, "the list of images"))
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
        listed = [SplitLine(name, 0, "l", origin=f"{split}:{n}") for n, name in lines if name and name[0] != "#"]
        if missing := [line for line in listed if not (self.root / line.folder).is_file()]:
            raise InputError.several([f"{line.origin}: {self.root} holds no '{line.folder}'" for line in missing])
        if not listed:
            raise InputError(f"the list of images {split} is empty; it needs a path below {self.root} in each line")
        return listed


def numbered_images(folder: Path) -> dict[int, Path]:
    """Return the images in a folder by the last run of digits in their names; none where there is no such folder.

    Where two differ in the suffix alone, there is the first of `SUFFIXES`. How many files are left out is logged.

    Raises:
        InputError: two others have the same number.
    """
    if not folder.is_dir():
        return {}
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and path.stem != "mask"]
    found: dict[int, Path] = {}
    for path in sorted(visible_images(files), key=lambda path: (SUFFIXES.index(path.suffix.lower()), path.name)):
        if not (digits := re.findall(r"\d+", path.stem)):
            continue
        if (other := found.setdefault(int(digits[-1]), path)).stem != path.stem:
            raise InputError(
                f"{folder}: {other.name} and {path.name} have the same number, the last in their names; put the images "
                "of each camera into a folder of their own"
            )
    if left_out := sorted({*files} - {*found.values()}):
        log.warning(
            "%s: %d images are left out, which are hidden, temporary, without a number, or of another suffix than the "
            "first, such as %s", folder, len(left_out), left_out[0].name,
        )  # fmt: skip
    return dict(sorted(found.items()))
