"""Maps of 1/depth that were computed for images once, and lie in a folder: `FOLDER/4f/4f0c...npy`, float16 (h,w)."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hrdepth.camera import aspect_size
from hrdepth.data.layers import Frames, Layer
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.sample import WHOLE, Window
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.arrays import load_array
from hrdepth.io.files import read_json, stamp, write_array
from hrdepth.io.image_files import content_digest
from hrdepth.io.images import image_size
from hrdepth.io.shards import Member

__all__ = ["DepthHints", "MapCache"]

log = logging.getLogger(__name__)


class MapCache(Layer):
    """A layer (1,H,W) of 1/depth, in 1/units, as the canonical camera would see it, from maps on disk.

    A file's name is a digest of the image's content, of `about`, and of what `deciding` returns: the data may lie where
    nothing can be written, or be moved, and an image that changes has no map.

    Args:
        folder: where the maps lie.
        size: (height, width) of each.
        about: what else decides on a map.

    Attributes:
        kind: what a map is called in messages.
        resampling: how a map is brought to another size.
        own_aspect: each map has the aspect ratio of its image, near `size`; else all are of that size.
        ending: of the map's file beside an image in a shard; None for maps that are not packed.
    """

    kind: ClassVar[str]
    resampling: ClassVar[Image.Resampling]
    own_aspect = False
    ending: ClassVar[str | None] = None

    def __init__(self, folder: Path, size: tuple[int, int], *about: object) -> None:
        self.folder = folder
        self.size = size
        self._about = about

    def deciding(self, reader: FrameReader, line: SplitLine) -> tuple[Any, ...]:
        """Return what decides on the map of a frame besides its image and `about`: images, and what JSON holds."""
        return ()

    def file(self, image: Path, *deciding: Any) -> Path:
        """Return where the map of an image, as it now is, lies or would."""
        if self.ending is not None and isinstance(image, Member) and (packed := image.beside(self.ending)).is_file():
            return packed
        file = self._named([image, *self._about, *deciding], lambda path: content_digest(path).hex())
        if file.is_file():
            return file
        # As earlier versions named it.
        name = Path(os.path.relpath(os.path.realpath(image), os.path.realpath(self.folder))).as_posix()
        earlier = self._named([name, *stamp(image), *self._about, *deciding], stamp)
        return earlier if earlier.is_file() else file

    def _named(self, key: list[Any], of_image: Callable[[Path], Any]) -> Path:
        digest = hashlib.sha256(json.dumps(key, default=of_image).encode()).hexdigest()[:32]
        return self.folder / digest[:2] / f"{digest}.npy"

    def size_of(self, image: Path) -> tuple[int, int]:
        """Return (height, width) of the map of an image."""
        return aspect_size(image_size(image), self.size) if self.own_aspect else self.size

    def write(self, image: Path, map_: NDArray[np.floating], *deciding: Any) -> None:
        """Write the map (h,w) of an image."""
        file = self.file(image, *deciding)
        file.parent.mkdir(exist_ok=True)
        write_array(file, map_.astype(np.float16))

    def load(self, image: Path, *deciding: Any) -> NDArray[np.float32] | None:
        """Return the map (h,w) of an image, None if there is none.

        Raises:
            InputError: it is damaged.
        """
        file = self.file(image, *deciding)
        try:
            map_ = load_array(file)
            if map_.shape != self.size_of(image) or map_.dtype != np.float16:
                raise ValueError(f"it holds {map_.dtype} {map_.shape}")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"the {self.kind} {file} is damaged ({error}); delete it, and it is made again") from error
        return np.asarray(map_, np.float32)

    def inverse_depth(self, image: Path, *deciding: Any) -> NDArray[np.float32] | None:
        """Return 1/depth (h,w) of a whole image, None where nothing is known of it."""
        return self.load(image, *deciding)

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`."""
        return self.resized(frames.target, size, window, *self.deciding(frames.reader, frames.line))

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """See `Layer.files`."""
        return [self.file(frames.target, *self.deciding(frames.reader, frames.line))]

    def resized(self, image: Path, size: tuple[int, int], window: Window = WHOLE, *deciding: Any) -> Tensor:
        """Return 1/depth (1,H,W) of a part of an image; all 0 where nothing is known of it.

        To a network, what a zoom shows twice as large is twice as near.
        """
        inverse = self.inverse_depth(image, *deciding)
        if inverse is None:
            return torch.zeros(1, *size)
        map_ = Image.fromarray(inverse)
        if map_.size != (size[1], size[0]) or window != WHOLE:
            map_ = map_.resize((size[1], size[0]), self.resampling, box=window.box(inverse.shape))
        return torch.from_numpy(np.array(map_))[None] / window.extent


