"""KITTI's improved ground truth: eleven laser scans together, cleaned by stereo, for 652 of Eigen's 697 test frames.

Source: Uhrig et al., Sparsity Invariant CNNs, 3DV 2017; the frames are those that it has of Eigen's list.
"""

from __future__ import annotations

from pathlib import Path

from hrdepth.config import GroundTruthConfig
from hrdepth.data.frames import find_image
from hrdepth.data.kitti_calibration import read_calibration
from hrdepth.data.splits import SplitLine, read_split
from hrdepth.errors import InputError
from hrdepth.truth.base import GroundTruth, GroundTruthSet, read_depth

__all__ = ["KittiImproved"]


class KittiImproved(GroundTruthSet):
    """`DEPTHS/{train,val}/DRIVE/proj_depth/groundtruth/image_02/FRAME.png` as KITTI's archive has it.

    `root`, KITTI raw, adds images and intrinsics.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        if config.depths is None:
            raise InputError(
                "ground truth 'kitti_improved' needs depths, the folder that data_depth_annotated.zip was unpacked to"
            )
        self._depths = Path(config.depths)
        self._root = None if config.root is None else Path(config.root)
        for folder in filter(None, (self._depths, self._root)):
            if not folder.is_dir():
                raise InputError(f"the data folder {folder} does not exist")
        split = config.split or "eigen_benchmark/test"
        self._lines = read_split(split)
        self._files = [self._file(line) for line in self._lines]
        missing = [line for line, file in zip(self._lines, self._files, strict=True) if file is None]
        if missing:
            raise InputError(
                f"{self._depths} lacks the depth of {len(missing)} of {len(self._lines)} frames, such as "
                f"{missing[0].name}; unpack all of data_depth_annotated.zip (train and val), or take the split "
                "eigen_benchmark/test, which leaves out the frames that it never had"
            )
        listed = "/".join(Path(split).parts[-2:])
        self.description = f"KITTI's improved ground truth, split {listed}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line, file = self._lines[index], self._files[index]
        assert file is not None
        depth = read_depth(file)
        if self._root is None:
            return GroundTruth(line.name, None, depth)
        camera = 2 if line.side == "l" else 3
        image = find_image(self._root / line.folder / f"image_0{camera}" / "data", f"{line.frame:010d}")
        try:
            intrinsics = read_calibration(self._root / line.folder.split("/")[0]).intrinsics(camera)
        except InputError as error:
            raise InputError(f"{line.origin}: {error}") from error
        return GroundTruth(line.name, image, depth, intrinsics)

    def _file(self, line: SplitLine) -> Path | None:
        camera = "image_02" if line.side == "l" else "image_03"
        below = Path(line.folder.split("/")[-1], "proj_depth", "groundtruth", camera, f"{line.frame:010d}.png")
        return next((path for part in ("train", "val") if (path := self._depths / part / below).is_file()), None)
