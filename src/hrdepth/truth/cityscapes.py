"""CityScapes' annotated frames with depth from their disparities, without the car's hood."""

from __future__ import annotations

from typing import Any, ClassVar

from hrdepth.config import GroundTruthConfig
from hrdepth.data.cityscapes import KEPT_HEIGHT, SEQUENCES, SIZE, depth_of, part_or_split, read_disparity, read_rig
from hrdepth.data.reader import find_image
from hrdepth.errors import InputError
from hrdepth.io.files import existing_file
from hrdepth.truth.base import GroundTruth, GroundTruthSet, data_folder, refuse_settings, short_name

__all__ = ["CityscapesDepth"]


class CityscapesDepth(GroundTruthSet):
    """`ROOT/disparity/PART/CITY/..._disparity.png` with `ROOT/camera` and images of either archive.

    Depth is baseline x fx / disparity, disparity (p - 1) / 256, of the upper three quarters of the image. Semi-global
    matching made it: exact it is not.
    """

    # The hood is left out already; Garg's crop is for KITTI's laser.
    protocol: ClassVar[dict[str, Any]] = {"crop": "none"}

    def __init__(self, config: GroundTruthConfig) -> None:
        self._root = data_folder(config, config.root)
        refuse_settings(config, depths=config.depths)
        self._lines = part_or_split(config, self._root)
        split = short_name(config.split or "val")
        self.description = f"CityScapes, depth from disparity, upper {KEPT_HEIGHT:.0%}, split {split}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line = self._lines[index]
        if line.side != "l":
            raise InputError(f"{line.origin}: CityScapes has disparities of left frames only; leave the line out")
        city, _, sequence = line.folder.rpartition("/")
        stem = f"{sequence}_{line.frame:06d}"
        rig = read_rig(existing_file(self._root / "camera" / city / f"{stem}_camera.json", "the camera file"))
        depth = depth_of(read_disparity(self._root / "disparity" / city / f"{stem}_disparity.png"), rig)
        height, width = depth.shape
        intrinsics = rig.intrinsics * [[width / SIZE[1]], [height / SIZE[0]], [1.0]]
        folders = (self._root / kind / city for kind in (SEQUENCES["l"], "leftImg8bit"))
        image = next(filter(None, (find_image(folder, f"{stem}_leftImg8bit") for folder in folders)), None)
        kept = depth[: round(KEPT_HEIGHT * height)]
        return GroundTruth(line.name, image, kept, intrinsics, image_rows=(0.0, KEPT_HEIGHT))
