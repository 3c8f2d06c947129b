"""Read videos with FFmpeg's libraries (PyAV), as uint8 arrays in RGB."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.files import regular_file

__all__ = [
    "CutShort",
    "VideoFrame",
    "decode",
    "ffmpeg_name",
    "moving_images",
    "open_video",
    "pixel_aspect",
    "read_video",
    "show_frame",
]

log = logging.getLogger(__name__)

MOST_PIXELS = 2**26
"""Of a frame: twice those of 8K."""
SQUARE, MOST_STRETCH = 0.005, 8.0
"""Of pixels' width / height: how far from 1 is rounding, and from where it is nonsense."""
AV_TIME_BASE = 1_000_000
"""A container's ticks a second."""
ROUNDED = 0.02
"""Seconds by which a file's statement of its length may be rounded."""
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,vvc,av1,obu,ivf,m4v,mjpeg,flv,ogg,asf,"
    "mxf,gxf,dv,nut,wtv,rm,vc1,gif,apng,yuv4mpegpipe,smjpeg,"
    "wav,mp3,flac,aac,aiff"  # to say that they have no images
)
"""FFmpeg's names of containers that hold their images themselves; playlists (concat, HLS, DASH) open other files."""


@contextmanager
def open_video(path: str | Path, most_pixels: int = MOST_PIXELS) -> Iterator[tuple[Any, Any]]:
    """Open a video; yield PyAV's container and its first stream of moving images.

    Args:
        path: the file.
        most_pixels: larger frames are not decoded.

    Raises:
        InputError: the file is no video, contains only sound (a cover image does not count), or is damaged.
    """
    import av

    try:
        regular_file(Path(path))
        container = av.open(
            ffmpeg_name(path),
            options={"format_whitelist": FORMATS},
            metadata_errors="replace",  # or Latin-1
        )
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path) from error
    with container:
        yield container, moving_images(container, path, most_pixels)


def ffmpeg_name(path: str | Path) -> str:
    """Return a file's name for FFmpeg, which takes what precedes a colon, as in `12:30.mp4`, for a protocol."""
    return str(Path(path).absolute())


def moving_images(container: Any, name: str | Path, most_pixels: int = MOST_PIXELS) -> Any:
    """Return the stream of moving images of PyAV's container that players show, ready to decode.

    It is the one that the file marks as its default, else the one with the largest frames.

    Raises:
        InputError: there is none (a cover image does not count), or its frames are too large.
    """
    # FFmpeg shows text files as images of text ("tty") and guesses single images ("png_pipe").
    if container.format.name == "tty" or container.format.name.endswith("_pipe"):
        raise _unreadable(name)
    images = [s for s in container.streams.video if not s.disposition & type(s.disposition).attached_pic]
    # A track without a decoder (as in a truncated file) would crash PyAV.
    streams = [stream for stream in images if stream.codec_context is not None]
    if not images and container.streams.audio:
        raise InputError(f"{name} contains sound but no images")
    if not streams:
        raise _unreadable(name)
    stream = max(streams, key=lambda one: (_is_default(one), one.codec_context.width * one.codec_context.height))
    context = stream.codec_context
    if len(streams) > 1:
        log.info("%s has %d streams of images; the one of %dx%d is read", name, len(streams), context.width,
                 context.height)  # fmt: skip
    stream.thread_type = "AUTO"
    context.options = {"max_pixels": str(most_pixels)}  # of frames that are larger than the header says
    if context.width * context.height > most_pixels:
        raise InputError(
            f"{name} has frames of {context.width}x{context.height}; at most {most_pixels / 1e6:.0f} million pixels "
            "are read"
        )
    return stream


def _is_default(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).default)


def _unreadable(name: str | Path) -> InputError:
    return InputError(
        f"{name} is neither an image nor a video that can be read: damaged, truncated, or of another kind"
    )


