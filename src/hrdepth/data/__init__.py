"""Data sets by name. Another one costs a file and a line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data.cityscapes import Cityscapes
from hrdepth.data.folder import Folder, Images
from hrdepth.data.kitti import KittiOdometry, KittiRaw
from hrdepth.data.neighbours import Neighbours, select
from hrdepth.data.reader import FrameReader
from hrdepth.data.shards import Shards
from hrdepth.errors import InputError
from hrdepth.io.images import read_image
from hrdepth.registry import check_options, lookup

if TYPE_CHECKING:
    from hrdepth.data.layers import Layer
    from hrdepth.data.mixing import Mix

__all__ = ["DATASETS", "OpenData", "build_mix", "build_reader", "check_dataset", "mix", "open_data"]

DATASETS: dict[str, Callable[..., FrameReader]] = {
    "cityscapes": Cityscapes,
    "folder": Folder,
    "images": Images,
    "kitti_odometry": KittiOdometry,
    "kitti_raw": KittiRaw,
    "shards": Shards,
}


@dataclass(frozen=True)
class OpenData:
    """A data set of a config, opened.

    Attributes:
        config: names it.
        neighbours: its reader, and the sources of its targets.
        layers: of this data set alone.
    """

    config: DatasetConfig
    neighbours: Neighbours
    layers: tuple[Layer, ...] = ()

    @classmethod
    def of(cls, config: DatasetConfig, frames: Sequence[int | str]) -> OpenData:
        """Open the data set that `config` names; errors as `build_reader`."""
        return cls(config, Neighbours(build_reader(config), frames, config.distances, config.missing))

    def selected(self, depth_suffices: bool = False) -> OpenData:
        """Leave out the targets that can teach nothing, see `neighbours.select`."""
        name = f"data set '{self.config.dataset}' at {self.config.root}"
        return replace(self, neighbours=select(self.neighbours, self.config.min_motion, name, depth_suffices))


def build_reader(config: DatasetConfig) -> FrameReader:
    """Build the data set that `config` names.

    Raises:
        InputError: as `check_dataset`, or files that are missing or wrong.
    """
    return check_dataset(config)(config.root, config.split, **config.options)


def check_dataset(config: DatasetConfig) -> Callable[..., FrameReader]:
    """Check the settings of a data set before its files are asked for; return its class.

    Raises:
        InputError: an unknown data set, an option that it does not have, or an invalid value.
    """
    kind = lookup(DATASETS, config.dataset, "data set")
    what = f"data set '{config.dataset}'"
    check_options(kind, config.options, what, ("root", "split"))
    if not config.weight > 0:
        raise InputError(f"data set '{config.dataset}' at {config.root}: weight {config.weight:g} must be positive")
    if not config.distances or min(config.distances) < 1:
        raise InputError(
            f"data set '{config.dataset}' at {config.root}: distances {config.distances} must be whole numbers from 1"
        )
    if config.split is None and inspect.signature(kind).parameters["split"].default is inspect.Parameter.empty:
        raise InputError(f"data set '{config.dataset}' at {config.root} needs a split: a file or a name")
    return kind


def open_data(
    configs: Sequence[DatasetConfig], frames: Sequence[int | str], check: bool = True, depth_suffices: bool = False
) -> list[OpenData]:
    """Open data sets, and leave out the targets that can teach nothing.

    Args:
        configs: name them.
        frames: the sources, see `config.ObjectiveConfig`.
        check: whether every image is there before the first is asked for.
        depth_suffices: whether a target with true depth needs no source, see `objectives.reads_depth`.

    Raises:
        InputError: no data set is given, as `build_reader`, or images, cameras or a baseline are missing or wrong; all
            are named.
    """
    if not configs:
        raise InputError("no data set is given; name at least one under train and one under validation")
    sets = [OpenData.of(config, frames) for config in configs]
    if check and (faults := [fault.sentence for part in sets for fault in part.neighbours.faults()]):
        raise InputError.several(faults)
    return [part.selected(depth_suffices) for part in sets]


def mix(
    sets: Sequence[OpenData],
    size: tuple[int, int],
    augment: AugmentConfig | None = None,
    seed: int = 0,
    layers: Sequence[Layer] = (),
    read: Callable[[Path], Image.Image] = read_image,
) -> Mix:
    """Join opened data sets to one; see `FrameDataset` for the arguments.

    As soon as one of them has masks, all samples have one.
    """
    # Here, so that readers can be used without PyTorch.
    from hrdepth.data.dataset import FrameDataset
    from hrdepth.data.layers import Mask
    from hrdepth.data.mixing import Mix

    masks = any(camera.mask is not None for part in sets for camera in part.neighbours.cameras().values())
    common = [*([Mask()] if masks else []), *layers]
    return Mix([FrameDataset(p.neighbours, size, [*common, *p.layers], read, augment, seed) for p in sets])


def build_mix(
    configs: Sequence[DatasetConfig],
    frames: Sequence[int | str],
    size: tuple[int, int],
    augment: AugmentConfig | None = None,
    seed: int = 0,
    check: bool = True,
    layers: Sequence[Layer] = (),
    depth_suffices: bool = False,
) -> Mix:
    """Build several data sets as one; see `open_data` and `mix` for arguments and errors."""
    return mix(open_data(configs, frames, check, depth_suffices), size, augment, seed, layers)
