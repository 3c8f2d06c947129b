"""Find everything that is wrong with the data of a run, before it begins and all at once."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.progress import track

from hrdepth.check.finding import Finding
from hrdepth.config import DatasetConfig, TrainConfig
from hrdepth.data import OpenData, open_data
from hrdepth.data.neighbours import Neighbours, and_more
from hrdepth.data.reader import SplitLine
from hrdepth.errors import InputError
from hrdepth.io.images import image_size, read_image
from hrdepth.io.parallel import parallel_map, usable_cores

__all__ = ["Report", "check_data", "scan_data"]

log = logging.getLogger(__name__)

# How far the ratio width / height may differ: from the camera's, since 1242x375 is often stored as 1024x320 (3.4 %);
# within a recording, where all images went the same way, by rounding alone.
CAMERA_TOLERANCE, RECORDING_TOLERANCE = 0.05, 0.02


@dataclass
class Report:
    """What a scan found.

    Attributes:
        errors: faults with which a run cannot start.
        warnings: faults with which it runs, but its numbers mean less.
        summary: a line a data set: recordings, frames, cameras, sizes, share of frames with a stereo partner.
        data: the opened data sets, `train` and `validation`.
    """

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    summary: list[str] = field(default_factory=list)
    data: dict[str, list[OpenData]] = field(default_factory=dict)

    def add(self, *sentences: str, kind: str = "missing") -> None:
        """Add errors, each once: training and validation often share a recording."""
        for sentence in sentences:
            if all(error.sentence != sentence for error in self.errors):
                self.errors.append(Finding(kind, sentence))


@dataclass
class _Set:
    """A data set under the scan: `images` maps each image to the first line that needs it."""

    name: str
    neighbours: Neighbours
    images: dict[Path, SplitLine] = field(default_factory=dict)
    sizes: dict[str, dict[Path, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))


def check_data(config: TrainConfig, depth_suffices: bool = False) -> dict[str, list[OpenData]]:
    """Open the data of a run, scan it as `config.scan` asks, and log the warnings; see `open_data`.

    Returns:
        The data sets of `train` and `validation`, without the targets that can teach nothing.

    Raises:
        InputError: something is wrong; up to 20 findings are named.
    """
    if config.scan == "off":
        open_all = partial(open_data, frames=config.objective.frames, depth_suffices=depth_suffices)
        return {"train": open_all(config.train), "validation": open_all(config.validation)}
    report = scan_data(config)
    for warning in report.warnings:
        log.warning("warning: %s", warning.sentence)
    if report.errors:
        raise InputError.several([error.sentence for error in report.errors])
    return {use: [part.selected(depth_suffices) for part in parts] for use, parts in report.data.items()}


def scan_data(config: TrainConfig) -> Report:
    """Look through all data sets of a run; decode every image where `config.scan` is `full`.

    Missing images and neighbours, unreadable images, images of another shape than the camera's or their
    recording's, wrong cameras, stereo pairs without a baseline and repeated lines are errors. Frames in both
    training and validation are a warning.
    """
    report = Report()
    if not (config.train and config.validation):
        report.add("no data set is given; name at least one under train and one under validation")
    parts: dict[str, list[_Set]] = {}
    for use, configs in (("train", config.train), ("validation", config.validation)):
        report.data[use] = [part for data in configs for part in _open(data, config, report)]
        parts[use] = [
            _Set(f"{use}: {part.config.dataset} at {part.config.root}", part.neighbours) for part in report.data[use]
        ]
    sets = [*parts["train"], *parts["validation"]]
    for part in sets:
        for fault in part.neighbours.faults():
            report.add(fault.sentence, kind=fault.kind)
        report.add(*_repeated(part.neighbours.reader.targets))
        for line in part.neighbours.reader.targets:
            for path in part.neighbours.existing(line):
                part.images.setdefault(path, line)
    _read_images(sets, report, decode=config.scan == "full")
    for part in sets:
        _add_other_shapes(part, report)
        report.summary.append(_summary(part))
    report.warnings += [Finding("missing", text) for text in _in_both(parts["train"], parts["validation"])]
    return report


def _open(data: DatasetConfig, config: TrainConfig, report: Report) -> Iterator[OpenData]:
    try:
        yield OpenData.of(data, config.objective.frames)
    except InputError as error:
        report.add(*(error.findings or (str(error),)))


def _repeated(targets: Sequence[SplitLine]) -> Iterator[str]:
    first: dict[tuple[str, int, str], SplitLine] = {}
    for line in targets:
        key = line.key
        if key in first:
            yield (
                f"{line.origin}: '{line.name}' is listed at {first[key].origin} already; leave one out, or give the "
                "data set a larger weight"
            )
        first.setdefault(key, line)


def _read_images(sets: Sequence[_Set], report: Report, *, decode: bool) -> None:
    """Read each image once, or its header, and note its size with every set that has it."""
    lines = {path: line for part in reversed(sets) for path, line in part.images.items()}

    def size(path: Path) -> tuple[int, int] | InputError:
        try:
            if not decode:
                return image_size(path)
            image = read_image(path)
            return image.height, image.width
        except InputError as error:
            return error

    # More threads than cores: they wait for the disk.
    sizes = parallel_map(size, lines, usable_cores() + 4)
    read = track(sizes, "looking through the images", len(lines), disable=len(lines) < 2000)
    found = dict(zip(lines, read, strict=True))
    report.add(*(f"{lines[p].origin}: {bad}; copy it again" for p, bad in found.items() if isinstance(bad, InputError)))
    for part in sets:
        for path, line in part.images.items():
            if not isinstance(known := found[path], InputError):
                part.sizes[line.folder][path] = known


def _add_other_shapes(part: _Set, report: Report) -> None:
    """Report recordings whose images cannot be those of their camera, or of one camera."""
    for folder, sizes in part.sizes.items():
        usual = Counter(sizes.values()).most_common(1)[0][0]
        others = [path for path, size in sizes.items() if _differ(size, usual, RECORDING_TOLERANCE)]
        if others:
            sentence = (
                f"{part.images[others[0]].origin}: {others[0]} is {_text(sizes[others[0]])} (width x height), most "
                f"images of '{folder}' are {_text(usual)}; bring all to one shape"
            )
            report.add(and_more(sentence, len(others) - 1, "image"))
        line = part.images[next(iter(sizes))]
        try:
            camera = part.neighbours.reader.camera(line)
        except InputError:  # reported already
            continue
        if _differ(camera.size, usual, CAMERA_TOLERANCE):
            report.add(
                f"{line.origin}: the images of '{folder}' are {_text(usual)} (width x height), the K of "
                f"{camera.source} holds for {_text(camera.size)}, another shape; give the K of the images as they are",
                kind="camera",
            )


def _differ(size: tuple[int, int], other: tuple[int, int], tolerance: float) -> bool:
    ratio = size[1] * other[0] / (size[0] * other[1])
    # A pixel more or less is rounding, however small the image.
    return max(ratio, 1 / ratio) > 1 + max(tolerance, 1 / min(*size, *other))


def _in_both(training: Sequence[_Set], validation: Sequence[_Set]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for part in training:
        for path, line in _targets(part):
            seen.setdefault(path, line.origin)
    both = {path: line for part in validation for path, line in _targets(part) if path in seen}
    if both:
        path, line = next(iter(both.items()))
        yield and_more(
            f"{line.origin}: {path} is a frame of training too ({seen[path]}), so that the validation loss rewards "
            "memory; remove it from one of the two", len(both) - 1, "frame",
        )  # fmt: skip


def _targets(part: _Set) -> Iterator[tuple[str, SplitLine]]:
    for line in part.neighbours.reader.targets:
        path = part.neighbours.reader.image(line, 0)
        if path is not None:
            yield os.path.abspath(path), line  # noqa: PTH100  (a link may be another recording's name on purpose)


def _summary(part: _Set) -> str:
    targets = part.neighbours.reader.targets
    cameras = set()
    for line in {(line.folder, line.side): line for line in targets}.values():
        try:
            camera = part.neighbours.reader.camera(line)
            cameras.add((camera.size, tuple(camera.intrinsics.ravel()), camera.baseline))
        except InputError:  # among the errors
            continue
    sizes = sorted({_text(size) for known in part.sizes.values() for size in known.values()})
    pairs = sum(part.neighbours.reader.image(line, "s") is not None for line in targets)
    return (
        f"{part.name}: {len(targets)} frames of {len({line.folder for line in targets})} recordings, {len(cameras)} "
        f"cameras, images {', '.join(sizes)}, stereo pairs for {100 * pairs / len(targets):.0f} %"
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
