"""CityScapes' annotated frames with depth from their disparities, without the car's hood."""

from __future__ import annotations

from pathlib import Path

from hrdepth.config import GroundTruthConfig
from hrdepth.data.cityscapes import KEPT_HEIGHT, SEQUENCES, SIZE, depth_of, part_or_split, read_disparity, read_rig
from hrdepth.data.frames import find_image
from hrdepth.errors import InputError
from hrdepth.io.files import existing_file
from hrdepth.truth.base import GroundTruth, GroundTruthSet

__all__ = ["CityscapesDepth"]


class CityscapesDepth(GroundTruthSet):
    """`ROOT/disparity/PART/CITY/..._disparity.png` with `ROOT/camera` and images of either archive.

    Depth is baseline x fx / disparity, disparity (p - 1) / 256, of the upper three quarters of the image. Semi-global
    matching made it: exact it is not.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        if config.root is None:
            raise InputError(f"ground truth '{config.kind}' needs root, the folder that holds the data")
        if config.depths is not None:
            raise InputError(f"ground truth '{config.kind}' has no depths; leave it out or choose another kind")
        self._root = Path(config.root)
        if not self._root.is_dir():
            raise InputError(f"the data folder {self._root} does not exist")
        self._lines = part_or_split(config, self._root)
        split = "/".join(Path(config.split or "val").parts[-2:])
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
