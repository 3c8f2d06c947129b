"""Read and write videos with FFmpeg's libraries (PyAV), as uint8 arrays in RGB."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path

__all__ = [
    "CutShort",
    "DepthVideoWriter",
    "VideoFrame",
    "VideoPosition",
    "VideoWriter",
    "open_video",
    "pixel_aspect",
    "read_depth_video",
    "read_video",
    "show_frame",
]

log = logging.getLogger(__name__)

DEFAULT_FPS = 25.0
MOST_PIXELS = 2**26
"""Of a frame: twice those of 8K."""
SQUARE, MOST_STRETCH = 0.005, 8.0
"""Of pixels' width / height: how far from 1 is rounding, and from where it is nonsense."""
FINEST = 1000
"""Steps a second, at least, of a written video's clock."""
ON_TIME = 0.1
"""Frames by which a frame may be late or early in a video of constant rate."""
DEPTH_STEPS = 256
"""Steps of a depth video in a unit of depth, as of KITTI's 16-bit PNGs; 0 is no depth."""


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

    unreadable = InputError(
        f"{path} is neither an image nor a video that can be read: damaged, truncated, or of another kind"
    )
    try:
        container = av.open(str(path), metadata_errors="replace")  # titles may be Latin-1
    except (av.FFmpegError, OSError) as error:
        raise unreadable from error
    with container:
        # FFmpeg shows text files as images of text ("tty") and guesses single images ("png_pipe").
        if container.format.name == "tty" or container.format.name.endswith("_pipe"):
            raise unreadable
        streams = [s for s in container.streams.video if not s.disposition & type(s.disposition).attached_pic]
        # A track without a decoder (as in a truncated file) would crash PyAV.
        if any(stream.codec_context is None for stream in streams[:1]):
            raise unreadable
        if not streams and container.streams.audio:
            raise InputError(f"{path} contains sound but no images")
        if not streams:
            raise unreadable
        streams[0].thread_type = "AUTO"
        context = streams[0].codec_context
        context.options = {"max_pixels": str(most_pixels)}  # of frames that are larger than the header says
        if context.width * context.height > most_pixels:
            raise InputError(
                f"{path} has frames of {context.width}x{context.height}; at most {most_pixels / 1e6:.0f} million "
                "pixels are read"
            )
        yield container, streams[0]


class CutShort(InputError):  # noqa: N818  (an end, as KeyboardInterrupt is)
    """A video ends within a packet, as an incomplete copy does."""


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
    index = known = 0
    damage: list[bool] = []
    with open_video(path, most_pixels) as (container, stream):
        aspect = pixel_aspect(stream, path)
        for frame in _decode(container, stream, damage):
            check(frame)
            if index >= first:
                yield replace(show_frame(frame, aspect, square=square), after_damage=len(damage) > known)
            index, known = index + 1, len(damage)
    if not index:
        raise InputError(f"the video {path} has no frames" + (" that can be decoded" if damage else ""))
    if damage:
        kind = CutShort if damage[-1] else InputError
        error = kind(f"the video {path} is damaged: {len(damage)} of its packets left out, {index} frames read")
        if on_damage is None:
            log.warning("%s", error)
        else:
            on_damage(error)


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


def _decode(container: Any, stream: Any, damage: list[bool]) -> Iterator[Any]:
    """Decode all that can be decoded; append to `damage` for each packet that cannot, whether the file ends there."""
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


@dataclass
class VideoPosition:
    """How far a video is written, so that another file continues it.

    Attributes:
        count: frames so far.
        tick: of the last one, in steps of `VideoWriter`'s clock.
        start: seconds of the first frame, as its source counts them; None if unknown.
        seconds: of the last one.
        shape: of the frames.
    """

    count: int = 0
    tick: int | None = None
    start: float | None = None
    seconds: float | None = None
    shape: tuple[int, ...] = ()


