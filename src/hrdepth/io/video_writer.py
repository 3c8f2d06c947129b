"""Write videos with FFmpeg's libraries (PyAV), from uint8 arrays in RGB."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path
from hrdepth.io.video import ffmpeg_name

__all__ = ["VideoPosition", "VideoWriter"]

DEFAULT_FPS = 25.0
FINEST = 1000
"""Steps a second, at least, of a written video's clock."""
FASTEST = 100_000
"""Frames a second, or seconds a frame; a rate beyond makes no sense, and would be too much for an MP4's clock."""
ON_TIME = 0.1
"""Frames, or seconds if that is less, by which a frame may be late or early in a video of constant rate."""


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


def _exact(fps: float | None) -> Fraction:
    """Return a rate as a fraction whose numbers a file can hold; `DEFAULT_FPS` if it is None or makes no sense."""
    if fps is None or not 1 / FASTEST <= fps <= FASTEST:
        return Fraction(DEFAULT_FPS)
    if fps < 1:
        return 1 / Fraction(1 / fps).limit_denominator(1001)
    return Fraction(fps).limit_denominator(1001 if fps <= FINEST else 1)


def _ticks(fps: Fraction) -> int:
    """Return the steps of the clock between two frames of constant rate."""
    if fps >= 1:
        return math.ceil(FINEST / fps)
    return fps.denominator * math.ceil(FINEST / fps.numerator)  # so that a step is one part of a second


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
        whole: the file that this is a part of, for messages.

    Attributes:
        first: the tick of the first frame here, from which this file's clock counts.

    Raises:
        InputError: the folder cannot be written, the frames change their size, or there are none.
    """

    FORMAT, OPTIONS = "mp4", {"movflags": "+faststart"}

    def __init__(
        self, path: str | Path, fps: float | None, position: VideoPosition | None = None, whole: Path | None = None
    ) -> None:
        self.path = Path(path)
        self._named = whole or self.path
        self.fps = _exact(fps)
        self.count = 0
        self.first = 0
        self.position = VideoPosition() if position is None else position
        self._is_part = position is not None
        self._ticks = _ticks(self.fps)
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
            container = av.open(ffmpeg_name(temporary), "w", format=kind, options=options)
            self._container = self._stack.enter_context(container)
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, image: NDArray[Any], seconds: float | None = None) -> None:
        """Append one image, uint8 (H,W,3).

        Args:
            image: the frame.
            seconds: when it is shown, counted from anywhere; None, or the time of the last one, for one frame after it.
        """
        position = self.position
        if image.shape != (position.shape or image.shape):
            raise InputError(
                f"{self._named}: frame {position.count} is {image.shape[1]}x{image.shape[0]}, the previous ones "
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
            late = abs(passed - position.count) > ON_TIME * min(1.0, float(self.fps))
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
        # Without B-frames: with them the file's length would be wrong where the frame rate varies.
        options = {"crf": "18", "preset": "veryfast", "bf": "0"}
        stream = self._container.add_stream(codec, rate=self.fps, options=options)
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