class DepthHints(MapCache):
    """`hint` (1,H,W): 1/depth where geometry gives it without any training, else 0.

        HINTS/hints.json       of which size, in which units, how they were made
        HINTS/4f/4f0c...npy    a hint
        HINTS/train-1.txt      the frames of the first data set of a training that have one; and so on

    `hrdepth prepare hints` makes them.

    Args:
        folder: where they lie.
        size: (height, width) of each.
        canonical_focal: see `Checkpoint`; of the network whose units they have.
        offsets: how far, in frames, the neighbours lie that decide on a hint. It was compared with those, or where a
            split leaves them out or no pose was found for them, with others nearby, which do not decide on it.

    Source: Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019, has the idea: there from stereo matching.
    """

    key = "hint"
    kind = "depth hint"
    ending = "hint.npy"
    # No value between a near and a far one, or between one and none.
    resampling = Image.Resampling.NEAREST
    ABOUT: ClassVar[str] = "hints.json"

    def __init__(
        self, folder: Path, size: tuple[int, int], canonical_focal: float | None, offsets: Sequence[int] = ()
    ) -> None:
        super().__init__(folder, size)
        self.canonical_focal = canonical_focal
        self.offsets = tuple(offsets)

    def deciding(self, reader: FrameReader, line: SplitLine) -> tuple[Any, ...]:
        """See `MapCache.deciding`: the camera, and the images at the offsets, as they now are."""
        camera = reader.camera(line)
        others = [reader.image(line, "s"), *(reader.image(line, offset) for offset in self.offsets)]
        return camera.intrinsics.tolist(), camera.size, camera.baseline, others

    @classmethod
    def open(cls, folder: str | Path) -> DepthHints:
        """Open a folder of `hrdepth prepare hints`.

        Raises:
            InputError: it is none.
        """
        file = Path(folder) / cls.ABOUT
        try:
            about = read_json(file)
            height, width = about["size"]
            return cls(Path(folder), (int(height), int(width)), about["canonical_focal"], about.get("offsets", ()))
        except (*MALFORMED, OSError) as error:
            raise InputError(
                f"{folder} is no folder of depth hints ({file.name}: {error}); make them with hrdepth prepare hints"
            ) from error

    def check(self, readers: Iterable[FrameReader], canonical_focal: float | None) -> None:
        """Check that the hints suit a run with these data sets and this canonical focal length; count them in the log.

        Raises:
            InputError: no image has a hint, or they hold for another canonical focal length.
        """
        if self.canonical_focal != canonical_focal:
            raise InputError(
                f"the depth hints in {self.folder} hold for canonical_focal {self.canonical_focal}, the run has "
                f"{canonical_focal}; make them again with hrdepth prepare hints, or set canonical_focal to that of the "
                "hints"
            )
        counts: list[tuple[int, int]] = []
        for reader in readers:
            images = [(line, image) for line in reader.targets if (image := reader.image(line, 0)) is not None]
            there = [self.file(image, *self.deciding(reader, line)).is_file() for line, image in images]
            counts.append((sum(there), len(there)))
        if not any(hinted for hinted, _ in counts):
            raise InputError(
                f"no image of the training has a depth hint in {self.folder}: they were made for other images or "
                "cameras or by an earlier version, or these have changed since; make them with hrdepth prepare hints"
            )
        for number, (hinted, all_images) in enumerate(counts, 1):
            log.info("data set %d: %d of %d images have depth hints", number, hinted, all_images)
