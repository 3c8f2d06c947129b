"""A frozen network to learn from, whatever it was trained at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hrdepth.geometry import scaled_disparity
from hrdepth.io.files import file_sha256
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint
from hrdepth.weights.find import weights_file

__all__ = ["Teacher", "typical_depth"]


class Teacher:
    """The depth network of a weights file, frozen and in eval mode.

    It is no `nn.Module`, so that an objective that has one neither trains nor stores it, and copies of the objective
    (for averaged weights) share it. It follows the images to their device.

    Args:
        checkpoint: read from the file.
        path: of the file.
        focal: the canonical focal length of its depth, where the file does not tell.

    Attributes:
        size: (height, width) of its images.
        min_depth: the nearest depth that it can say, network units.
        max_depth: the farthest one.
        metres_per_unit: see `Checkpoint`.
        canonical_focal: likewise.
    """

    def __init__(self, checkpoint: Checkpoint, path: str | Path, focal: float | None = None) -> None:
        self.path = Path(path)
        self.size = checkpoint.size
        self.min_depth = checkpoint.network.min_depth
        self.max_depth = checkpoint.network.max_depth
        self.metres_per_unit = checkpoint.metres_per_unit
        self.canonical_focal = focal if checkpoint.canonical_focal is None else checkpoint.canonical_focal
        self.name = checkpoint.network_config.name
        self._network = checkpoint.network.requires_grad_(False).eval()

    @classmethod
    def read(cls, path: str | Path, focal: float | None = None) -> Teacher:
        """Read a weights file, by path, name or `hf://` address; errors as `read_checkpoint`."""
        file = weights_file(path)
        return cls(read_checkpoint(file), file, focal)

    def __deepcopy__(self, memory: dict[int, Any]) -> Teacher:
        return self

    @torch.no_grad()
    def scaled_disparity(self, image: Tensor) -> Tensor:
        """Predict 1/depth, in 1/units of the teacher, as its canonical camera would see the image.

        Args:
            image: (B,3,H,W) in [0,1], without colour augmentation; resized for the teacher.

        Returns:
            (B,1,H,W) float32, resized back.
        """
        with torch.autocast(image.device.type, enabled=False):
            own = scaled_disparity(self.disparity(resize(image.float(), self.size)), self.min_depth, self.max_depth)
            return resize(own, (image.shape[-2], image.shape[-1]))

    @torch.no_grad()
    def disparity(self, image: Tensor) -> Tensor:
        """Return the sigmoid output (B,1,h,w) for images (B,3,h,w) of the teacher's size."""
        self._network.to(image.device)
        finest: Tensor = self._network(image)[0]
        return finest.float()

    def sha256(self) -> str:
        """Return the hash of the weights file."""
        return file_sha256(self.path)

    def about(self) -> dict[str, Any]:
        """Return what a student's weights file tells of its teacher."""
        return {"file": self.path.name, "sha256": self.sha256(), "network": self.name, "size": list(self.size)}


def typical_depth(teacher: Teacher, images: Tensor) -> float:
    """Return the median depth that the teacher sees in images (B,3,H,W), in its units, to two digits."""
    return float(f"{1 / float(teacher.scaled_disparity(images).median()):.2g}")


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B,C,H,W) to `size`, without aliasing where it shrinks."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)