class VideoWriter:
    """Write an MP4 (H.264, yuv420p, BT.709) frame by frame; a context manager.

    The file appears under its name when the block ends. If Ctrl-C ends it, the frames so far make a
    playable file; any other error leaves no file. H.264 needs even sizes: an odd one repeats its last row
    or column.

    Args:
        path: the file, with the suffix .mp4.
        fps: frames a second; `DEFAULT_FPS` if it is None or makes no sense.
        position: of the frames in files before this one, which continues them and moves the position on; the file
            is a part (`video_parts`), an MP4 whatever the format of the whole.

    Attributes:
        first: the tick of the first frame here, from which this file's clock counts.

    Raises:
        InputError: the folder cannot be written, the frames change their size, or there are none.
    """

    FORMAT, OPTIONS = "mp4", {"movflags": "+faststart"}

    def __init__(self, path: str | Path, fps: float | None, position: VideoPosition | None = None) -> None:
        self.path = Path(path)
        valid = fps is not None and math.isfinite(fps) and 0 < fps <= 1000
        self.fps = Fraction(fps if valid and fps else DEFAULT_FPS).limit_denominator(1001)
        self.count = 0
        self.first = 0
        self.position = VideoPosition() if position is None else position
        self._is_part = position is not None
        self._ticks = math.ceil(FINEST / self.fps)  # between two frames of constant rate
        self._stack = ExitStack()

    @property
    def time_base(self) -> Fraction:
        """Seconds of a tick."""
        return 1 / (self.fps * self._ticks)

    def __enter__(self) -> VideoWriter:
        import av

        temporary = self._stack.enter_context(atomic_path(self.path, durable=self._is_part))
        kind, options = ("mp4", {}) if self._is_part else (self.FORMAT, self.OPTIONS)
        try:
            container = av.open(str(temporary), "w", format=kind, options=options)
            self._container = self._stack.enter_context(container)
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, image: NDArray[Any], seconds: float | None = None) -> None:
        """Append one image, uint8 (H,W,3).

        Args:
            image: the frame.
            seconds: when it is shown, counted from anywhere; None for one frame after the last one.
        """
        position = self.position
        if image.shape != (position.shape or image.shape):
            raise InputError(
                f"{self.path}: frame {position.count} is {image.shape[1]}x{image.shape[0]}, the previous ones "
                f"{position.shape[1]}x{position.shape[0]}; a video has one size"
            )
        position.shape = image.shape
        if not self.count:
            self._stream = self._new_stream(*image.shape[:2])
        frame = self._frame(image)
        self._advance(seconds)
        assert position.tick is not None
        self.first = self.first if self.count else position.tick
        frame.pts, frame.time_base = position.tick - self.first, self.time_base
        self._container.mux(self._stream.encode(frame))
        self.count += 1

    def _advance(self, seconds: float | None) -> None:
        """Move the position on by a frame."""
        position = self.position
        last = -self._ticks if position.tick is None else position.tick
        tick = last + self._ticks
        if seconds is not None and (position.seconds is None or seconds > position.seconds):
            position.start = seconds if position.start is None else position.start
            position.seconds = seconds
            passed = (seconds - position.start) * float(self.fps)
            # A constant rate stays exact, whatever the source's clock rounds.
            late = abs(passed - position.count) > ON_TIME
            tick = round(passed * self._ticks) if late else position.count * self._ticks
        position.tick, position.count = max(last + 1, tick), position.count + 1

    def _frame(self, image: NDArray[Any]) -> Any:
        import av

        padded = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        # Without a tag players guess the matrix by the size; colours would differ between them.
        return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")

    def _new_stream(self, height: int, width: int) -> Any:
        import av

        height, width = height + height % 2, width + width % 2
        codec = "libx264" if "libx264" in av.codecs_available else "h264"
        stream = self._container.add_stream(codec, rate=self.fps, options={"crf": "18", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        context = stream.codec_context
        context.time_base = self.time_base
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        return stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self.count:
            error = InputError(f"{self.path} was not written: there are no frames")
            self._stack.__exit__(type(error), error, None)
            raise error
        if self.count and (kind is None or issubclass(kind, KeyboardInterrupt)):
            self._container.mux(self._stream.encode(None))
            self._stack.__exit__(None, None, None)
        else:
            self._stack.__exit__(kind, error, trace)


class DepthVideoWriter(VideoWriter):
    """Write depth as a Matroska file of 16-bit grey FFV1, which loses nothing but rounding to `DEPTH_STEPS`.

    Values are depth x 256, at most 65535; 0 where there is none. FFmpeg, OpenCV and `read_depth_video` read it.

    Args:
        path: the file, with the suffix .mkv.
        fps: as for `VideoWriter`.
    """

    FORMAT, OPTIONS = "matroska", {}

    def _frame(self, image: NDArray[Any]) -> Any:
        import av

        valid = np.isfinite(image) & (image > 0)
        values = np.where(valid, np.clip(np.rint(np.where(valid, image, 1) * DEPTH_STEPS), 1, 65535), 0)
        return av.VideoFrame.from_ndarray(values.astype(np.uint16), format="gray16le")

    def _new_stream(self, height: int, width: int) -> Any:
        stream = self._container.add_stream("ffv1", rate=self.fps)
        stream.codec_context.time_base = self.time_base
        stream.height, stream.width, stream.pix_fmt = height, width, "gray16le"
        return stream


def read_depth_video(path: str | Path) -> Iterator[NDArray[np.float32]]:
    """Yield the frames of a depth video, float32 (H,W), in the unit that was written; 0 where there is no depth.

    Raises:
        InputError: what `open_video` raises, or the video is not one of 16-bit grey.
    """
    with open_video(path) as (container, stream):
        if stream.codec_context.pix_fmt != "gray16le":
            raise InputError(
                f"{path} is not a depth video: its images are {stream.codec_context.pix_fmt}, not gray16le"
            )
        for image in container.decode(stream):
            yield (image.to_ndarray() / np.float32(DEPTH_STEPS)).astype(np.float32)
