"""Data sets by name. Another one costs a file and a line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data.folder import Folder
from hrdepth.data.frames import FrameDataset, FrameReader
from hrdepth.data.kitti import KittiOdometry, KittiRaw
from hrdepth.data.mixing import Mix
from hrdepth.errors import InputError
from hrdepth.registry import check_options, lookup

__all__ = ["DATASETS", "build_mix", "build_reader"]

DATASETS: dict[str, Callable[..., FrameReader]] = {
    "folder": Folder,
    "kitti_odometry": KittiOdometry,
    "kitti_raw": KittiRaw,
}


def build_reader(config: DatasetConfig) -> FrameReader:
    """Build the data set that `config` names.

    Raises:
        InputError: an unknown data set, an option that it does not have, or files that are missing or wrong.
    """
    kind = lookup(DATASETS, config.dataset, "data set")
    check_options(kind, config.options, f"data set '{config.dataset}'", ("root", "split"))
    if not config.weight > 0:
        raise InputError(f"data set '{config.dataset}' at {config.root}: weight {config.weight:g} must be positive")
    if config.split is None and inspect.signature(kind).parameters["split"].default is inspect.Parameter.empty:
        raise InputError(f"data set '{config.dataset}' at {config.root} needs a split: a file or a name")
    return kind(config.root, config.split, **config.options)


def build_mix(
    configs: Sequence[DatasetConfig],
    frames: Sequence[int | str],
    size: tuple[int, int],
    augment: AugmentConfig | None = None,
    seed: int = 0,
) -> Mix:
    """Build several data sets as one; see `FrameDataset` for the arguments.

    Raises:
        InputError: none is given, or as `build_reader`.
    """
    if not configs:
        raise InputError("no data set is given; name at least one under train and one under validation")
    return Mix([FrameDataset(build_reader(config), frames, size, augment, seed) for config in configs])