class CutShort(InputError):  # noqa: N818  (an end, as KeyboardInterrupt is)
    """A video ends within a packet, or before it says, as an incomplete copy does."""


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame of a video.

    Attributes:
        image: uint8 (H,W,3), upright.
        seconds: when it is shown, None where the file does not say.
        pixel_aspect: width / height of a pixel of `image`.
        after_damage: whether something between the frame before and this one could not be decoded.
    """

    image: NDArray[np.uint8]
    seconds: float | None
    pixel_aspect: float = 1.0
    after_damage: bool = False


def read_video(
    path: str | Path,
    on_damage: Callable[[InputError], None] | None = None,
    *,
    square: bool = True,
    first: int = 0,
    check: Callable[[Any], None] = lambda frame: None,
    most_pixels: int = MOST_PIXELS,
) -> Iterator[VideoFrame]:
    """Yield the frames of a video as players show them: turned and mirrored by its display matrix.

    What cannot be decoded is left out.

    Args:
        path: the file.
        on_damage: called at the end, with what was left out, a `CutShort` where the last packet was; None logs it.
        square: stretch frames whose pixels are not square; else they keep the size of the file.
        first: frames before this one are decoded, but not yielded.
        check: called with each of PyAV's frames before it is converted; what it raises ends the video.
        most_pixels: see `open_video`.

    Raises:
        InputError: what `open_video` raises; the video has no frames that can be decoded.
    """
    index = known = concealed = 0
    damage: list[bool] = []
    error: InputError | None = None
    with open_video(path, most_pixels) as (container, stream):
        aspect, end = pixel_aspect(stream, path), _End()
        for frame in decode(container, stream, damage):
            check(frame)
            end.add(frame)
            concealed += frame.is_corrupt
            if index >= first:
                yield replace(show_frame(frame, aspect, square=square), after_damage=len(damage) > known)
            index, known = index + 1, len(damage)
        if damage:
            kind = CutShort if damage[-1] else InputError
            error = kind(f"the video {path} is damaged: {len(damage)} of its packets left out, {index} frames read")
        elif end.is_before(stated := _stated_seconds(container, stream)):
            error = CutShort(
                f"the video {path} is damaged: it ends after {end.seconds:.4g} of {stated:.4g} s, {index} frames read"
            )
        if not index:
            lost = " that can be decoded" if damage or _stated_seconds(container, stream) else ""
            raise InputError(f"the video {path} has no frames{lost}")
    if concealed:
        log.warning("%s: %d of its %d frames are damaged, and shown as far as they can be", path, concealed, index)
    if error is not None and on_damage is not None:
        on_damage(error)
    elif error is not None:
        log.warning("%s", error)


class _End:
    """When the last of a video's frames ends, in `seconds`, and the longest step between two."""

    def __init__(self) -> None:
        self.seconds = self._last = self._step = 0.0

    def add(self, frame: Any) -> None:
        """Note the next of PyAV's frames."""
        if frame.time is None:
            return
        self._last, before = float(frame.time), self._last
        lasts = float((frame.duration or 0) * frame.time_base)
        self._step = max(self._step, lasts, self._last - before)
        self.seconds = max(self.seconds, self._last + (lasts or self._step))

    def is_before(self, stated: float) -> bool:
        """Return whether frames are missing between the last one and the end that the file states."""
        return self._step > 0 and stated - self.seconds > max(0.75 * self._step, ROUNDED)


def _stated_seconds(container: Any, stream: Any) -> float:
    """Return how long the stream is by its file, 0 if unknown; of several statements the least."""
    found = [] if stream.duration is None else [float(stream.duration * stream.time_base)]
    if re.fullmatch(r"\d+:\d\d:\d\d(\.\d+)?", text := stream.metadata.get("DURATION", "")):  # Matroska
        hours, minutes, seconds = map(float, text.split(":"))
        found.append(3600 * hours + 60 * minutes + seconds)
    if found or len(container.streams) == 1:  # another stream may be longer
        found.append(float(container.duration or 0) / AV_TIME_BASE)
    return min(found, default=0.0)


def show_frame(frame: Any, pixel_aspect: float = 1.0, *, square: bool = True) -> VideoFrame:
    """Return one of PyAV's frames as players show it; see `read_video`.

    Args:
        frame: decoded.
        pixel_aspect: width / height of its pixels.
        square: stretch it where that is not 1.
    """
    image = frame.to_ndarray(format="rgb24")
    # A point (x, y) is shown at (a x + c y, b x + d y); phones turn images, front cameras also mirror them.
    matrix = next((part for part in frame.side_data if part.type.name == "DISPLAYMATRIX"), None)
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            image, a, d, pixel_aspect = image.transpose(1, 0, 2), c, b, 1 / pixel_aspect
        image = np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
    seconds = None if frame.time is None else float(frame.time)
    if not square or pixel_aspect == 1:
        return VideoFrame(image, seconds, pixel_aspect)
    height, width = image.shape[:2]
    size = round(width * max(1, pixel_aspect)), round(height * max(1, 1 / pixel_aspect))
    return VideoFrame(np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)), seconds)


def pixel_aspect(stream: Any, path: str | Path) -> float:
    """Return width / height of the pixels of PyAV's stream, 1 where that is unknown or nonsense."""
    stated = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    if abs(stated - 1) < SQUARE:
        return 1.0
    if not 1 / MOST_STRETCH <= stated <= MOST_STRETCH:
        log.warning("%s: no camera has pixels %g times as wide as high; they are taken for square", path, stated)
        return 1.0
    return stated


def decode(container: Any, stream: Any, damage: list[bool]) -> Iterator[Any]:
    """Decode all frames of PyAV's stream that can be decoded; append to `damage` for each packet that cannot.

    What is appended: whether the file ends there.
    """
    import av

    packets = container.demux(stream)
    cut = False
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the container itself
            damage.append(True)
            return
        if packet is None:
            return
        if packet.is_corrupt:  # of a part that is missing FFmpeg would make something up
            damage.append(cut := True)
            continue
        if cut and packet.size:
            damage[-1] = cut = False
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            damage.append(False)
            continue
        yield from decoded
