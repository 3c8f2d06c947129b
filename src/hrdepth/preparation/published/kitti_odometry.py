"""KITTI odometry: pictures in colour or grey, calibrations, poses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from hrdepth.config import PrepareOdometryConfig
from hrdepth.data.folder import numbered_pictures
from hrdepth.data.kitti import read_projections
from hrdepth.data.splits import SplitLine
from hrdepth.errors import InputError
from hrdepth.preparation.published.layout import Layout, Missing, existing_root, such_as

__all__ = ["KittiOdometryLayout"]

PAGE = "https://www.cvlibs.net/datasets/kitti/eval_odometry.php"
EYES = {"data_odometry_color.zip": ("image_2", "image_3"), "data_odometry_gray.zip": ("image_0", "image_1")}
# Pictures of the sequences as published: left camera.
LENGTHS = {
    "00": 4541, "01": 1101, "02": 4661, "03": 801, "04": 271, "05": 2761, "06": 1101, "07": 1101, "08": 4071,
    "09": 1591, "10": 1201,
}  # fmt: skip
VALIDATION, GAP = 0.1, 3  # share of a sequence, at its end; frames before it that belong to neither


class KittiOdometryLayout(Layout):
    """`ROOT/sequences/00/image_2/000000.png` or `image_0`, `calib.txt` beside, `ROOT/poses/00.txt`."""

    def __init__(self, config: PrepareOdometryConfig) -> None:
        self.root = existing_root(config.root)
        self._train, self._test = config.train, config.test
        self._wanted = [*config.train, *config.test]

    def found(self) -> str:
        """See `Layout.found`."""
        there = [name for name in self._wanted if self._frames[name]]
        count = sum(len(frames) for frames in self._frames.values())
        both = sum((self._folder(name) / self._eyes[name][1]).is_dir() for name in there)
        return (
            f"KITTI odometry: {len(there)} of {len(self._wanted)} sequences, {count} left pictures, "
            f"{both} with a right eye"
        )

    def missing(self) -> list[Missing]:
        """See `Layout.missing`."""
        files = {
            "data_odometry_calib.zip": [self._folder(name) / "calib.txt" for name in self._wanted],
            "data_odometry_poses.zip": [self.root / "poses" / f"{name}.txt" for name in self._wanted],
        }
        found = []
        lost = [
            f"{name} ({len(frames)} of {LENGTHS.get(name, 'unknown')} left pictures)"
            for name, frames in self._frames.items()
            if not frames or len(frames) < LENGTHS.get(name, 1)
        ]
        if lost:
            what = f"{len(lost)} sequence{'s' * (len(lost) > 1)} not complete, such as {lost[0]}"
            found.append(Missing(" or ".join(EYES), what, PAGE))
        for archive, wanted in files.items():
            if absent := [self.relative(file) for file in wanted if not file.is_file()]:
                found.append(Missing(archive, such_as(absent, "file"), PAGE))
        return found

    def pictures(self) -> Iterator[Path]:
        """See `Layout.pictures`."""
        for name in self._wanted:
            for eye in self._eyes[name]:
                yield from numbered_pictures(self._folder(name) / eye).values()

    def faults(self) -> Iterator[str]:
        """See `Layout.faults`."""
        for file in self.companions():
            try:
                if file.name == "calib.txt":
                    read_projections(file)
                elif bad := _wrong_pose(file):
                    yield bad
            except InputError as error:
                yield str(error)

    def companions(self) -> Iterator[Path]:
        """See `Layout.companions`."""
        yield from sorted(self.root.glob("sequences/*/calib.txt"))
        yield from sorted(self.root.glob("poses/*.txt"))

    def splits(self) -> dict[str, list[SplitLine]]:
        """See `Layout.splits`: `train`, `val` (the last tenth of each training sequence) and `test`."""
        lists: dict[str, list[SplitLine]] = {"train": [], "val": [], "test": []}
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
        return lists

    def _folder(self, name: str) -> Path:
        return self.root / "sequences" / name

    @cached_property
    def _eyes(self) -> dict[str, tuple[str, str]]:
        colour, grey = EYES.values()
        return {name: colour if (self._folder(name) / colour[0]).is_dir() else grey for name in self._wanted}

    @cached_property
    def _frames(self) -> dict[str, dict[int, Path]]:
        return {name: numbered_pictures(self._folder(name) / self._eyes[name][0]) for name in self._wanted}


def _wrong_pose(file: Path) -> str | None:
    for number, text in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            if len([float(value) for value in text.split()]) == 12:
                continue
        except ValueError:
            pass
        return f"{file}:{number}: a pose must have twelve numbers; unpack data_odometry_poses.zip again"
    return None
