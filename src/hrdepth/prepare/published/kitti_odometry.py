"""KITTI odometry: images in colour or grey, calibrations, poses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from hrdepth.config import PrepareOdometryConfig
from hrdepth.data.folder import numbered_images
from hrdepth.data.kitti import first_size, read_projections
from hrdepth.data.reader import SplitLine
from hrdepth.errors import InputError
from hrdepth.prepare.published.layout import Layout, Missing, Splits, resized_size, such_as

__all__ = ["KittiOdometryLayout"]

PAGE = "https://www.cvlibs.net/datasets/kitti/eval_odometry.php"
CAMERAS = {"data_odometry_color.zip": ("image_2", "image_3"), "data_odometry_gray.zip": ("image_0", "image_1")}
# Images of the sequences as published: left camera.
LENGTHS = {
    "00": 4541, "01": 1101, "02": 4661, "03": 801, "04": 271, "05": 2761, "06": 1101, "07": 1101, "08": 4071,
    "09": 1591, "10": 1201,
}  # fmt: skip
VALIDATION, GAP = 0.1, 3  # share of a sequence, at its end; frames before it that belong to neither


class KittiOdometryLayout(Layout):
    """`ROOT/sequences/00/image_2/000000.png` or `image_0`, `calib.txt` beside, `ROOT/poses/00.txt`."""

    scales_calibration = True

    def __init__(self, config: PrepareOdometryConfig) -> None:
        super().__init__(config.root)
        self._train, self._test = ([_sequence(name) for name in names] for names in (config.train, config.test))
        self._wanted = list(dict.fromkeys([*self._train, *self._test]))
        self._stereo = config.stereo

    def found(self) -> str:
        """See `Layout.found`."""
        there = [name for name in self._wanted if self._frames[name]]
        count = sum(len(frames) for frames in self._frames.values())
        both = sum((self._folder(name) / self._cameras[name][1]).is_dir() for name in there)
        return (
            f"KITTI odometry: {len(there)} of {len(self._wanted)} sequences, {count} left images, "
            f"{both} with right images"
        )

    def missing(self) -> list[Missing]:
        """See `Layout.missing`."""
        files = {
            "data_odometry_calib.zip": [self._files(name)[0] for name in self._wanted],
            "data_odometry_poses.zip": [self._files(name)[1] for name in self._wanted],
        }
        found = []
        lost = [
            f"{name} ({len(frames)} of {LENGTHS.get(name, 'unknown')} left images)"
            for name, frames in self._frames.items()
            if not frames or len(frames) < LENGTHS.get(name, 1)
        ]
        if lost:
            what = f"{len(lost)} sequence{'s' * (len(lost) > 1)} incomplete, such as {lost[0]}"
            found.append(Missing(" or ".join(CAMERAS), what, PAGE))
        for archive, pair in CAMERAS.items() if self._stereo else ():
            if blind := [
                path for name in self._wanted if self._cameras[name] == pair for path in self._without_right(name)
            ]:
                found.append(Missing(archive, such_as(blind, "right image"), PAGE))
        for archive, wanted in files.items():
            if absent := [self.relative(file) for file in wanted if not file.is_file()]:
                found.append(Missing(archive, such_as(absent, "file"), PAGE))
        return found

    def images(self) -> Iterator[Path]:
        """See `Layout.images`."""
        for name in self._wanted:
            for camera in self._cameras[name]:
                yield from numbered_images(self._folder(name) / camera).values()

    def faults(self) -> Iterator[str]:
        """See `Layout.faults`."""
        for name in self._wanted:
            calibration, poses = self._files(name)
            try:
                if calibration.is_file():
                    known = read_projections(calibration)
                    cameras = [int(camera.removeprefix("image_")) for camera in self._cameras[name][: 1 + self._stereo]]
                    yield from (
                        f"{calibration} has no line P{camera}; unpack data_odometry_calib.zip again"
                        for camera in cameras
                        if camera not in known
                    )
            except InputError as error:
                yield str(error)
            if poses.is_file() and (bad := _wrong_poses(poses, max(self._frames[name], default=-1) + 1)):
                yield bad

    def companions(self) -> Iterator[Path]:
        """See `Layout.companions`."""
        for name in self._wanted:
            calibration, poses = self._files(name)
            # Without images there is no size to scale a calibration by, and nothing that needs it.
            if calibration.is_file() and self._frames[name]:
                yield calibration
            if poses.is_file():
                yield poses

    def resized(self, companion: Path, width: int) -> str | None:
        """See `Layout.resized`: of a calib.txt the first two rows of each projection."""
        if companion.name != "calib.txt":
            return None
        size = first_size(companion.parent / self._cameras[companion.parent.name][0])
        if (smaller := resized_size(size, width)) == size:
            return None
        factors = np.array([[smaller[1] / size[1]], [smaller[0] / size[0]], [1.0]])
        scaled = {f"P{camera}": factors * projection for camera, projection in read_projections(companion).items()}
        lines = []
        for line in companion.read_text(encoding="utf-8", errors="replace").splitlines():
            name = line.partition(":")[0]
            lines.append(f"{name}: {' '.join(f'{x:.12e}' for x in scaled[name].flat)}" if name in scaled else line)
        return "\n".join(lines) + "\n"

    def splits(self) -> Splits:
        """See `Layout.splits`: `train`, `val` (the last tenth of each training sequence) and `test`."""
        wanted = [*(("train", "val") if self._train else ()), *(("test",) if self._test else ())]
        lists: dict[str, list[SplitLine]] = {name: [] for name in wanted}
        for name in self._wanted:
            frames = self._frames[name]
            inner = [number for number in sorted(frames) if number - 1 in frames and number + 1 in frames]
            lines = [SplitLine(name, number, "l", f"{number:06d}") for number in inner]
            if name in self._test:
                lists["test"] += lines
            else:
                held_out = round(VALIDATION * len(lines))
                lists["val"] += lines[len(lines) - held_out :]
                lists["train"] += lines[: max(len(lines) - held_out - GAP * bool(held_out), 0)]
        short = "none of its frames exists with both neighbours, or too few do"
        return {name: lines or short for name, lines in lists.items()}

    def _files(self, name: str) -> tuple[Path, Path]:
        """Return calibration and poses of a sequence."""
        return self._folder(name) / "calib.txt", self.root / "poses" / f"{name}.txt"

    def _without_right(self, name: str) -> list[Path]:
        """Return the right images that left ones lack, without suffix, below the root."""
        folder = self._folder(name) / self._cameras[name][1]
        right = numbered_images(folder)
        lost = (path for number, path in sorted(self._frames[name].items()) if number not in right)
        return [self.relative(folder / path.stem) for path in lost]

    def _folder(self, name: str) -> Path:
        return self.root / "sequences" / name

    @cached_property
    def _cameras(self) -> dict[str, tuple[str, str]]:
        colour, grey = CAMERAS.values()
        return {name: colour if (self._folder(name) / colour[0]).is_dir() else grey for name in self._wanted}

    @cached_property
    def _frames(self) -> dict[str, dict[int, Path]]:
        return {name: numbered_images(self._folder(name) / self._cameras[name][0]) for name in self._wanted}


def _sequence(name: str | int) -> str:
    """Return a sequence's name; YAML reads 00 as a number."""
    return name if isinstance(name, str) else f"{name:02d}"


def _wrong_poses(file: Path, images: int) -> str | None:
    """Return a sentence on the first line that is no pose, or on poses that are fewer than `images`."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, text in enumerate(lines, start=1):
        try:
            values = [float(value) for value in text.split()]
        except ValueError:
            values = []
        if len(values) != 12 or not np.isfinite(values).all():
            return f"{file}:{number}: a pose must have twelve finite numbers; unpack data_odometry_poses.zip again"
    if not lines or len(lines) < images:
        return f"{file} has {len(lines)} poses for {images} images; unpack data_odometry_poses.zip again"
    return None
