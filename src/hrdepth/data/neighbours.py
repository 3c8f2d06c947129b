"""Which images a sample sees beside its target: how far away in time, and only where the camera moved."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from hrdepth.camera import BaselineError, Camera
from hrdepth.data.reader import FrameReader, SplitLine, Subset
from hrdepth.errors import InputError
from hrdepth.io.images import small_grey
from hrdepth.io.parallel import parallel_map, usable_cores

__all__ = ["Fault", "Neighbours", "and_more", "motion", "select"]

log = logging.getLogger(__name__)

# Large enough that a step of 4 cm shows, small enough that noise and compression average out (docs/data.md).
MOTION_SIZE = (64, 208)
# Motion below which the camera stands still: KITTI and its noise were measured (docs/data.md).
MIN_MOTION = 0.012
# Keeps the draws of distances apart from those of the random changes, which are then the same without distances.
DISTANCE_STREAM = 1


class Fault(NamedTuple):
    """Something that samples need and lack; the sentence says what, where, and what to do."""

    kind: Literal["missing", "camera", "baseline"]
    sentence: str


class Neighbours:
    """The sources of each target of a split.

    A frame's neighbour at distance 1 may be any image of its recording: a split names the frames to learn from, and
    their direct neighbours belong to them, listed or not. Further away an image counts only if it is itself a target
    of this split, of the same recording and side; else a training frame near the end of its stretch would reach across
    the gap into frames that are held out for validation or test.

    Args:
        reader: the data set, with all targets of the split.
        frames: the sources, see `config.ObjectiveConfig`.
        distances: see `config.DatasetConfig`.
        missing: see `config.DatasetConfig`.
    """

    def __init__(
        self,
        reader: FrameReader,
        frames: Sequence[int | str],
        distances: Sequence[int] = (1,),
        missing: Literal["error", "skip"] = "error",
    ) -> None:
        self.reader = reader
        self.frames = tuple(frames)
        self.distances = sorted(set(distances))
        self.missing = missing
        further = self.distances[-1] > 1
        lines = reader.targets if reader.split is None else reader.split
        self._inside = {line.key for line in lines} if further else set()

    def target(self, line: SplitLine) -> Path:
        """Return the target's image.

        Raises:
            InputError: it is missing.
        """
        path = self.reader.image(line, 0)
        if path is None:
            raise InputError(_missing_image(line, "its image"))
        return path

    def sources(self, line: SplitLine, draw: tuple[int, int] | None = None) -> list[Path | None]:
        """Return the image of each source, None where there is none.

        A distance serves if every neighbour lies there; if not, the next smaller one is tried. The smallest serves in
        any case: what is missing there is an error or None, by `missing`.

        Args:
            line: the target.
            draw: (seed, item), which alone decide the distance; None takes the smallest.

        Raises:
            InputError: a neighbour is missing, and `missing` is `error`.
        """
        tried = self.distances[:1]
        if draw is not None and len(self.distances) > 1:
            drawn = np.random.default_rng((*draw, DISTANCE_STREAM)).integers(len(self.distances))
            tried = self.distances[drawn::-1]
        found: dict[int | str, Path | None] = {}
        for distance in tried:
            found = {frame: self._image(line, frame, distance) for frame in self.frames}
            lacking = [frame for frame, path in found.items() if frame != "s" and path is None]
            if not lacking:
                break
        else:
            if self.missing == "error":
                raise InputError(self._missing_neighbour(line, int(lacking[0])))
        return list(found.values())

    def subset(self, lines: Sequence[SplitLine]) -> Neighbours:
        """Return the same with fewer targets; further away all of the split still count."""
        chosen = copy(self)
        chosen.reader = Subset(self.reader, lines)
        return chosen

    def targets(self) -> Iterator[Path]:
        """Yield the images of the targets."""
        return map(self.target, self.reader.targets)

    def images(self) -> Iterator[Path]:
        """Yield every image of every sample; one may come several times."""
        for line in self.reader.targets:
            yield from self.existing(line)

    def cameras(self) -> dict[tuple[str, str], Camera]:
        """Return the camera of each recording and side."""
        lines = {(line.folder, line.side): line for line in self.reader.targets}
        return {key: self.reader.camera(line) for key, line in lines.items()}

    def existing(self, line: SplitLine) -> Iterator[Path]:
        """Yield the images that are there: the target's, and its sources' at the smallest distance."""
        paths = (self.reader.image(line, 0), *(self._image(line, f, self.distances[0]) for f in self.frames))
        return (path for path in paths if path is not None)

    def all_images(self, line: SplitLine) -> dict[int | str, Path]:
        """Return every image that samples of a target may see, by its offset in frames, "s" or 0 for the target."""
        found: dict[int | str, Path | None] = {0: self.target(line)}
        for frame in self.frames:
            for distance in self.distances:
                found["s" if frame == "s" else int(frame) * distance] = self._image(line, frame, distance)
        return {offset: path for offset, path in found.items() if path is not None}

    def faults(self) -> list[Fault]:
        """Return everything that samples need and lack.

        What several lines lack, such as the one image between two targets, is reported once, at the first of them.
        """
        found: dict[Hashable, list[Fault]] = defaultdict(list)
        cameras: dict[tuple[str, str], Camera | None] = {}
        for line in self.reader.targets:
            for cause, fault in (*self._missing_images(line), *self._wrong_camera(line, cameras)):
                found[cause].append(fault)
        return [Fault(first.kind, and_more(first.sentence, len(others), "line")) for first, *others in found.values()]

    def _image(self, line: SplitLine, frame: int | str, distance: int) -> Path | None:
        if frame == "s":
            return self.reader.image(line, "s")
        offset = int(frame) * distance
        if distance > 1 and (line.folder, line.frame + offset, line.side) not in self._inside:
            return None
        return self.reader.image(line, offset)

    def _missing_images(self, line: SplitLine) -> Iterator[tuple[Hashable, Fault]]:
        if self.reader.image(line, 0) is None:
            yield line.key, Fault("missing", _missing_image(line, "its image"))
        distance = self.distances[0]
        for frame in self.frames if self.missing == "error" else ():
            if frame != "s" and self._image(line, frame, distance) is None:
                image = (line.folder, line.frame + int(frame) * distance, line.side)
                # Beyond distance 1 it is the split that lacks frames, not the recording: one fault for all lines.
                cause = image if distance == 1 else "split"
                yield cause, Fault("missing", self._missing_neighbour(line, int(frame)))

    def _missing_neighbour(self, line: SplitLine, frame: int) -> str:
        distance = self.distances[0]
        if distance == 1:
            return _missing_image(line, f"its neighbour at {frame:+d}")
        return (
            f"{line.origin}: the split holds no neighbour of frame {line.frame} of '{line.folder}' at "
            f"{frame * distance:+d}; add 1 to distances or set missing: skip"
        )

    def _wrong_camera(
        self, line: SplitLine, cameras: dict[tuple[str, str], Camera | None]
    ) -> Iterator[tuple[Hashable, Fault]]:
        recording = (line.folder, line.side)
        if recording not in cameras:
            cameras[recording] = None
            try:
                cameras[recording] = self.reader.camera(line)
            except InputError as error:
                kind: Literal["camera", "baseline"] = "baseline" if isinstance(error, BaselineError) else "camera"
                yield str(error), Fault(kind, str(error))
        camera = cameras[recording]
        stereo_pair = "s" in self.frames and self.reader.image(line, "s") is not None
        if stereo_pair and camera is not None and camera.baseline is None:
            sentence = (
                f"{line.origin}: '{line.folder}' has stereo pairs, but {camera.source} gives no baseline; "
                "give it in metres, or set the data set's option baseline"
            )
            yield (line.folder, "baseline"), Fault("baseline", sentence)
        if self.frames == ("s",) and not stereo_pair and self.missing == "error":
            sentence = (
                f"{line.origin}: frame {line.frame} of '{line.folder}' has no stereo pair, the only source of "
                "frames [s]; remove the line or add neighbours to frames"
            )
            yield (line.folder, line.frame, "stereo"), Fault("missing", sentence)


def select(neighbours: Neighbours, min_motion: float | None, name: str, depth_suffices: bool = False) -> Neighbours:
    """Leave out the targets that can teach nothing: without any source, or with one from which nothing moved.

    One still neighbour is enough: it explains every pixel as it is, so that the auto-mask leaves none.

    Args:
        neighbours: of all targets.
        min_motion: see `config.DatasetConfig`.
        name: of the data set, for messages.
        depth_suffices: keep targets without any source that have true depth.

    Raises:
        InputError: none is left, or an image cannot be read.
    """
    targets = left = list(neighbours.reader.targets)
    if neighbours.missing == "skip" and neighbours.frames:
        has_depth = neighbours.reader.has_depth_of
        left = [line for line in targets if any(neighbours.sources(line)) or (depth_suffices and has_depth(line))]
    alone = len(targets) - len(left)
    if min_motion is not None and any(frame != "s" for frame in neighbours.frames):
        moved = _motions(neighbours, left)
        left = [line for line, amount in zip(left, moved, strict=True) if not amount < min_motion]
    still = len(targets) - alone - len(left)
    if not left:
        raise InputError(
            f"{name}: none of {len(targets)} frames is left, {alone} have no source, {still} differ from a neighbour "
            f"by less than min_motion{'' if min_motion is None else f' {min_motion:g}'}"
        )
    if alone or still:
        log.info("%s: %d of %d frames left out: %d without a source, %d still", name, alone + still, len(targets),
                 alone, still)  # fmt: skip
    return neighbours if len(left) == len(targets) else neighbours.subset(left)


def motion(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return how far two grey images (H,W) differ: the mean absolute difference, as a share of the brightness range.

    Both are brought to one mean first: a camera that stands still may still change its exposure.

    Example:
        >>> dark = np.array([[50, 100], [60, 10]], np.uint8)
        >>> motion(dark, 2 * dark), round(motion(dark, dark[::-1]), 3)
        (0.0, 0.196)
    """
    gain = max(float(first.mean()), 1.0) / max(float(second.mean()), 1.0)
    return float(np.abs(first.astype(np.float32) - gain * second.astype(np.float32)).mean()) / 255


