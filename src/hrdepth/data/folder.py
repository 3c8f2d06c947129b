"""Frames in plain folders, with given intrinsics: the layout that `docs/design.md` calls a drive on disk."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hrdepth.data.frames import SUFFIXES, Camera
from hrdepth.data.splits import SplitLine, read_split
from hrdepth.errors import InputError
from hrdepth.files import existing_file

__all__ = ["Folder", "read_camera"]


class Folder:
    """`ROOT/DRIVE/left/000000.png`, `ROOT/DRIVE/right/...` for a second eye, `ROOT/DRIVE/camera.yaml`.

    Frames may also lie in `ROOT/DRIVE` itself. A frame's number is the last run of digits in its name.

    Args:
        root: the folder that holds the drives; or, where it holds a camera.yaml itself, the one drive.
        split: lines of `drive frame side`; None takes every left frame that has both neighbours.
        baseline: units between the eyes; None takes camera.yaml's metres.

    Raises:
        InputError: split, camera.yaml or pictures are missing or wrong.
    """

    def __init__(self, root: str, split: str | None = None, baseline: float | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"the data folder {root} does not exist")
        self._baseline = baseline
        self.targets = self._all_targets() if split is None else read_split(split)

    def picture(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.picture`."""
        left = (line.side == "l") != (frame == "s")
        number = line.frame if frame == "s" else line.frame + int(frame)
        return self._pictures(line.folder, "left" if left else "right").get(number)

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._camera(line.folder)

    @lru_cache(maxsize=256)  # noqa: B019  (a reader lives as long as its data set)
    def _camera(self, drive: str) -> Camera:
        camera = read_camera(self.root / drive / "camera.yaml")
        if self._baseline is None:
            return camera
        return Camera(camera.intrinsics, camera.size, self._baseline, camera.source)

    @lru_cache(maxsize=256)  # noqa: B019
    def _pictures(self, drive: str, eye: str) -> dict[int, Path]:
        folder = self.root / drive / eye
        if eye == "left" and not folder.is_dir():
            folder = self.root / drive
        if not folder.is_dir():
            return {}
        pictures = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES)
        return {int(digits[-1]): path for path in pictures if (digits := re.findall(r"\d+", path.stem))}

    def _all_targets(self) -> list[SplitLine]:
        drives = [path.parent.relative_to(self.root) for path in sorted(self.root.rglob("camera.yaml"))]
        if not drives:
            raise InputError(
                f"{self.root} holds no camera.yaml; each drive needs one with width, height, fx, fy, cx, cy"
            )
        targets = []
        for drive in map(str, drives):
            pictures = self._pictures(drive, "left")
            inside = [number for number in sorted(pictures) if number - 1 in pictures and number + 1 in pictures]
            targets += [SplitLine(drive, number, "l", origin=str(pictures[number])) for number in inside]
        if not targets:
            raise InputError(f"{self.root} holds no frame with both neighbours; name frames by consecutive numbers")
        return targets


def read_camera(file: Path) -> Camera:
    """Read a camera.yaml: width, height, fx, fy, cx, cy in pixels, and optionally baseline in metres.

    Raises:
        InputError: the file or an entry is missing or is no number.
    """
    existing_file(file, "the camera file")
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        width, height, fx, fy, cx, cy = (float(content[key]) for key in ("width", "height", "fx", "fy", "cx", "cy"))
        baseline = None if content.get("baseline") is None else float(content["baseline"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} must give the numbers width, height, fx, fy, cx, cy in pixels ({error})") from error
    intrinsics = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return Camera(intrinsics, (int(height), int(width)), baseline, str(file))
