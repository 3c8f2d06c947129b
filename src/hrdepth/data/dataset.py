"""Samples of one data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from hrdepth.camera import Camera
from hrdepth.config import AugmentConfig
from hrdepth.data.augment import augment_colours, degrade, draw_window, flip_sample
from hrdepth.data.layers import Frames, Layer
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.reader import FrameReader
from hrdepth.data.sample import WHOLE, Batch, SizedItem, load_image, resized_intrinsics, stereo_pose
from hrdepth.io.images import read_image

__all__ = ["FrameDataset"]


class FrameDataset(Dataset[Batch]):
    """Samples of one data set, resized, with the K of that size.

    Asking for item `i + n * len(self)` gives sample i with its n-th random changes, whichever process loads it. A
    missing source is marked in `source_valid`.

    Args:
        neighbours: the targets of a reader, and the images of their sources.
        size: (height, width) of the samples.
        layers: what samples have beside images.
        read: reads an image file; see `data.cache`.
        augment: random changes, or None.
        seed: of the random changes.
    """

    def __init__(
        self,
        neighbours: Neighbours,
        size: tuple[int, int],
        layers: Sequence[Layer] = (),
        read: Callable[[Path], Image.Image] = read_image,
        augment: AugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.neighbours = neighbours
        self.size = size
        self.layers = tuple(layers)
        self.read = read
        self.augment = augment
        self.seed = seed

    @property
    def reader(self) -> FrameReader:
        """The data set, with the targets of these samples."""
        return self.neighbours.reader

    def __len__(self) -> int:
        return len(self.reader.targets)

    def name(self, item: int) -> str:
        """Return the target frame of an item, for messages: `folder frame side (path:line of the split)`."""
        line = self.reader.targets[item % len(self)]
        return f"{line.name} ({line.origin})" if line.origin else line.name

    def camera(self, item: int) -> Camera:
        """Return the camera of an item, at its own size."""
        return self.reader.camera(self.reader.targets[item % len(self)])

    def without_augmentation(self) -> FrameDataset:
        """Return the same samples without random changes."""
        plain = copy(self)
        plain.augment = None
        return plain

    def __getitem__(self, item: int | SizedItem) -> Batch:
        item, size = item if isinstance(item, SizedItem) else (item, self.size)
        line = self.reader.targets[item % len(self)]
        random = np.random.default_rng((self.seed, item))
        camera = self.reader.camera(line)
        window = WHOLE
        if self.augment is not None:
            shape = (camera.size[0] * camera.keep, camera.size[1])
            window = draw_window(self.augment, random, shape, size)
        window = window.above(camera.keep)
        paths = self.neighbours.sources(line, None if self.augment is None else (self.seed, item))
        frames = Frames(line, camera, self.neighbours.target(line), paths, self.reader)
        target = load_image(frames.target, size, window, self.read)
        sources = target.new_zeros(len(paths), *target.shape)
        for index, path in enumerate(paths):
            if path is not None:
                sources[index] = load_image(path, size, window, self.read)
        sample = Batch(
            target=target,
            sources=sources,
            target_augmented=target,
            sources_augmented=sources,
            intrinsics=resized_intrinsics(camera, size, window),
            stereo_pose=stereo_pose(camera, line.side),
            source_valid=torch.tensor([path is not None for path in paths], dtype=torch.bool),
            item=torch.tensor(item),
        )
        for layer in self.layers:
            sample[layer.key] = layer.read(frames, size, window)  # type: ignore[literal-required]
        if self.augment is None:
            return sample
        if random.random() < self.augment.flip:
            sample = flip_sample(sample, self.layers)
        return degrade(augment_colours(sample, self.augment, random), self.augment, random)
