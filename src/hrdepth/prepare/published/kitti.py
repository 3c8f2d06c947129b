"""KITTI raw, synced and rectified: one archive per drive, and one of calibrations per day."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from hrdepth.config import PrepareKittiConfig
from hrdepth.data.kitti import frame_path, read_kitti_calibration, scan_path
from hrdepth.data.lidar import read_scan
from hrdepth.data.reader import SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.image_files import find_image
from hrdepth.prepare.published.layout import Layout, Missing, Splits, such_as
from hrdepth.truth.sparse_maps import SparseMaps, read_depth_maps

__all__ = ["GROUND_TRUTH", "KittiRawLayout"]

GROUND_TRUTH = "gt_depths.npz"

PAGE = "https://www.cvlibs.net/datasets/kitti/raw_data.php"
CALIBRATIONS = ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt")


class KittiRawLayout(Layout):
    """`ROOT/DATE/DATE_drive_0001_sync/image_02/data/0000000000.png`, as far as the lists want it.

    Targets are wanted with both neighbours and from both cameras where the list names both; frames of the test list
    alone, with their laser scan unless its depth has been exported.
    """

    def __init__(self, config: PrepareKittiConfig) -> None:
        super().__init__(config.root)
        self._lists = {name: read_split(name) for name in config.lists}
        self._test_name, self._test = config.test, read_split(config.test)
        folders = (self.root, Path(config.out or config.root))
        self._exports = [file for folder in dict.fromkeys(folders) if (file := folder / GROUND_TRUTH).is_file()]
        if config.splits:
            _check_names([*self._lists, config.test])

    def found(self) -> str:
        """See `Layout.found`."""
        drives = [drive for drive in self._wanted if (self.root / drive).is_dir()]
        lost = sum(len(lost) for lost in self._lost.values())
        wanted = sum(len(files) for files in self._wanted.values())
        return f"KITTI raw: {len(drives)} of {len(self._wanted)} drives, {wanted - lost} of {wanted} files"

    def missing(self) -> list[Missing]:
        """See `Layout.missing`."""
        found = []
        for date in sorted({drive.split("/")[0] for drive in self._wanted}):
            files = [self.root / date / name for name in CALIBRATIONS]
            if absent := [self.relative(file) for file in files if not file.is_file()]:
                found.append(Missing(f"{date}_calib.zip", such_as(absent, "file"), PAGE))
        for drive, lost in ((drive, lost) for drive, lost in self._lost.items() if lost):
            whole = not (self.root / drive).is_dir()
            what = f"the whole drive, {len(lost)} files wanted" if whole else such_as(lost, "file")
            found.append(Missing(f"{drive.split('/')[-1]}.zip", what, PAGE))
        return found

    def impossible(self) -> list[str]:
        """See `Layout.impossible`."""
        found = []
        for name, lines in self._lists.items():
            if first := [line for line in lines if line.frame == 0]:
                frames = f"{len(first)} frame{'s' * (len(first) > 1)}"
                found.append(
                    f"{name}: {frames} of number 0, which have no frame before them, such as '{first[0].name}' "
                    f"({first[0].origin}); remove such lines"
                )
        return found

    def images(self) -> Iterator[Path]:
        """See `Layout.images`."""
        for files in self._wanted.values():
            yield from (path for file in files if not _is_scan(file) and (path := self._there(file)) is not None)

    def faults(self) -> Iterator[str]:
        """See `Layout.faults`."""
        for date in sorted({drive.split("/")[0] for drive in self._wanted}):
            try:
                if (self.root / date / CALIBRATIONS[0]).is_file():
                    read_kitti_calibration(self.root / date)
            except InputError as error:
                yield str(error)
        for line in self._test:
            try:
                if (scan := self.root / scan_path(line)).is_file():
                    read_scan(scan)
            except InputError as error:
                yield str(error)
        for file in self._exports:
            try:
                read_depth_maps(file)
            except InputError as error:
                yield str(error)

    def companions(self) -> Iterator[Path]:
        """See `Layout.companions`."""
        yield from sorted(self.root.glob("*/calib_*.txt"))

    def splits(self) -> Splits:
        """See `Layout.splits`."""
        lost = {file for files in self._lost.values() for file in files}
        lists: Splits = {
            _file_name(name): [
                line for line in lines if line.frame > 0 and not lost.intersection(_with_neighbours(line))
            ]
            or "none of its frames exists with both neighbours"
            for name, lines in self._lists.items()
        }
        test = [line for line in self._test if not lost.intersection((frame_path(line), scan_path(line)))]
        return {**lists, _file_name(self._test_name): test or "none of its frames exists with its true depth"}

    @cached_property
    def _wanted(self) -> dict[str, list[str]]:
        """Files without suffix of images, below the root, by drive, each once."""
        wanted: dict[str, dict[str, None]] = {}
        for lines in self._lists.values():
            for line in lines:
                wanted.setdefault(line.folder, {}).update(dict.fromkeys(_with_neighbours(line)))
        for line in self._test:
            scan = {} if line.name in self._exported else {scan_path(line): None}
            wanted.setdefault(line.folder, {}).update({frame_path(line): None, **scan})
        return {drive: list(wanted[drive]) for drive in sorted(wanted)}

    @cached_property
    def _exported(self) -> set[str]:
        """Frames whose true depth lies in a file: it replaces their scans."""
        found: set[str] = set()
        for file in self._exports:
            try:
                maps = read_depth_maps(file)
            except InputError:  # `faults` reports it
                continue
            if isinstance(maps, SparseMaps):  # exchanged files have no names
                found.update(maps.names)
        return found

    @cached_property
    def _lost(self) -> dict[str, list[str]]:
        return {drive: [file for file in files if self._there(file) is None] for drive, files in self._wanted.items()}

    def _there(self, file: str) -> Path | None:
        path = self.root / file
        if _is_scan(file):
            return path if path.is_file() else None
        return find_image(path.parent, path.name)


def _with_neighbours(line: SplitLine) -> list[str]:
    return [frame_path(line, offset) for offset in (0, -1, 1) if line.frame + offset >= 0]


def _is_scan(file: str) -> bool:
    return file.endswith(".bin")


def _file_name(split: str) -> str:
    """Return the name of a written list, from its folder and name in the config."""
    return "_".join(Path(split).with_suffix("").parts[-2:])


def _check_names(splits: list[str]) -> None:
    names: dict[str, str] = {}
    for split in splits:
        name = _file_name(split)
        if name in names:
            raise InputError(
                f"the lists {names[name]} and {split} would both be written to {name}.txt; rename one, or its folder"
            )
        names[name] = split
