"""Label images with a teacher; several processes or machines may share the work in one folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import TextColumn

from hrdepth.data.map_cache import MapCache
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import begin, read_json, resume
from hrdepth.io.images import read_image
from hrdepth.io.locks import claim, refreshed, remove_void_claims
from hrdepth.io.parallel import parallel_map
from hrdepth.io.progress import progress_bar
from hrdepth.io.provenance import provenance
from hrdepth.teachers.base import Meaning, Teacher
from hrdepth.teachers.labels import Confidence, Labels

__all__ = ["agreement", "create_labels", "fill_maps", "label_images", "labels_folder"]

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between looks at what other processes do
TOLD = 60.0  # seconds between lines in the log, where no bar can be shown
ZOOM = 1.25
TOLERANCE = 0.1  # of the teacher with itself: relative for metric maps, in mean deviations for affine ones
READERS, WRITERS = 2, 2

Label = tuple[NDArray[np.float32], NDArray[np.float32] | None]  # a map, and its confidence
Read = TypeVar("Read")
Map = TypeVar("Map")


def create_labels(folder: Path, teacher: Teacher, size: tuple[int, int]) -> Labels:
    """Return the labels in a folder, which is made if it is missing.

    The teacher's name and licence change no map: they stay those of the first call.

    Raises:
        InputError: it holds labels of another teacher or size, or something else.
    """
    facts = teacher.facts()
    settings = {"teacher": facts, "size": list(size), "metres_per_unit": teacher.metres_per_unit}
    refusal = f"{folder} is not empty and holds no labels; choose another folder"
    if not begin(folder / Labels.ABOUT, {**settings, **provenance()}, refusal):
        with suppress(*MALFORMED, OSError):  # which `resume` reports
            before = read_json(folder / Labels.ABOUT)["teacher"]
            facts |= {name: before[name] for name in ("name", "licence")}
            if teacher.has_digest(before["digest"]):
                facts["digest"] = before["digest"]
        resume(folder / Labels.ABOUT, settings, overwrite=None)
    return Labels.open(folder)


def label_images(
    teacher: Teacher, labels: Labels, images: Sequence[Path], *, confidence: bool = False, shared: bool = True
) -> int:
    """Write the labels of `images` that are missing, and wait for those that other processes write.

    Without `shared` these images are this process's alone.

    Returns:
        How many labels this process wrote.

    Raises:
        InputError: an image cannot be read, or the teacher gives NaN.
    """
    certain = Confidence(labels) if confidence else None
    if certain is not None:
        certain.folder.mkdir(exist_ok=True)

    def compute(paths: Sequence[Path], images: Sequence[Image.Image]) -> list[Label]:
        return _label(teacher, paths, images, labels.size_of(paths[0]), confidence)

    def write(image: Path, label: Label) -> None:
        map_, sure = label
        if labels.meaning == Meaning.AFFINE:  # float16 is finest there
            low, high = float(np.nanmin(map_)), float(np.nanmax(map_))
            map_ = (map_ - low) / max(high - low, 1e-12)
        elif labels.meaning == Meaning.SCALE:  # its factor means nothing, and float16 has no large numbers
            positive = map_[np.isfinite(map_) & (map_ > 0)]
            map_ = map_ / (np.median(positive) if positive.size else 1.0)
        if certain is not None and sure is not None:
            certain.write(image, sure)
        labels.write(image, map_)

    def is_done(image: Path) -> bool:
        return labels.is_labelled(image, confidence)

    made = fill_maps(labels, images, read_image, compute, write, is_done=is_done, shared=shared)
    log.info("%d new labels in %s", made, labels.folder)
    return made


def fill_maps(
    cache: MapCache,
    images: Iterable[Path],
    read: Callable[[Path], Read],
    compute: Callable[[Sequence[Path], Sequence[Read]], Sequence[Map]],
    write: Callable[[Path, Map], None],
    *,
    is_done: Callable[[Path], bool] | None = None,
    batch: int = 4,
    shared: bool = True,
) -> int:
    """Write the maps of `images` that a cache lacks, and wait for those that other processes write.

    Reading, computing and writing overlap. An image is claimed, so that several processes and machines share the work;
    what a killed one has claimed is made by the others.

    Args:
        cache: to fill.
        images: that should have maps.
        read: reads an image; several at a time.
        compute: returns the maps of up to `batch` images whose maps have one size.
        write: writes a map; several at a time.
        is_done: whether an image needs nothing; by default its map's file is there.
        batch: how many images at a time.
        shared: whether images are claimed; without it they are this process's alone.

    Returns:
        How many maps this process wrote.
    """
    claims = cache.folder / "claims"
    remove_void_claims(claims)
    done = is_done or (lambda image: cache.file(image).is_file())
    missing = [image for image in dict.fromkeys(images) if not done(image)]
    if not missing:
        return 0
    log.info("%d images have no map in %s", len(missing), cache.folder)
    mine: set[Path] = set()

    def claim_of(image: Path) -> Path:
        return claims / cache.file(image).stem

    def release(image: Path) -> None:
        if image in mine:
            claim_of(image).unlink(missing_ok=True)
            mine.discard(image)

    with _Progress(len(missing)) as progress, refreshed(mine):
        if shared:
            claims.mkdir(exist_ok=True)

        def is_mine(image: Path) -> bool:
            if shared:
                if not claim(claim_of(image)):
                    return False
                mine.add(image)
            if done(image):  # by another process, since this one looked
                release(image)
                return False
            return True

        def load(part: list[Path]) -> tuple[list[Path], list[Read]]:
            return part, [read(image) for image in part]

        def store(part: tuple[list[Path], Sequence[Map]]) -> int:
            for image, map_ in zip(*part, strict=True):
                write(image, map_)
                release(image)
            return len(part[0])

        try:
            while missing:
                before = progress.made
                parts = _batches(filter(is_mine, missing), cache, batch)
                computed = ((part, compute(part, values)) for part, values in parallel_map(load, parts, READERS))
                for count in parallel_map(store, computed, WRITERS):
                    progress.add(count)
                missing = [image for image in missing if not done(image)]
                progress.left(len(missing))
                if missing and progress.made == before:
                    time.sleep(POLL)
        finally:  # after an error or Ctrl-C
            for image in list(mine):
                release(image)
        return progress.made


class _Progress:
    """Shows how many maps there are, how fast they come and what time is left; in the log without a terminal."""

    def __init__(self, total: int) -> None:
        self.made, self.total, self._there = 0, total, 0
        self._bar = progress_bar(TextColumn("{task.fields[rate]}"), shown=total >= 16)
        self._in_log = not self._bar.console.is_terminal
        self._start = self._told = time.monotonic()

    def __enter__(self) -> _Progress:
        self._bar.start()
        self._task = self._bar.add_task("labels", total=self.total, rate="")
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def add(self, count: int) -> None:
        """Count maps that this process wrote."""
        self.made, self._there = self.made + count, self._there + count
        now = time.monotonic()
        rate = self.made / max(now - self._start, 1e-6)
        self._bar.update(self._task, completed=self._there, rate=f"{rate:.1f} images/s")
        if self._in_log and now - self._told > TOLD:
            self._told = now
            minutes = (self.total - self._there) / rate / 60
            log.info("%d of %d labels, %.1f images/s, %.0f minutes left", self._there, self.total, rate, minutes)

    def left(self, count: int) -> None:
        """Note how many are still missing: other processes wrote the others."""
        self._there = self.total - count
        self._bar.update(self._task, completed=self._there)


def agreement(first: NDArray[np.float32], second: NDArray[np.float32], meaning: Meaning) -> NDArray[np.float32]:
    """Return how far two maps (h,w) of the same view agree, up to what their meaning leaves open: (h,w), 0 to 1.

    0 where one of them says nothing: is not finite.
    """
    known = np.isfinite(first) & np.isfinite(second)
    agreed = np.zeros(first.shape, np.float32)
    if not known.any():
        return agreed
    first, second = first[known], second[known]
    if meaning == Meaning.AFFINE:
        slope, offset = np.polyfit(second, first, 1) if np.ptp(second) > 0 else (1.0, 0.0)
        spread = float(np.abs(first - np.median(first)).mean()) or 1.0
        difference = np.abs(slope * second + offset - first) / spread
    else:
        difference = np.log(np.maximum(first, 1e-6)) - np.log(np.maximum(second, 1e-6))
        difference = np.abs(difference - (np.median(difference) if meaning == Meaning.SCALE else 0.0))
    agreed[known] = np.exp(-np.square(difference / TOLERANCE))
    return agreed


def _batches(images: Iterable[Path], cache: MapCache, count: int) -> Iterator[list[Path]]:
    """Yield batches of images whose maps have one size."""
    waiting: dict[tuple[int, int], list[Path]] = {}
    for image in images:
        size = cache.size_of(image)
        part = waiting.setdefault(size, [])
        part.append(image)
        if len(part) == count:
            yield waiting.pop(size)
    yield from waiting.values()


def _label(
    teacher: Teacher, paths: Sequence[Path], images: Sequence[Image.Image], size: tuple[int, int], confidence: bool
) -> list[Label]:
    """Return the maps of a batch, and their confidence if it is wanted."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.size, []).append(index)
    found: dict[int, Label] = {}
    for indices in groups.values():
        alike = [images[index] for index in indices]
        maps = teacher.maps(alike, size)
        certain = _certain(teacher, alike, maps) if confidence else [None] * len(alike)
        found |= {index: (map_, sure) for index, map_, sure in zip(indices, maps, certain, strict=True)}
    for index, path in enumerate(paths):
        if not np.isfinite(found[index][0]).any():
            raise InputError(f"the teacher {teacher.name} gives NaN for {path}: its weights are damaged")
    return [found[index] for index in range(len(paths))]


