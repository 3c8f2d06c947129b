"""A frozen network to learn from, and a cache of its disparity maps."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from hrdepth.camera import DepthScale, aspect_size
from hrdepth.config import TrainConfig
from hrdepth.data.layers import Frames
from hrdepth.data.map_cache import MapCache
from hrdepth.data.mixing import Mix
from hrdepth.data.sample import image_tensor, load_image
from hrdepth.errors import InputError
from hrdepth.geometry import scaled_disparity
from hrdepth.io.files import file_sha256
from hrdepth.teachers.base import Meaning, Teacher, canonical_factor
from hrdepth.teachers.labelling import fill_maps
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = ["NetworkTeacher", "TeacherMaps"]

log = logging.getLogger(__name__)

BATCH = 8
# Number of images from which the student's initial depth is computed.
FIRST_GUESS = 8


class NetworkTeacher(Teacher):
    """The depth network of a weights file, frozen and in eval mode.

    It is not an `nn.Module`, so that an objective neither trains nor stores it, and copies of the objective (for
    averaged weights) share it. It moves to the device of its images.

    Args:
        checkpoint: read from the file.
        path: of the file.
        focal: the canonical focal length of its depth, if the file has none.
        own_aspect: it sees each image at the image's aspect ratio, not squashed to its size.
        mirrored: its disparity is the mean of those of the image and of its mirror image.

    Attributes:
        size: (height, width) of its images.
        min_depth: the nearest depth that it can predict, network units.
        max_depth: the farthest one.
        metres_per_unit: see `Checkpoint`.
        canonical_focal: see `Checkpoint`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        path: str | Path,
        focal: float | None = None,
        own_aspect: bool = False,
        mirrored: bool = False,
    ) -> None:
        self.path = Path(path)
        self.size = checkpoint.size
        self.min_depth = checkpoint.network.min_depth
        self.max_depth = checkpoint.network.max_depth
        self.metres_per_unit = checkpoint.scale.metres_per_unit
        self.canonical_focal = focal if checkpoint.scale.canonical_focal is None else checkpoint.scale.canonical_focal
        self.name = self.path.name
        self.architecture = checkpoint.network_config.name
        # Metric in units, of which metres_per_unit may be unknown.
        self.meaning = Meaning.METRIC if checkpoint.scale.has_depth else Meaning.AFFINE
        self.own_camera = False
        self.licence = checkpoint.licence
        self._device = torch.device("cpu")
        self.own_aspect = own_aspect
        self.mirrored = mirrored
        self._network = checkpoint.network.requires_grad_(False).eval()

    @classmethod
    def read(
        cls, path: str | Path, focal: float | None = None, own_aspect: bool = False, mirrored: bool = False
    ) -> NetworkTeacher:
        """Read a weights file, by path, name or `hf://` address; errors as `read_checkpoint`."""
        file = locate_weights(path)
        return cls(read_checkpoint(file), file, focal, own_aspect, mirrored)

    def __deepcopy__(self, memory: dict[int, Any]) -> NetworkTeacher:
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
            disparity = self.disparity(resize(image.float(), self.size_for((image.shape[-2], image.shape[-1]))))
            scaled = scaled_disparity(disparity, self.min_depth, self.max_depth)
            return resize(scaled, (image.shape[-2], image.shape[-1]))

    @torch.no_grad()
    def disparity(self, image: Tensor) -> Tensor:
        """Return the sigmoid output (B,1,h,w) for images (B,3,h,w) of the size that it sees."""
        self._network.to(image.device)
        finest: Tensor = self._network(image)[0]
        if self.mirrored:
            finest = (finest + self._network(image.flip(-1))[0].flip(-1)) / 2
        return finest.float()

    def size_for(self, image: tuple[int, int]) -> tuple[int, int]:
        """Return the size at which it sees an image of (height, width)."""
        return aspect_size(image, self.size) if self.own_aspect else self.size

    def depth_factor(self, scale: DepthScale) -> float:
        """Return the factor from this teacher's depth to that of a student with this scale.

        Raises:
            InputError: the student's range of depth differs, or as `canonical_factor`.
        """
        own, student = (self.min_depth, self.max_depth), (scale.min_depth, scale.max_depth)
        if own != student:
            raise InputError(
                f"the teacher {self.path} has depths {own[0]:g} to {own[1]:g}, the student {student[0]:g} to "
                f"{student[1]:g}; set min_depth and max_depth in network.options to the teacher's"
            )
        return canonical_factor(f"the teacher {self.path}", self.canonical_focal, scale.canonical_focal)

    def typical_depth(self, images: Tensor) -> float:
        """Return the median of the depth in images (B,3,H,W), in the teacher's units, to two digits."""
        return float(f"{1 / float(self.scaled_disparity(images).median()):.2g}")

    def complete(self, config: TrainConfig, training: Mix) -> TrainConfig:
        """Fill in the metres of a unit and the student's initial depth, if the config leaves them open.

        Raises:
            InputError: the config has other units than the teacher.
        """
        wanted, metres = config.metres_per_unit, self.metres_per_unit
        if wanted is None:
            config = replace(config, metres_per_unit=metres)
        elif metres is not None and not 0.98 < wanted / metres < 1.02:
            raise InputError(
                f"a unit of depth is {metres:g} m for the teacher {self.path}, but metres_per_unit is {wanted:g}: the "
                "student learns the teacher's units; remove metres_per_unit, or convert the baselines to these units"
            )
        if config.initial_depth is None and config.init is None:
            items = range(0, len(training), max(1, len(training) // FIRST_GUESS))[:FIRST_GUESS]
            depth = self.typical_depth(torch.stack([training[item]["target"] for item in items]))
            if config.canonical_focal is not None and self.canonical_focal is not None:
                depth *= config.canonical_focal / self.canonical_focal
            config = replace(config, initial_depth=depth)
            log.info("the student's initial depth is %g units, the median of the teacher's", depth)
        return config

    def sha256(self) -> str:
        """Return the hash of the weights file."""
        return file_sha256(self.path)

    def to(self, device: torch.device) -> NetworkTeacher:
        """Choose the device of `maps`."""
        self._device = device
        return self

    def digest(self) -> str:
        """See `Teacher.digest`."""
        return f"{self.sha256()} {self.size} {self.own_aspect} {self.mirrored}"

    def maps(self, images: Sequence[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
        """See `Teacher.maps`; in 1/units of the network, as its canonical camera would see the image."""
        seen = self.size_for((images[0].height, images[0].width))
        batch = torch.stack([image_tensor(image, seen) for image in images]).to(self._device)
        scaled = scaled_disparity(self.disparity(batch), self.min_depth, self.max_depth)
        return np.asarray(resize(scaled, size)[:, 0].cpu().numpy(), np.float32)

    def about(self) -> dict[str, Any]:
        """Return the entry for the teacher in a student's weights file."""
        seen = {"own_aspect": True} if self.own_aspect else {}
        seen |= {"mirrored": True} if self.mirrored else {}
        return {
            "file": self.path.name,
            "sha256": self.sha256(),
            "network": self.architecture,
            "size": list(self.size),
        } | seen


class TeacherMaps(MapCache):
    """`teacher` (1,H,W): 1/depth by a teacher, in 1/units of the teacher, computed once for each whole target image.

        CACHE/4f/4f0c...npy    the teacher's sigmoid output at its own size

    The names depend on the teacher too, so that one folder can serve several teachers, and a resumed run uses the maps
    again. Images are resized to the teacher's size, which it was trained with, and not to the student's. Contains no
    network, so that it can be sent to loaders' processes.

    Args:
        teacher: whose maps they are.
        folder: of the maps, made if it is missing.

    Raises:
        InputError: the folder cannot be made.
    """

    key = "teacher"
    unknown_value = torch.nan  # 0 is infinitely far
    kind = "teacher's map"
    resampling = Image.Resampling.BILINEAR

    def __init__(self, teacher: NetworkTeacher, folder: str | Path) -> None:
        path = Path(folder)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the teacher's cache {path} cannot be created ({error.strerror}); choose another"
            ) from error
        ways = [name for name in ("own_aspect", "mirrored") if getattr(teacher, name)]
        super().__init__(path, teacher.size, teacher.sha256(), teacher.size, *ways)
        self.own_aspect = teacher.own_aspect
        self.min_depth, self.max_depth = teacher.min_depth, teacher.max_depth

    def inverse_depth(self, image: Path, *deciding: Any) -> NDArray[np.float32]:
        """See `MapCache.inverse_depth`.

        Raises:
            InputError: the map is missing or damaged.
        """
        disparity = self.load(image)
        if disparity is None:
            raise InputError(
                f"a map is missing from the teacher's cache {self.folder}: an image changed during the run, or "
                f"{self.file(image).name} was removed; start again with --resume last"
            )
        return 1 / self.max_depth + (1 / self.min_depth - 1 / self.max_depth) * disparity

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """See `Layer.files`; none: the maps follow from the teacher and the images, and may be computed again."""
        return ()

    def fill(self, teacher: NetworkTeacher, images: Iterable[Path], device: torch.device) -> int:
        """Compute the missing maps of `images` and return their number.

        Raises:
            InputError: an image cannot be read, the folder cannot be written, or the teacher gives NaN.
        """

        def read(image: Path) -> Tensor:
            return load_image(image, self.size_of(image))

        def compute(paths: Sequence[Path], read: Sequence[Tensor]) -> list[NDArray[np.float32]]:
            disparities = teacher.disparity(torch.stack([*read]).to(device))[:, 0].cpu().numpy()
            for image, disparity in zip(paths, disparities, strict=True):
                if not np.isfinite(disparity).all():
                    raise InputError(f"the teacher {teacher.path} gives NaN for {image}: its weights are damaged")
            return [*disparities]

        return fill_maps(self, images, read, compute, self.write, batch=BATCH)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B,C,H,W) to `size`, without aliasing where it shrinks."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)