def and_more(sentence: str, count: int, what: str) -> str:
    """Append that `count` more of `what` are concerned."""
    return f"{sentence} (and {count} more {what}{'s' if count > 1 else ''})" if count else sentence


def _motions(neighbours: Neighbours, lines: Sequence[SplitLine]) -> list[float]:
    """Return the motion of each target to its stillest neighbour at the smallest distance, NaN where there is none.

    Recordings are looked at one by one, so that the small images of one alone are in memory.
    """
    recordings: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        recordings[line.folder, line.side].append(index)
    motions = [np.nan] * len(lines)
    few = len(lines) < 2000
    for indices in track(recordings.values(), description="looking for still frames", disable=few):
        near = {}
        for index in indices:
            sources = zip(neighbours.frames, neighbours.sources(lines[index]), strict=True)
            near[index] = [path for frame, path in sources if frame != "s" and path is not None]
        targets = {index: neighbours.target(lines[index]) for index in indices}
        paths = list({*targets.values(), *(path for found in near.values() for path in found)})
        small = parallel_map(partial(small_grey, size=MOTION_SIZE), paths, usable_cores() + 4)  # they wait for the disk
        grey = dict(zip(paths, small, strict=True))
        for index, found in near.items():
            amounts = (motion(grey[targets[index]], grey[path]) for path in found)
            motions[index] = min(amounts, default=np.nan)
    return motions


def _missing_image(line: SplitLine, what: str) -> str:
    return (
        f"{line.origin}: frame {line.frame} of '{line.folder}' misses {what}; complete the recording or remove the line"
    )
