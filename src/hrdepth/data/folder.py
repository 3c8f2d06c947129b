"""Frames in plain folders, with given intrinsics: the layout that `docs/design.md` calls a drive on disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from hrdepth.camera import Camera
from hrdepth.data.frames import SUFFIXES
from hrdepth.data.splits import SplitLine, read_split
from hrdepth.errors import InputError
from hrdepth.geometry import pinhole
from hrdepth.io.files import existing_file

__all__ = ["Folder", "numbered_images", "read_camera"]

ENTRIES = ("width", "height", "fx", "fy", "cx", "cy")
MASK = "mask.png"
LONGEST_BASELINE = 20.0  # metres; a rig's millimetres are more


class Folder:
    """`ROOT/DRIVE/left/000000.png`, `ROOT/DRIVE/right/...` for a second eye, `ROOT/DRIVE/camera.yaml`.

    Frames may also lie in `ROOT/DRIVE` itself. A frame's number is the last run of digits in its name. Where there is
    a `ROOT/DRIVE/mask.png`, what is black in it is left out of the loss.

    Each drive may have a camera of its own: its size, K and baseline.

    Args:
        root: the folder that holds the drives; or, where it holds a camera.yaml itself, the one drive.
        split: lines of `drive frame side`; None takes every left frame that has both neighbours.
        baseline: units between the eyes; None takes the camera's metres.
        camera: the one rig of all drives, with the entries of a camera.yaml, which then is not needed.
        eyes: the folders of the left and the right eye, below a drive.

    Raises:
        InputError: split, camera or images are missing or wrong.
    """

    def __init__(
        self,
        root: str,
        split: str | None = None,
        baseline: float | None = None,
        camera: dict[str, Any] | None = None,
        eyes: Sequence[str] = ("left", "right"),
    ) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"the data folder {root} does not exist")
        if not isinstance(eyes, list | tuple) or len(eyes) != 2 or eyes[0] == eyes[1]:
            raise InputError(f"eyes {eyes} of the data folder {root}: give two folders, as in [left, right]")
        self._eyes = {"left": eyes[0], "right": eyes[1]}
        self._baseline = baseline
        self._rig = None if camera is None else _camera(camera, f"the option camera of {root}")
        self.targets = self._all_targets() if split is None else read_split(split)

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        left = (line.side == "l") != (frame == "s")
        number = line.frame if frame == "s" else line.frame + int(frame)
        return self._images(line.folder, "left" if left else "right").get(number)

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._camera(line.folder)

    @lru_cache(maxsize=256)  # noqa: B019  (a reader lives as long as its data set)
    def _camera(self, drive: str) -> Camera:
        camera = self._rig or read_camera(self.root / drive / "camera.yaml")
        mask = self.root / drive / MASK
        camera = replace(camera, mask=mask) if mask.is_file() else camera
        return camera if self._baseline is None else replace(camera, baseline=self._baseline)

    @lru_cache(maxsize=256)  # noqa: B019
    def _images(self, drive: str, eye: str) -> dict[int, Path]:
        folder = self.root / drive / self._eyes[eye]
        if eye == "left" and not folder.is_dir():
            folder = self.root / drive
        return numbered_images(folder)

    def _all_targets(self) -> list[SplitLine]:
        drives = self._drives()
        if not drives:
            raise InputError(
                f"{self.root} holds no camera.yaml; each drive needs one with width, height, fx, fy, cx, cy"
                if self._rig is None
                else f"{self.root} holds no images; set the option eyes to the names of their folders"
            )
        targets = []
        for drive in drives:
            images = self._images(drive, "left")
            inside = [number for number in sorted(images) if number - 1 in images and number + 1 in images]
            targets += [SplitLine(drive, number, "l", origin=str(images[number])) for number in inside]
        if not targets:
            raise InputError(f"{self.root} holds no frame with both neighbours; name frames by consecutive numbers")
        return targets

    def _drives(self) -> list[str]:
        """Return the folders that hold a camera.yaml; with a rig in the config those that hold the left eye's."""
        if self._rig is None:
            return [str(path.parent.relative_to(self.root)) for path in sorted(self.root.rglob("camera.yaml"))]
        folders = [self.root, *(path for path in sorted(self.root.rglob("*")) if path.is_dir())]
        drives = [folder for folder in folders if (folder / self._eyes["left"]).is_dir()]
        plain = [folder for folder in folders if any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())]
        return [str(drive.relative_to(self.root)) for drive in drives or plain]


def numbered_images(folder: Path) -> dict[int, Path]:
    """Return the images in a folder by the last run of digits in their names; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    images = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES)
    return {int(digits[-1]): path for path in images if (digits := re.findall(r"\d+", path.stem))}


def read_camera(file: Path) -> Camera:
    """Read a camera.yaml: width, height, fx, fy, cx, cy in pixels, and optionally baseline in metres and `learn`.

    Raises:
        InputError: the file or an entry is missing or is no number.
    """
    existing_file(file, "the camera file")
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{file} must give the numbers {', '.join(ENTRIES)} in pixels ({error})") from error
    return _camera(content, str(file))


def _camera(content: Any, source: str) -> Camera:
    try:
        width, height, fx, fy, cx, cy = (float(content[key]) for key in ENTRIES)
        baseline = None if content.get("baseline") is None else float(content["baseline"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source} must give the numbers {', '.join(ENTRIES)} in pixels ({error})") from error
    if baseline is not None and baseline > LONGEST_BASELINE:
        raise InputError(f"{source}: the baseline {baseline:g} is in metres; are these millimetres?")
    learn = bool(content.get("learn", False))
    return Camera(pinhole(fx, fy, cx, cy), (int(height), int(width)), baseline, source, baseline, learn=learn)
