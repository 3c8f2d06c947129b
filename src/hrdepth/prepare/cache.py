"""Make, complete and verify a cache of decoded images: `hrdepth prepare cache`."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.progress import track

from hrdepth.config import PrepareConfig, TrainConfig
from hrdepth.data import open_data
from hrdepth.data.cache import CachedImage, ImageCache, cached_size, checksum, needed_images, outline, read_array
from hrdepth.data.sample import resize_image
from hrdepth.errors import InputError
from hrdepth.io.files import file_sha256, output_folder, write_array, write_failure
from hrdepth.io.images import read_image
from hrdepth.io.parallel import parallel_map, usable_cores
from hrdepth.objectives import reads_depth

__all__ = ["fill_cache", "prepare", "verify_cache"]

log = logging.getLogger(__name__)

# Seconds between two writings of the manifest: the work that a crash can lose.
SAVE_EVERY = 30.0
HEADER = 128  # bytes before the pixels of an .npy file


def prepare(config: PrepareConfig) -> ImageCache:
    """Make, complete or verify the cache that `config` names.

    Raises:
        InputError: no folder or no training config is given, or as `fill_cache` and `verify_cache`.
    """
    folder = config.cache or (config.config.cache if config.config is not None else None)
    if folder is None:
        raise InputError("no folder for the cache is given: pass --cache FOLDER, or set cache in the training config")
    if config.threads is not None and config.threads < 1:
        raise InputError(f"threads {config.threads} must be at least 1")
    threads = config.threads or usable_cores()
    if config.verify:
        return verify_cache(folder, threads)
    if config.config is None:
        raise InputError("no images to cache are given: pass --config TRAIN.yaml")
    return fill_cache(folder, config.config, threads)


def fill_cache(folder: str, config: TrainConfig, threads: int) -> ImageCache:
    """Write every image of a training config, validation included, that the cache lacks or that has changed.

    It resumes when called again after an interruption.

    Raises:
        InputError: data that cannot be read, a cache of another size, a folder of other things, or a full disk.
    """
    open_all = partial(open_data, frames=config.objective.frames, depth_suffices=reads_depth(config.objective))
    data = [*open_all(config.train), *open_all(config.validation)]
    sets = [part.neighbours for part in data]
    images = needed_images(sets)
    cache = _open_or_create(folder, cached_size(config, sets))
    good = parallel_map(cache.up_to_date, images, threads)
    todo = [path for path, is_there in zip(images, good, strict=True) if not is_there]
    log.info("%d of %d images are in the cache %s already", len(images) - len(todo), len(images), folder)
    _check_space(cache, todo)
    saved = time.monotonic()
    try:
        for name, entry in track(parallel_map(partial(_write_image, cache), todo, threads), "caching", len(todo)):
            cache.entries[name] = entry
            if time.monotonic() - saved > SAVE_EVERY:
                cache.save()
                saved = time.monotonic()
    finally:
        cache.save()
    return cache


def verify_cache(folder: str, threads: int) -> ImageCache:
    """Compare every cached image and every source with its checksum.

    Bad entries are removed from the manifest, so that training reads their sources and `fill_cache` writes them again.

    Raises:
        InputError: some are bad; each is named.
    """
    cache = ImageCache.open(folder)
    names = sorted(cache.entries)
    faults = {}
    for name, fault in track(parallel_map(partial(_fault, cache), names, threads), "verifying", len(names)):
        if fault is not None:
            faults[name] = fault
            del cache.entries[name]
    if not faults:
        log.info("all %d images of the cache %s are good", len(names), folder)
        return cache
    cache.save()
    listed = "; ".join(f"{cache.source(name)} ({fault})" for name, fault in faults.items())
    raise InputError(
        f"{len(faults)} of {len(names)} images of the cache {folder} were bad and have been removed, "
        f"run hrdepth prepare again to write them again: {listed}"
    )


def _open_or_create(folder: str, size: tuple[int, int] | None) -> ImageCache:
    path = output_folder(folder, overwrite=True)
    if not any(path.iterdir()):
        cache = ImageCache(path, size)
        cache.save()
        return cache
    cache = ImageCache.open(path)
    if cache.size != size:
        has, wanted = ("the sources' own size" if s is None else f"{s[0]}x{s[1]}" for s in (cache.size, size))
        raise InputError(f"the cache {folder} holds images of {has}, needed are {wanted}; choose another folder")
    return cache


def _check_space(cache: ImageCache, todo: Sequence[Path]) -> None:
    shapes: dict[Path, tuple[int, int]] = {}
    needed = 0
    for path in todo:
        if cache.size is None and path.parent not in shapes:  # one image represents its folder
            image = read_image(path)
            shapes[path.parent] = (image.height, image.width)
        height, width = cache.size or shapes[path.parent]
        needed += 3 * height * width + HEADER
    free = shutil.disk_usage(cache.folder).free
    if needed > free:
        raise InputError(
            f"the cache needs {needed / 2**30:.1f} GiB, but {cache.folder} has {free / 2**30:.1f} GiB left; "
            "choose a folder on another disk"
        )


def _write_image(cache: ImageCache, source: Path) -> tuple[str, CachedImage]:
    name = cache.name(source)
    file = cache.file(name)
    # Read before the pixels: a source that changes meanwhile is then out of date, not wrong.
    before = outline(source) or ""
    image = read_image(source)
    sha256 = file_sha256(source)
    pixels = np.asarray(image if cache.size is None else resize_image(image, cache.size))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_array(file, pixels)
    except (OSError, InputError) as error:
        raise InputError(
            f"the cache {cache.folder} cannot be written: {write_failure(error)}; run it again to resume"
        ) from error
    return name, CachedImage(before, sha256, checksum(pixels))


def _fault(cache: ImageCache, name: str) -> tuple[str, str | None]:
    entry = cache.entries[name]
    try:
        good = checksum(read_array(cache.file(name))) == entry.sha256
    except InputError:
        good = False
    if not good:
        return name, "the cached image is damaged"
    source = cache.source(name)
    if not source.is_file():
        return name, "the source is gone"
    return name, None if file_sha256(source) == entry.source_sha256 else "the source has changed"
