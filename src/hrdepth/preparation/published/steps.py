"""Look a published data set over and prepare it, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from hrdepth.config import GroundTruthConfig, PrepareConfig, PrepareKittiConfig, PublishedDataConfig
from hrdepth.data.ground_truth import build_ground_truth
from hrdepth.data.prepare import prepare as fill_cache
from hrdepth.data.sparse_maps import write_sparse_maps
from hrdepth.data.splits import SplitLine
from hrdepth.errors import InputError
from hrdepth.files import atomic_path, output_file
from hrdepth.preparation.published.cityscapes import CityscapesLayout
from hrdepth.preparation.published.kitti import KittiRawLayout
from hrdepth.preparation.published.kitti_odometry import KittiOdometryLayout
from hrdepth.preparation.published.layout import Layout
from hrdepth.preparation.published.pictures import convert_to_jpeg, damaged_pictures
from hrdepth.provenance import provenance

__all__ = ["GROUND_TRUTH", "LAYOUTS", "prepare_published"]

GROUND_TRUTH = "gt_depths.npz"
LAYOUTS: dict[str, Callable[[Any], Layout]] = {
    "kitti": KittiRawLayout,
    "kitti-odometry": KittiOdometryLayout,
    "cityscapes": CityscapesLayout,
}


def prepare_published(name: str, config: PublishedDataConfig) -> Iterator[str]:
    """Say what is there and what is missing, then do the steps that are asked for; yield what is said.

    Args:
        name: a key of `LAYOUTS`.
        config: of that data set.

    Raises:
        InputError: something is missing and no step is asked for; files are damaged; a step cannot be done.
    """
    layout = LAYOUTS[name](config)
    steps = [config.verify, config.splits, config.jpeg, config.cache, getattr(config, "ground_truth", False)]
    yield layout.found()
    missing = layout.missing()
    yield from (f"missing: {one}" for one in missing)
    if missing and not any(steps):
        raise InputError(
            f"{len(missing)} archive{'s' * (len(missing) > 1)} missing or not complete, listed above; unpack into "
            f"{config.root}, or prepare what is there (--splits, --jpeg, --verify)"
        )
    if config.verify:
        yield _verify(layout, config)
    out = Path(config.out or config.root)
    if config.splits:
        yield from _write_splits(layout.splits(), out / "splits", overwrite=config.overwrite)
    if isinstance(config, PrepareKittiConfig) and config.ground_truth:
        yield f"true depth: {_export_depth(config, out)}"
    if config.jpeg:
        written, deleted = convert_to_jpeg(
            layout,
            out,
            quality=config.quality,
            width=config.width,
            delete_originals=config.delete_originals,
            threads=config.threads,
        )
        yield f"{written} JPEGs written to {out}" + (f", {deleted} PNGs deleted" if deleted else ", originals kept")
    if config.cache is not None:
        cache = fill_cache(PrepareConfig(config.config, config.cache, threads=config.threads))
        yield f"{len(cache.entries)} pictures in the cache {cache.folder}"


def _verify(layout: Layout, config: PublishedDataConfig) -> str:
    pictures = list(layout.pictures())
    faults = [*layout.faults(), *damaged_pictures(pictures, config.threads)]
    if faults:
        raise InputError.several(faults)
    return f"all {len(pictures)} pictures can be decoded, and whatever lies beside them can be read"


def _write_splits(lists: dict[str, list[SplitLine]], folder: Path, *, overwrite: bool) -> Iterator[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); give another folder with --out") from error
    for name, lines in lists.items():
        if not lines:
            yield f"no list {name}: none of its frames is there"
            continue
        file = folder / f"{name}.txt"
        text = "".join(f"{line.name}\n" for line in lines)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            with atomic_path(output_file(file, overwrite=overwrite)) as temporary:
                temporary.write_text(text, encoding="utf-8")
        yield f"{len(lines)} frames: {file}"


def _export_depth(config: PrepareKittiConfig, out: Path) -> Path:
    """Write the laser's depth of the test list once; see `data.sparse_maps`."""
    file = output_file(out / GROUND_TRUTH, overwrite=config.overwrite)
    data = GroundTruthConfig("kitti_lidar", config.root, config.test, lidar_depth=config.lidar_depth)
    truths = build_ground_truth(data)
    out.mkdir(parents=True, exist_ok=True)

    def maps() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for truth in track(truths, "true depth", len(truths)):
            yield truth.name, truth.depth

    return write_sparse_maps(file, maps(), {"ground_truth": truths.description, **provenance()})
