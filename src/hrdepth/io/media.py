"""Read an image, a folder of images, a video or a live stream as uint8 arrays in RGB."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.camera import check_focal_lengths
from hrdepth.errors import InputError
from hrdepth.io.image_files import IMAGE_SUFFIXES, distinct_names, list_images, result_name
from hrdepth.io.images import DAMAGE, image_size, open_image, read_image
from hrdepth.io.live import check_camera, is_live, live_name, read_live
from hrdepth.io.provenance import hide_password
from hrdepth.io.video import VideoFrame, open_video, read_video

__all__ = ["Frame", "Gaps", "MediaInfo", "frames", "named_images", "probe", "shown_intrinsics"]

log = logging.getLogger(__name__)

# Steps between frames: how many are remembered, how many are needed to judge whether they are equal, by which share
# equal ones may differ, and which share of them must be equal.
REMEMBERED, FEWEST, REGULAR, REGULAR_SHARE = 64, 8, 0.25, 0.9


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of an image, a folder or a video: `image` is uint8 (H,W,3), `index` counts from 0.

    `name` is as `distinct_names` says, for a video the file's name and the number of the frame. `seconds` is when a
    video shows it, None if unknown; `pixel_aspect` the width / height of its pixels. `missing` frames between the one
    before and this one could not be read, or are not there, see `Gaps`; before the first one at least so many.
    """

    name: str
    image: NDArray[np.uint8]
    index: int
    seconds: float | None = None
    pixel_aspect: float = 1.0
    missing: int = 0


class Gaps:
    """Counts the frames that are missing between two that follow each other, by their times or numbers.

    Beside damage, a step is a gap only if nearly all steps before it were equal: a variable frame rate has no gaps.

    Args:
        step: from frame to frame, where it is known in advance.
        start: position of the first frame of all, where it is known in advance.

    Example:
        >>> gaps = Gaps()
        >>> [gaps.before(number) for number in [*range(0, 50, 5), 60, 65]]
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0]
    """

    def __init__(self, step: float | None = None, start: float | None = None) -> None:
        self._steps: deque[float] = deque(maxlen=REMEMBERED)
        self._typical, self._start = step, start
        self._last: float | None = None
        self._begun = False

    def before(self, position: float | None, *, damaged: bool = False) -> int:
        """Return how many frames are missing before the next one.

        Args:
            position: its time or number; None if that is unknown.
            damaged: whether something before it could not be read.
        """
        last, begun, self._last, self._begun = self._last, self._begun, position, True
        if not begun:
            if not damaged or position is None or self._start is None or not self._typical:
                return int(damaged)
            return max(1, round((position - self._start) / self._typical))
        if position is None or last is None or self._typical is None or self._typical <= 0:
            missing = int(damaged)
        else:
            missing = max(0, round((position - last) / self._typical) - 1)
            missing = missing if damaged or self._is_regular() else 0
        if position is not None and last is not None and not damaged:
            self._steps.append(position - last)
            self._typical = median(self._steps)
        return missing

    def _is_regular(self) -> bool:
        alike = [abs(step / (self._typical or step) - 1) < REGULAR for step in self._steps]
        # Two long steps are another frame rate.
        return len(alike) >= FEWEST and sum(alike) >= REGULAR_SHARE * len(alike) and alike[-1]


@dataclass(frozen=True)
class MediaInfo:
    """What a path contains: `count` images or None if unknown; of a video `fps`, frames a second, and `start`, seconds.

    A live source is a video without end: `live` is its address, `path` only the name of its files. `files` are images
    that were named one by one, in their order, a folder that need not hold others' images.
    """

    path: Path
    kind: Literal["image", "folder", "video"]
    count: int | None
    fps: float | None
    live: str | None = None
    start: float | None = None
    files: tuple[Path, ...] = ()


def probe(path: str | Path | Sequence[str], *, live: bool = False) -> MediaInfo:
    """Find out what `path` is, by its content first and its suffix second, without decoding it.

    Args:
        path: an image, a folder of images, a video, or the address of a camera or stream, see `live.is_live`; or
            several images.
        live: the caller can use a video without end.

    Raises:
        InputError: it does not exist, is neither image nor video, or a folder without images; or live. Of several,
            one is no image, or two have one name.
    """
    if not isinstance(path, str | Path):
        return _probe_images(path)
    if is_live(path):
        if not live:
            raise InputError(f"{hide_password(str(path))} is live, which only hrdepth predict reads; record a video")
        check_camera(str(path))
        return MediaInfo(Path(live_name(str(path))), "video", None, None, str(path))
    path = Path(path)
    if path.is_dir():
        return MediaInfo(path, "folder", len(list_images(path, announce=True)), None)
    if not path.exists():
        raise InputError(f"{path} does not exist; give an image, a folder of images or a video")
    if not path.is_file():  # a pipe would be waited for, and cannot be read twice
        raise InputError(f"{path} is no file; give an image, a folder of images or a video")
    if _is_image(path):
        return MediaInfo(path, "image", 1, None)
    with open_video(path) as (_, stream):
        rate = stream.average_rate or stream.guessed_rate
        start = None if stream.start_time is None else float(stream.start_time * stream.time_base)
        return MediaInfo(path, "video", stream.frames or None, float(rate) if rate else None, start=start)


def _probe_images(paths: Sequence[str]) -> MediaInfo:
    """Describe several images as a folder, called as that of the first."""
    for path in paths:
        if not path:
            raise InputError("the name of an input is empty")
        if (kind := probe(path, live=True).kind) != "image":
            raise InputError(f"{path} is a {kind}; of several inputs each must be an image, so give it alone")
    files = tuple(map(Path, paths))
    name, count = Counter(file.name for file in files).most_common(1)[0]
    if count > 1:
        raise InputError(f"{count} of the images are called {name}, as their results would be; predict them one by one")
    return MediaInfo(files[0].absolute().parent, "folder", len(files), None, files=files)


