"""An image with its true depth, and what every source of true depth implements."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.io.files import existing_folder, file_sha256

__all__ = ["GroundTruth", "GroundTruthSet", "Remembered", "data_digest", "data_folder", "refuse_settings"]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """One image's true depth.

    Attributes:
        name: what the image is called in results.
        image: its file, or None if there is none, which is enough for given predictions.
        depth: (H,W) float32, metres; what is not finite and positive means none.
        intrinsics: (3,3) float64 in pixels of the depth map, or None if unknown.
        image_rows: the part of the image that the depth is of, fractions of its height; None for all of it.
        stretched: whether the depth map may have another aspect ratio than the image.
    """

    name: str
    image: Path | None
    depth: NDArray[np.float32]
    intrinsics: NDArray[np.float64] | None = None
    image_rows: tuple[float, float] | None = None
    stretched: bool = False


class GroundTruthSet(ABC):
    """A sequence of `GroundTruth`, each read when it is asked for.

    Attributes:
        description: what the depth is and which list it follows, in words, without paths.
        protocol: settings of `DepthProtocol` in which published numbers differ from KITTI's.
        metrics: that published tables have beside the seven, fields of `evaluation.extras.Extras`.
        dataset: the training data set in whose folders this depth lies, if in any.
    """

    description: str
    protocol: ClassVar[Mapping[str, Any]] = {}
    metrics: ClassVar[tuple[str, ...]] = ()
    dataset: ClassVar[str | None] = None

    @abstractmethod
    def __init__(self, config: GroundTruthConfig) -> None:
        """Find the files.

        Raises:
            InputError: a setting is missing or has no meaning here, or files are missing.
        """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @abstractmethod
    def __getitem__(self, index: int) -> GroundTruth:
        """Read one image's true depth.

        Raises:
            InputError: a file of it is missing or damaged.
        """

    def __iter__(self) -> Iterator[GroundTruth]:
        return (self[index] for index in range(len(self)))


class Remembered:
    """A function of a folder with its results cached; unlike `functools.cache` it can be pickled."""

    def __init__(self, read: Callable[[Path], Any]) -> None:
        self._read, self._known = read, dict[Path, Any]()

    def __call__(self, folder: Path) -> Any:
        """Return what the function gives for `folder`, computed once."""
        if folder not in self._known:
            self._known[folder] = self._read(folder)
        return self._known[folder]


def data_digest(truths: GroundTruthSet) -> str:
    """Return a hash of the content of all images and true depth, wherever they lie."""
    digest = hashlib.sha256()
    for truth in truths:
        image = None if truth.image is None else file_sha256(truth.image)
        k = None if truth.intrinsics is None else truth.intrinsics.tolist()
        digest.update(json.dumps([truth.name, image, k, truth.image_rows, truth.depth.shape]).encode())
        digest.update(np.ascontiguousarray(truth.depth).tobytes())
    return digest.hexdigest()


def data_folder(config: GroundTruthConfig, root: str | None) -> Path:
    """Return `root` as a path; raise `InputError` where it is missing or no folder."""
    if root is None:
        raise InputError(f"ground truth '{config.kind}' needs root, the folder that holds the data")
    return existing_folder(root)


def refuse_settings(config: GroundTruthConfig, **settings: str | None) -> None:
    """Raise `InputError` for settings that this kind of ground truth does not have."""
    for name, value in settings.items():
        if value is not None:
            raise InputError(f"ground truth '{config.kind}' has no {name}; leave it out or choose another kind")
