"""Data sets by name. Another one costs a file and a line here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data.cityscapes import Cityscapes
from hrdepth.data.folder import Folder
from hrdepth.data.frames import FrameDataset, FrameReader
from hrdepth.data.images import Images
from hrdepth.data.kitti import KittiOdometry, KittiRaw
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import Neighbours, select
from hrdepth.errors import InputError
from hrdepth.registry import check_options, check_values, lookup

__all__ = ["DATASETS", "build_mix", "build_reader"]

DATASETS: dict[str, Callable[..., FrameReader]] = {
    "cityscapes": Cityscapes,
    "folder": Folder,
    "kitti_odometry": KittiOdometry,
    "kitti_raw": KittiRaw,
    "pictures": Images,
}


def build_reader(config: DatasetConfig) -> FrameReader:
    """Build the data set that `config` names.

    Raises:
        InputError: an unknown data set, an option that it does not have, or files that are missing or wrong.
    """
    kind = lookup(DATASETS, config.dataset, "data set")
    what = f"data set '{config.dataset}'"
    check_options(kind, config.options, what, ("root", "split"))
    # Of lists and sections the data sets themselves say more.
    plain = {name: value for name, value in config.options.items() if name not in ("camera", "eyes")}
    check_values(kind, plain, what)
    if not config.weight > 0:
        raise InputError(f"data set '{config.dataset}' at {config.root}: weight {config.weight:g} must be positive")
    if not config.distances or min(config.distances) < 1:
        raise InputError(
            f"data set '{config.dataset}' at {config.root}: distances {config.distances} must be whole numbers from 1"
        )
    if config.split is None and inspect.signature(kind).parameters["split"].default is inspect.Parameter.empty:
        raise InputError(f"data set '{config.dataset}' at {config.root} needs a split: a file or a name")
    return kind(config.root, config.split, **config.options)


def build_mix(
    configs: Sequence[DatasetConfig],
    frames: Sequence[int | str],
    size: tuple[int, int],
    augment: AugmentConfig | None = None,
    seed: int = 0,
    check: bool = True,
) -> Mix:
    """Build several data sets as one; see `FrameDataset` for the arguments.

    Raises:
        InputError: none is given, as `build_reader`, or as `FrameDataset`, over all sets at once.
    """
    if not configs:
        raise InputError("no data set is given; name at least one under train and one under validation")
    sets = [(config, build_reader(config)) for config in configs]
    neighbours = [Neighbours(reader, frames, config.distances, config.missing) for config, reader in sets]
    if check and (faults := [fault for part in neighbours for fault in part.faults()]):
        raise InputError.several(faults)
    parts = []
    for (config, reader), near in zip(sets, neighbours, strict=True):
        name = f"data set '{config.dataset}' at {config.root}"
        kept = select(reader, near, config.min_motion, name)
        parts.append(FrameDataset(kept, frames, size, augment, seed, near, check=False))
    # One kind of batch: as soon as one set has masks, all samples have one.
    with_masks = any(part.has_masks() for part in parts)
    for part in parts:
        part.with_masks = with_masks
    return Mix(parts)
