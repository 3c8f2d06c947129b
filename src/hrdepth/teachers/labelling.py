"""Label images with a teacher; several processes or machines may share the work in one folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hrdepth.data.map_cache import MapCache
from hrdepth.errors import InputError
from hrdepth.io.files import output_folder, resume, write_json
from hrdepth.io.images import read_image
from hrdepth.io.locks import claim
from hrdepth.io.parallel import parallel_map
from hrdepth.io.provenance import provenance
from hrdepth.teachers.base import Meaning, Teacher
from hrdepth.teachers.labels import Confidence, Labels

__all__ = ["agreement", "batches", "create_labels", "label_images", "labels_folder"]

log = logging.getLogger(__name__)

BATCH = 4
POLL = 2.0  # seconds between looks at what other processes do
ZOOM = 1.25
TOLERANCE = 0.1  # of the teacher with itself: relative for metric maps, in mean deviations for affine ones
READERS, WRITERS = 2, 2

Batch = tuple[list[Path], list[Image.Image]]
Maps = list[tuple[Path, NDArray[np.float32], NDArray[np.float32] | None]]


def create_labels(folder: Path, teacher: Teacher, size: tuple[int, int]) -> Labels:
    """Return the labels in a folder, which is made if it is missing.

    Raises:
        InputError: it holds labels of another teacher or size, or something else.
    """
    settings = {
        "teacher": teacher.facts(),
        "size": list(size),
        "metres_per_unit": teacher.metres_per_unit,
    }
    if (folder / Labels.ABOUT).is_file():
        resume(folder / Labels.ABOUT, settings)
        return Labels.open(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no labels; choose another folder")
    output_folder(folder)
    write_json(folder / Labels.ABOUT, {**settings, **provenance()})
    return Labels.open(folder)


def label_images(
    teacher: Teacher, labels: Labels, images: Sequence[Path], *, confidence: bool = False, shared: bool = True
) -> int:
    """Write the labels of `images` that are missing, and wait for those that other processes write.

    Reading, predicting and writing overlap. An image is claimed by a file, so that several processes share the work;
    without `shared` these images are this process's alone.

    Returns:
        How many labels this process wrote.

    Raises:
        InputError: an image cannot be read, or the teacher gives NaN.
    """
    certain = Confidence(labels) if confidence else None
    if certain is not None:
        certain.folder.mkdir(exist_ok=True)
    made, total = 0, len(images)
    columns = (TextColumn("labels"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, disable=total < 16) as progress:
        task = progress.add_task("labels", total=total, rate="")
        start = time.monotonic()
        while missing := [image for image in images if not _is_labelled(image, labels, certain)]:
            progress.update(task, completed=total - len(missing))
            before = made
            claimed = (image for image in missing if not shared or _claim(image, labels, certain))
            read = parallel_map(_read, batches(claimed, labels, BATCH), READERS)
            labelled = (_label(teacher, labels, batch, confidence) for batch in read)
            for count in parallel_map(lambda maps: _write(labels, certain, maps), labelled, WRITERS):
                made += count
                rate = made / (time.monotonic() - start)
                progress.update(task, advance=count, rate=f"{rate:.1f} images/s")
            if made == before:
                time.sleep(POLL)
        progress.update(task, completed=total)
    log.info("%d new labels in %s", made, labels.folder)
    return made


def agreement(first: NDArray[np.float32], second: NDArray[np.float32], meaning: Meaning) -> NDArray[np.float32]:
    """Return how far two maps (h,w) of the same view agree, up to what their meaning leaves open: (h,w), 0 to 1."""
    if meaning == Meaning.AFFINE:
        slope, offset = np.polyfit(second.ravel(), first.ravel(), 1) if np.ptp(second) > 0 else (1.0, 0.0)
        spread = float(np.abs(first - np.median(first)).mean()) or 1.0
        difference = np.abs(slope * second + offset - first) / spread
    else:
        difference = np.log(np.maximum(first, 1e-6)) - np.log(np.maximum(second, 1e-6))
        difference = np.abs(difference - (np.median(difference) if meaning == Meaning.SCALE else 0.0))
    return np.asarray(np.exp(-np.square(difference / TOLERANCE)), np.float32)


def _is_labelled(image: Path, labels: Labels, certain: MapCache | None) -> bool:
    return labels.file(image).is_file() and (certain is None or certain.file(image).is_file())


def batches(images: Iterable[Path], maps: MapCache, count: int) -> Iterator[tuple[list[Path], tuple[int, int]]]:
    """Yield images whose maps have one size, at most `count` at once, and that size (height, width)."""
    waiting: dict[tuple[int, int], list[Path]] = {}
    for image in images:
        size = maps.size_of(image)
        batch = waiting.setdefault(size, [])
        batch.append(image)
        if len(batch) == count:
            yield waiting.pop(size), size
    yield from ((batch, size) for size, batch in waiting.items())


def _claim(image: Path, labels: Labels, certain: MapCache | None) -> bool:
    """Return whether this process is the one that labels an image."""
    file = _claim_file(labels, image)
    file.parent.mkdir(exist_ok=True)
    if not claim(file):
        return False
    if _is_labelled(image, labels, certain):  # by another process, since this one looked
        file.unlink(missing_ok=True)
        return False
    return True


def _claim_file(labels: Labels, image: Path) -> Path:
    return labels.folder / "claims" / labels.file(image).stem


def _read(batch: tuple[list[Path], tuple[int, int]]) -> Batch:
    return batch[0], [read_image(image) for image in batch[0]]


def _label(teacher: Teacher, labels: Labels, batch: Batch, confidence: bool) -> Maps:
    """Return the maps of a batch, and their confidence if it is wanted."""
    paths, images = batch
    size = labels.size_of(paths[0])
    groups: dict[tuple[int, int], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.size, []).append(index)
    found: dict[int, tuple[NDArray[np.float32], NDArray[np.float32] | None]] = {}
    for indices in groups.values():
        alike = [images[index] for index in indices]
        maps = teacher.maps(alike, size)
        certain = _certain(teacher, alike, maps) if confidence else [None] * len(alike)
        found |= {index: (map_, sure) for index, map_, sure in zip(indices, maps, certain, strict=True)}
    for index, path in enumerate(paths):
        if not np.isfinite(found[index][0]).all():
            raise InputError(f"the teacher {teacher.name} gives NaN for {path}: its weights are damaged")
    return [(path, *found[index]) for index, path in enumerate(paths)]


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


def _write(labels: Labels, certain: Confidence | None, maps: Maps) -> int:
    for image, map_, sure in maps:
        if labels.meaning == Meaning.AFFINE:  # float16 is finest there
            low, high = float(map_.min()), float(map_.max())
            map_ = (map_ - low) / max(high - low, 1e-12)
        if certain is not None and sure is not None:
            certain.write(image, sure)
        labels.write(image, map_)
        _claim_file(labels, image).unlink(missing_ok=True)
    return len(maps)


def labels_folder(data: str | Path, teacher: str) -> Path:
    """Return the folder of a data set's labels by a teacher: `DATA/labels-TEACHER`."""
    name = Path(teacher.rstrip("/")).name.removesuffix(".safetensors").removesuffix(".onnx")
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return Path(data) / f"labels-{plain[:80].lower() or 'teacher'}"
