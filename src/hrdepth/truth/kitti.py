"""KITTI: depth of its laser scans, the improved ground truth, and archives of depth maps in the order of a split.

Source: the improved ground truth, eleven scans together, cleaned by stereo: Uhrig et al., Sparsity Invariant CNNs,
3DV 2017; it has 652 of Eigen's 697 test frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import GroundTruthConfig
from hrdepth.data.kitti import Calibration, colour_camera, find_frame, read_kitti_calibration, scan_path
from hrdepth.data.lidar import project_lidar, read_scan
from hrdepth.data.reader import SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.files import last_parts
from hrdepth.io.images import read_depth
from hrdepth.truth.base import GroundTruth, GroundTruthSet, Remembered, data_folder, refuse_settings
from hrdepth.truth.sparse_maps import SparseMaps, read_depth_maps

__all__ = ["GtDepths", "KittiImproved", "KittiLidar"]


class KittiLidar(GroundTruthSet):
    """KITTI raw: the laser's points as sparse depth of camera 2 (`l`) or 3 (`r`), at its rectified size."""

    dataset = "kitti_raw"

    def __init__(self, config: GroundTruthConfig) -> None:
        self._root = data_folder(config, config.root)
        refuse_settings(config, depths=config.depths)
        split = config.split or "eigen/test"
        self._lines = read_split(split)
        self._depth = config.lidar_depth
        self._calibration = Remembered(read_kitti_calibration)
        what = "the laser's forward coordinate" if self._depth == "laser" else "the camera's z"
        self.description = f"KITTI LiDAR, depth is {what}, split {last_parts(split)}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line = self._lines[index]
        camera = colour_camera(line.side)
        try:
            calibration = self._calibration(self._root / line.folder.split("/")[0])
            matrix = calibration.velo_to_image(camera)
            points = read_scan(self._root / scan_path(line))
            depth = project_lidar(points, matrix, calibration.size(camera), self._depth)
        except InputError as error:
            raise InputError(f"{line.origin}: {error}") from error
        return GroundTruth(line.name, find_frame(self._root, line), depth, calibration.intrinsics(camera))


class KittiImproved(GroundTruthSet):
    """`DEPTHS/{train,val}/DRIVE/proj_depth/groundtruth/image_02/FRAME.png` as KITTI's archive has it.

    `root`, KITTI raw, adds images and intrinsics.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        if config.depths is None:
            raise InputError(
                "ground truth 'kitti_improved' needs depths, the folder that data_depth_annotated.zip was unpacked to"
            )
        self._depths = data_folder(config, config.depths)
        self._root = None if config.root is None else data_folder(config, config.root)
        self._calibration = Remembered(read_kitti_calibration)
        split = config.split or "eigen_benchmark/test"
        self._lines = read_split(split)
        self._files = [self._file(line) for line in self._lines]
        missing = [line for line, file in zip(self._lines, self._files, strict=True) if file is None]
        if missing:
            raise InputError(
                f"{self._depths} lacks the depth of {len(missing)} of {len(self._lines)} frames, such as "
                f"{missing[0].name}; unpack all of data_depth_annotated.zip (train and val), or give the split "
                "eigen_benchmark/test, which excludes frames without improved depth"
            )
        self.description = f"KITTI's improved ground truth, split {last_parts(split)}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line, file = self._lines[index], self._files[index]
        assert file is not None
        depth = read_depth(file)
        if self._root is None:
            return GroundTruth(line.name, None, depth)
        try:
            calibration: Calibration = self._calibration(self._root / line.folder.split("/")[0])
            intrinsics = calibration.intrinsics(colour_camera(line.side))
        except InputError as error:
            raise InputError(f"{line.origin}: {error}") from error
        return GroundTruth(line.name, find_frame(self._root, line), depth, intrinsics)

    def _file(self, line: SplitLine) -> Path | None:
        image = f"image_0{colour_camera(line.side)}"
        below = Path(line.folder.split("/")[-1], "proj_depth", "groundtruth", image, f"{line.frame:010d}.png")
        return next((path for part in ("train", "val") if (path := self._depths / part / below).is_file()), None)


class GtDepths(GroundTruthSet):
    """A `gt_depths.npz`: depth maps in the order of a test split, as exchanged or as `hrdepth prepare kitti` writes it.

    `root` and `split` add the images of KITTI raw, and its K where its calibration is there and of the maps' size.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        if config.depths is None:
            raise InputError("ground truth 'gt_depths' needs depths, the path of gt_depths.npz")
        if (config.root is None) != (config.split is None):
            raise InputError("ground truth 'gt_depths' reads its images from root and split: give both or neither")
        self._root = None if config.root is None else data_folder(config, config.root)
        self._lines = [] if config.split is None else read_split(config.split)
        self._maps = read_depth_maps(config.depths, [line.name for line in self._lines])
        if self._lines and len(self._lines) != len(self._maps):
            raise InputError(
                f"{config.depths} holds {len(self._maps)} depth maps, the split {config.split} has "
                f"{len(self._lines)} lines; give the split that the file was made from"
            )
        self._calibration = Remembered(read_kitti_calibration)
        listed = f", split {last_parts(config.split)}" if config.split else ""
        self.description = f"depth maps of {Path(config.depths).name}{listed}"
        if isinstance(self._maps, SparseMaps) and isinstance(origin := self._maps.about.get("ground_truth"), str):
            self.description = origin  # as of the set that it was made from: they are the same depth

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, index: int) -> GroundTruth:
        if self._root is None:
            return GroundTruth(f"{index:06d}", None, self._maps[index])
        line, depth = self._lines[index], self._maps[index]
        intrinsics = self._intrinsics(self._root, line, depth.shape)
        return GroundTruth(line.name, find_frame(self._root, line), depth, intrinsics)

    def _intrinsics(self, root: Path, line: SplitLine, size: tuple[int, ...]) -> NDArray[np.float64] | None:
        day = root / line.folder.split("/")[0]
        if not (day / "calib_cam_to_cam.txt").is_file():
            return None
        try:
            calibration: Calibration = self._calibration(day)
        except InputError as error:
            raise InputError(f"{line.origin}: {error}") from error
        camera = colour_camera(line.side)
        return calibration.intrinsics(camera) if calibration.sizes.get(camera) == size else None