def frames(
    source: str | Path | MediaInfo,
    on_error: Callable[[InputError], None] | None = None,
    is_wanted: Callable[[str], bool] | None = None,
    *,
    square: bool = True,
    first: int = 0,
) -> Iterator[Frame]:
    """Yield the images of an image, a folder (in natural order: 2 before 10), a video or a live source.

    One image is in memory at a time. Files of a folder that are not images, and hidden files, are left
    out. A video's frames are as players show them, turned and mirrored.

    Args:
        source: what to read, as a path or as `probe` describes it.
        on_error: called with the error for each unreadable image of a folder, which is then skipped, and for what
            a damaged video lacks; without it the error is raised for an image, logged for a video.
        is_wanted: called with the name of each image before it is read, if it is no video's; others are left out.
        square: stretch a video's frames whose pixels are not square; else they keep the size of the file.
        first: a video's frames before this one are left out.

    Raises:
        InputError: what `probe` raises, at once; while reading, a damaged image, or a video without frames.
    """
    info = source if isinstance(source, MediaInfo) else probe(source)
    path, kind = info.path, info.kind
    if info.live is not None:
        return (
            Frame(f"{path.name}_{index:06d}", frame.image, index, frame.seconds)
            for index, frame in enumerate(read_live(info.live))
        )
    if kind == "video":
        return _video_frames(info, read_video(path, on_error, square=square, first=first), first)
    return _image_frames(named_images(info), on_error, is_wanted)


def shown_intrinsics(info: MediaInfo, intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intrinsics (3,3) of a source's frames as `frames` yields them.

    If a video's pixels are not square, its frames are stretched; intrinsics whose fx and fy are those of its own
    pixels are stretched with them. Those of a live source must be of the frames as they are shown.

    Raises:
        InputError: they cannot be of the first frame, see `camera.check_focal_lengths`; or images have another size
            than the first.
    """
    if info.live is not None:  # which cannot be opened twice
        return intrinsics
    first = next(frames(info, lambda error: None, square=False), None)
    if first is None:
        return intrinsics
    check_focal_lengths(intrinsics, first.image.shape, "the intrinsics")
    _check_one_size(info, first.image.shape)
    aspect = first.pixel_aspect
    ratio = float(intrinsics[1, 1] / intrinsics[0, 0])
    if aspect == 1 or abs(math.log(ratio)) <= abs(math.log(ratio / aspect)):
        return intrinsics
    log.info("%s: the intrinsics are of pixels %g times as wide as high; stretched with the frames", info.path, aspect)
    return np.diag([max(1.0, aspect), max(1.0, 1 / aspect), 1.0]) @ intrinsics


def _check_one_size(info: MediaInfo, size: tuple[int, ...]) -> None:
    """Check by their headers that all images are of the size (height, width) that intrinsics are of.

    Raises:
        InputError: one is not.
    """
    for path in named_images(info).values():
        try:
            height, width = image_size(path)
        except InputError:  # it is reported when it is read
            continue
        if (height, width) != size[:2]:
            raise InputError(
                f"the intrinsics are of {size[1]}x{size[0]}, {path.name} is {width}x{height}; predict images of one "
                "size at a time"
            )


def named_images(info: MediaInfo) -> dict[str, Path]:
    """Return the files of an image or folder by the names of their frames, in order; none for a video.

    Raises:
        InputError: the folder cannot be read, or contains no images.
    """
    if info.kind == "video":
        return {}
    paths = info.files or (list_images(info.path) if info.kind == "folder" else [info.path])
    return dict(zip(distinct_names(paths), paths, strict=True))


def _is_image(path: Path) -> bool:
    try:
        with open_image(path) as image:
            return not (image.format == "GIF" and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        return True
    except DAMAGE:
        return path.suffix.lower() in IMAGE_SUFFIXES


def _warn_of_more(path: Path) -> None:
    """Say that a file has further images, such as the pages of a TIFF; those of MPO are other views of the same."""
    with suppress(*DAMAGE), open_image(path) as image:
        if image.format != "MPO" and (count := getattr(image, "n_frames", 1)) > 1:
            log.warning("%s: the first of its %d images is read", path, count)


def _video_frames(info: MediaInfo, shown: Iterator[VideoFrame], first: int) -> Iterator[Frame]:
    gaps, lost = Gaps(None if info.fps is None else 1 / info.fps, info.start), 0
    name = result_name(info.path.stem)
    for index, frame in enumerate(shown, first):
        missing = gaps.before(frame.seconds, damaged=frame.after_damage)
        lost += 0 if frame.after_damage else missing
        yield Frame(f"{name}_{index:06d}", frame.image, index, frame.seconds, frame.pixel_aspect, missing)
    if lost:  # without an error of the decoder
        log.warning("%s lacks %d frames, as its times jump; what is beside a jump counts as no neighbours", info.path,
                    lost)  # fmt: skip


def _image_frames(
    images: dict[str, Path], on_error: Callable[[InputError], None] | None, is_wanted: Callable[[str], bool] | None
) -> Iterator[Frame]:
    gaps, damaged = Gaps(), False
    for index, (name, path) in enumerate(images.items()):
        if is_wanted is not None and not is_wanted(name):
            continue
        try:
            image = np.array(read_image(path))
            _warn_of_more(path)
        except InputError as error:
            if on_error is None:
                raise
            on_error(error)
            damaged = True
            continue
        digits = re.findall(r"[0-9]+", path.stem)
        number = int(digits[-1]) if digits else None
        yield Frame(name, image, index, missing=gaps.before(number, damaged=damaged))
        damaged = False