def _certain(teacher: Teacher, images: Sequence[Image.Image], maps: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return how far a teacher agrees with itself about the mirrored and the zoomed images."""
    height, width = maps.shape[1:]
    mirrored = teacher.maps([ImageOps.mirror(image) for image in images], (height, width))[:, :, ::-1]
    result = []
    inner = (round(height / ZOOM), round(width / ZOOM))
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    boxes = [(left / width * i.width, top / height * i.height, (left + inner[1]) / width * i.width,
              (top + inner[0]) / height * i.height) for i in images]  # fmt: skip
    parts = [i.resize(i.size, Image.Resampling.BICUBIC, box) for i, box in zip(images, boxes, strict=True)]
    zoomed = teacher.maps(parts, inner)
    for map_, other, near in zip(maps, mirrored, zoomed, strict=True):
        sure = agreement(map_, other, teacher.meaning)
        part = (slice(top, top + inner[0]), slice(left, left + inner[1]))
        # What a zoom shows larger may be understood as nearer: the factor is left open.
        meaning = Meaning.AFFINE if teacher.meaning == Meaning.AFFINE else Meaning.SCALE
        sure[part] *= agreement(map_[part], near, meaning)
        result.append(sure)
    return result


def labels_folder(data: str | Path, teacher: str) -> Path:
    """Return the folder of a data set's labels by a teacher: `DATA/labels-TEACHER`."""
    name = Path(teacher.rstrip("/")).name.removesuffix(".safetensors").removesuffix(".onnx")
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return Path(data) / f"labels-{plain[:80].lower() or 'teacher'}"
