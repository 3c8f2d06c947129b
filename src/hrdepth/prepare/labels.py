"""Label images with a teacher, once: `hrdepth prepare labels`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hrdepth.compute import choose_device
from hrdepth.config import DatasetConfig, PrepareLabelsConfig
from hrdepth.data import build_reader
from hrdepth.data.camera_file import find_cameras
from hrdepth.data.map_cache import MapCache
from hrdepth.errors import InputError
from hrdepth.teachers import open_teacher
from hrdepth.teachers.labelling import create_labels, label_images, labels_folder
from hrdepth.teachers.labels import Labels

__all__ = ["folder_of", "images_to_label", "prepare_labels"]


def prepare_labels(config: PrepareLabelsConfig) -> Labels:
    """Write a label for every image of a training set that has none yet; it resumes when called again.

    Raises:
        InputError: data or teacher cannot be read, or the folder holds labels of another teacher.
    """
    images, folder = images_to_label(config), folder_of(config)
    if config.verify:
        return _verify(Labels.open(folder), images)
    teacher = open_teacher(config.teacher, choose_device(config.device))
    labels = create_labels(folder, teacher, config.size)
    label_images(teacher, labels, images, confidence=config.confidence)
    return labels


def images_to_label(config: PrepareLabelsConfig) -> list[Path]:
    """Return the images that get labels, each once."""
    return list(dict.fromkeys(_images(config)))


def folder_of(config: PrepareLabelsConfig) -> Path:
    """Return the folder of the labels."""
    return Path(config.out) if config.out else labels_folder(config.data or ".", config.teacher)


def _images(config: PrepareLabelsConfig) -> Iterator[Path]:
    """Yield the images to label: of a folder, or the targets of a training config."""
    data = config.data or ""
    if config.config is not None:
        parts = [*config.config.train, *config.config.validation]
    elif find_cameras(Path(data)):
        splits = [file for name in ("train.txt", "val.txt") if (file := Path(data) / name).is_file()]
        parts = [DatasetConfig("folder", data, options={"every_frame": True})]
        parts += [DatasetConfig("folder", data, str(file)) for file in splits]  # right images too
    else:
        parts = [DatasetConfig("images", data)]
    for part in parts:
        reader = build_reader(part)
        yield from (path for line in reader.targets if (path := reader.image(line, 0)) is not None)


def _verify(labels: Labels, images: Sequence[Path]) -> Labels:
    """Read every label; damaged ones are removed, so that they are made again.

    Raises:
        InputError: some were damaged or are missing.
    """
    damaged = []
    caches: list[MapCache] = [labels] if labels.confidence is None else [labels, labels.confidence]
    for cache in caches:
        for image in images:
            try:
                cache.load(image)
            except InputError:
                cache.file(image).unlink()
                damaged.append(image)
    missing = [image for image in images if not labels.file(image).is_file()]
    if missing or damaged:
        raise InputError(
            f"{len(missing)} of {len(images)} images have no label in {labels.folder} ({len(damaged)} were damaged and "
            "are removed); call hrdepth prepare labels again"
        )
    return labels
