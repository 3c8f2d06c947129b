"""Decoded, resized images on disk: what training reads instead of the sources; changes nothing but speed.

    CACHE/manifest.json           format, size (null: as the source is), and for each image digests of its source and of
                                  the array; sources are named relative to CACHE
    CACHE/pictures/4f/4f0c...npy  uint8 (H,W,3), named by a digest of the source's name

One file an image: it can be replaced alone, images need not be alike, and reading takes a few hundred microseconds.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.config import TrainConfig
from hrdepth.data.neighbours import Neighbours
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.arrays import load_array
from hrdepth.io.files import read_json, write_json
from hrdepth.io.image_files import content_digest
from hrdepth.io.images import read_image
from hrdepth.io.parallel import parallel_map, usable_cores
from hrdepth.io.provenance import provenance

__all__ = ["CachedImage", "ImageCache", "cached_size", "needed_images", "open_cache"]

log = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True)
class CachedImage:
    """An image in the manifest.

    Attributes:
        outline: `content_digest` of the source, hexadecimal; "" as earlier versions wrote it: not known.
        source_sha256: of the whole source; `hrdepth prepare --verify` compares it.
        sha256: of the cached array's bytes.
    """

    outline: str
    source_sha256: str
    sha256: str


class ImageCache:
    """A folder of cached images and its manifest.

    Attributes:
        folder: where it lies.
        size: (height, width) of all its images, or None: each as its source is.
        entries: by the name of the source, relative to the folder.
    """

    def __init__(
        self, folder: Path, size: tuple[int, int] | None, entries: dict[str, CachedImage] | None = None
    ) -> None:
        self.folder = folder
        self.size = size
        self.entries = {} if entries is None else entries
        self._base = os.path.realpath(folder)  # names hold by whatever link the folder is reached
        self._matched: dict[str, str] = {}

    @classmethod
    def open(cls, folder: str | Path) -> ImageCache:
        """Read the manifest.

        Raises:
            InputError: there is none, or it is damaged or of another format.
        """
        file = Path(folder) / "manifest.json"
        if not file.is_file():
            raise InputError(
                f"{folder} holds no cache (no manifest.json); make one in a new folder with hrdepth prepare"
            )
        try:
            content = read_json(file)
            if content["format"] != FORMAT:
                raise InputError(f"the cache {folder} has format {content['format']}, not {FORMAT}; prepare it again")
            size = None if content["size"] is None else (int(content["size"][0]), int(content["size"][1]))
            entries = {
                name: CachedImage(
                    str(entry.get("outline", "")), str(entry.get("source_sha256", "")), str(entry["sha256"])
                )
                for name, entry in content["pictures"].items()
            }
        except InputError:
            raise
        except (*MALFORMED, OSError) as error:
            raise InputError(f"{file} is damaged; delete the folder {folder} and prepare it again") from error
        return cls(Path(folder), size, entries)

    def save(self) -> None:
        """Write the manifest."""
        images = {name: asdict(entry) for name, entry in sorted(self.entries.items())}
        write_json(
            self.folder / "manifest.json",
            {"format": FORMAT, "size": self.size, "pictures": images, "provenance": provenance()},
        )

    def name(self, source: Path) -> str:
        """Return what the manifest calls `source`."""
        return Path(os.path.relpath(source, self._base)).as_posix()

    def source(self, name: str) -> Path:
        """Return where the source lies that the manifest calls `name`."""
        return Path(os.path.normpath(Path(self._base) / name))

    def file(self, name: str) -> Path:
        """Return where the cached image of that name lies, or would."""
        digest = hashlib.sha256(name.encode()).hexdigest()[:24]
        return self.folder / "pictures" / digest[:2] / f"{digest}.npy"

    def up_to_date(self, source: Path) -> bool:
        """Return whether the cache has `source` as it now is; the cached array itself is not looked at."""
        name = self.name(source)
        entry = self.entries.get(name)
        return entry is not None and self.file(name).is_file() and entry.outline == outline(source)

    def match(self, sources: Iterable[Path]) -> int:
        """Let `read` use the cache for the `sources` that have not changed since; return how many it lacks."""
        sources = list(sources)
        good = parallel_map(self.up_to_date, sources, usable_cores() + 4)
        there = [source for source, is_there in zip(sources, good, strict=True) if is_there]
        self._matched |= {str(source): str(self.file(self.name(source))) for source in there}
        return len(sources) - len(there)

    def read(self, path: Path) -> Image.Image:
        """Read a matched image from the cache, any other from its source.

        Raises:
            InputError: the cached file or the source is damaged.
        """
        file = self._matched.get(str(path))
        return read_image(path) if file is None else Image.fromarray(read_array(Path(file)))


def open_cache(folder: str, config: TrainConfig, sets: Iterable[Neighbours]) -> ImageCache:
    """Open the cache of a run's images; what it lacks is read from the source, and these are counted in one warning.

    Args:
        folder: where it lies.
        config: of the run.
        sets: all data sets of the run.

    Raises:
        InputError: there is no cache, or it holds images of a size that cannot serve.
    """
    cache = ImageCache.open(folder)
    sets = list(sets)
    wanted = cached_size(config, sets)
    if cache.size not in (None, wanted):
        made = "x".join(map(str, cache.size))
        run = "zooms or crops, which needs the images' own size" if wanted is None else "wants {}x{}".format(*wanted)
        raise InputError(
            f"the cache {folder} holds images of {made} (height x width), the run {run}; prepare another folder"
        )
    images = needed_images(sets)
    missing = cache.match(images)
    if missing:
        log.warning(
            "%d of %d images are not in the cache %s or have changed since; run hrdepth prepare again, "
            "until then they are read from their sources", missing, len(images), folder,
        )  # fmt: skip
    return cache


def cached_size(config: TrainConfig, sets: Iterable[Neighbours] = ()) -> tuple[int, int] | None:
    """Return the size (height, width) at which a run's images can be cached; None: only as the sources are.

    A zoom cuts its part out of the source before it is resized, and so does a crop of the car's hood.
    """
    height, width = config.size
    cropped = any(camera.keep < 1 for part in sets for camera in part.cameras().values())
    return None if config.augment.zoom > 1 or config.augment.crop or config.sizes or cropped else (height, width)


def needed_images(sets: Iterable[Neighbours]) -> list[Path]:
    """Return every image of these data sets, once, in order of their paths."""
    return sorted({path for part in sets for path in part.images()})


def checksum(pixels: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of shape and values."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def read_array(file: Path) -> NDArray[np.uint8]:
    """Read one cached array.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        pixels: NDArray[np.uint8] = load_array(file)
        if pixels.dtype != np.uint8 or pixels.ndim != 3:
            raise ValueError
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"the cached image {file} is damaged; run hrdepth prepare with --verify, then without, to write it again"
        ) from error
    return pixels


def outline(source: Path) -> str | None:
    """Return the `content_digest` of a file, hexadecimal, None if it cannot be read."""
    try:
        return content_digest(source).hex()
    except OSError:
        return None
