"""Published data sets, from their archives to training: `hrdepth prepare kitti|kitti-odometry|cityscapes`.

`layout` is the interface of a data set on disk, `kitti`, `kitti_odometry` and `cityscapes` implement it, `jpeg` decodes
all images and writes JPEGs. The steps are here, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from hrdepth.config import GroundTruthConfig, PrepareConfig, PrepareKittiConfig, PublishedDataConfig
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.files import output_file, output_folder, write_text
from hrdepth.io.provenance import provenance
from hrdepth.prepare.published.cityscapes import CityscapesLayout
from hrdepth.prepare.published.jpeg import convert_to_jpeg, damaged_images
from hrdepth.prepare.published.kitti import GROUND_TRUTH, KittiRawLayout
from hrdepth.prepare.published.kitti_odometry import KittiOdometryLayout
from hrdepth.prepare.published.layout import Layout, Splits
from hrdepth.truth import build_ground_truth
from hrdepth.truth.sparse_maps import SparseMaps, read_depth_maps, write_sparse_maps

__all__ = ["LAYOUTS", "prepare_published"]

LAYOUTS: dict[str, Callable[[Any], Layout]] = {
    "kitti": KittiRawLayout,
    "kitti-odometry": KittiOdometryLayout,
    "cityscapes": CityscapesLayout,
}


def prepare_published(name: str, config: PublishedDataConfig) -> Iterator[str]:
    """Report existing and missing archives, then do the requested steps; yield a line per finding or step.

    Args:
        name: a key of `LAYOUTS`.
        config: of that data set.

    Raises:
        InputError: something is missing and no step is requested; files are damaged; a step cannot be done.
    """
    layout = LAYOUTS[name](config)
    ground_truth = isinstance(config, PrepareKittiConfig) and config.ground_truth
    report_only = not any([config.verify, config.splits, config.jpeg, config.cache, ground_truth])
    yield layout.found()
    missing, impossible = layout.missing(), layout.impossible()
    yield from (f"missing: {one}" for one in missing)
    yield from (f"impossible: {one}" for one in impossible)
    if missing and report_only:
        raise InputError(
            f"{len(missing)} archive{'s' * (len(missing) > 1)} missing or incomplete, listed above; unpack into "
            f"{config.root}, or prepare the existing files (--splits, --jpeg, --verify)"
        )
    if impossible and report_only:
        raise InputError("the lists name impossible frames, listed above; remove those lines")
    out = Path(config.out or config.root)
    if config.splits or config.jpeg or ground_truth:
        output_folder(out / "splits" if config.splits else out, overwrite=True)
    if config.verify:
        yield _verify(layout, config)
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
            overwrite=config.overwrite,
        )
        yield f"{written} JPEGs written to {out}" + (f", {deleted} PNGs deleted" if deleted else ", originals kept")
    if config.cache is not None:
        from hrdepth.prepare.cache import prepare as fill_cache  # it imports PyTorch

        cache = fill_cache(PrepareConfig(config.config, config.cache, threads=config.threads))
        yield f"{len(cache.entries)} images in the cache {cache.folder}"


def _verify(layout: Layout, config: PublishedDataConfig) -> str:
    images = list(layout.images())
    nothing = f"{config.root} contains none of the wanted images, so there is nothing to verify; unpack them there"
    faults = [*([] if images else [nothing]), *layout.faults(), *damaged_images(images, config.threads)]
    if faults:
        raise InputError.several(faults)
    return f"all {len(images)} images can be decoded, and the files beside them can be read"


def _write_splits(lists: Splits, folder: Path, *, overwrite: bool) -> Iterator[str]:
    """Write the lists that have frames; yield why the others have none."""
    for name, lines in lists.items():
        if isinstance(lines, str):
            yield f"no list {name}: {lines}"
            continue
        file = folder / f"{name}.txt"
        text = "".join(f"{line.name}\n" for line in lines)
        if not file.is_file() or file.read_bytes() != text.encode():
            write_text(output_file(file, overwrite=overwrite), text)
        yield f"{len(lines)} frames: {file}"
    if all(isinstance(lines, str) for lines in lists.values()):
        raise InputError(f"no list can be written to {folder}, for the reasons above; unpack what is missing")


def _export_depth(config: PrepareKittiConfig, out: Path) -> Path:
    """Write the laser's depth of the test list once; see `truth.sparse_maps`."""
    file = out / GROUND_TRUTH
    data = GroundTruthConfig("kitti_lidar", config.root, config.test, lidar_depth=config.lidar_depth)
    truths = build_ground_truth(data)
    if file.is_file() and not config.overwrite:
        existing = read_depth_maps(file)
        frames = [line.name for line in read_split(config.test)]
        if isinstance(existing, SparseMaps) and (existing.names, existing.about.get("ground_truth")) == (
            frames,
            truths.description,
        ):
            return file
    output_file(file, overwrite=config.overwrite)

    def maps() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for truth in track(truths, "true depth", len(truths)):
            yield truth.name, truth.depth

    return write_sparse_maps(file, maps(), {"ground_truth": truths.description, **provenance()})
