"""Read and write videos with FFmpeg's libraries (PyAV), as uint8 arrays in RGB."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path

__all__ = ["DepthVideoWriter", "VideoWriter", "open_video", "read_depth_video", "read_video"]

DEFAULT_FPS = 25.0
MOST_PIXELS = 2**26
"""Of a frame: twice those of 8K."""
DEPTH_STEPS = 256
"""Steps of a depth video in a unit of depth, as of KITTI's 16-bit PNGs; 0 is no depth."""


@contextmanager
def open_video(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Open a video; yield PyAV's container and its first stream of moving images.

    Raises:
        InputError: the file is no video, contains only sound (a cover image does not count), or is damaged.
    """
    import av

    unreadable = InputError(
        f"{path} is neither an image nor a video that can be read: damaged, truncated, or of another kind"
    )
    try:
        container = av.open(str(path))
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
        context.options = {"max_pixels": str(MOST_PIXELS)}  # of frames that are larger than the header says
        if context.width * context.height > MOST_PIXELS:
            raise InputError(
                f"{path} has frames of {context.width}x{context.height}; at most {MOST_PIXELS / 1e6:.0f} million "
                "pixels are read"
            )
        yield container, streams[0]


def read_video(path: str | Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video, uint8 (H,W,3), upright: the quarter turn that phones store is applied.

    Raises:
        InputError: what `open_video` raises; the video has no frames or is damaged further on.
    """
    import av

    index = 0
    with open_video(path) as (container, stream):
        try:
            for frame in container.decode(stream):
                image = frame.to_ndarray(format="rgb24")
                # Phones store a quarter turn beside the images; `rotation` is counter-clockwise.
                turns = round(frame.rotation / 90) % 4
                yield np.ascontiguousarray(np.rot90(image, turns))
                index += 1
        except av.FFmpegError as error:
            if index:
                raise InputError(f"the video {path} is damaged after frame {index}") from error
    if not index:
        raise InputError(f"the video {path} has no frames")


class VideoWriter:
    """Write an MP4 (H.264, yuv420p, BT.709) frame by frame; a context manager.

    The file appears under its name when the block ends. If Ctrl-C ends it, the frames so far make a
    playable file; any other error leaves no file. H.264 needs even sizes: an odd one repeats its last row
    or column.

    Args:
        path: the file, with the suffix .mp4.
        fps: frames a second; `DEFAULT_FPS` if it is None or makes no sense.

    Raises:
        InputError: the folder cannot be written, the frames change their size, or there are none.
    """

    FORMAT, OPTIONS = "mp4", {"movflags": "+faststart"}

    def __init__(self, path: str | Path, fps: float | None) -> None:
        self.path = Path(path)
        valid = fps is not None and math.isfinite(fps) and 0 < fps <= 1000
        self.fps = Fraction(fps if valid and fps else DEFAULT_FPS).limit_denominator(1001)
        self.count = 0
        self._size: tuple[int, ...] = ()
        self._stack = ExitStack()

    def __enter__(self) -> VideoWriter:
        import av

        temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            container = av.open(str(temporary), "w", format=self.FORMAT, options=self.OPTIONS)
            self._container = self._stack.enter_context(container)
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, image: NDArray[Any]) -> None:
        """Append one image, uint8 (H,W,3)."""
        if not self.count:
            self._size = image.shape
            self._stream = self._new_stream(*image.shape[:2])
        if image.shape != self._size:
            raise InputError(
                f"{self.path}: frame {self.count} is {image.shape[1]}x{image.shape[0]}, the previous ones "
                f"{self._size[1]}x{self._size[0]}; a video has one size"
            )
        frame = self._frame(image)
        frame.pts, frame.time_base = self.count, 1 / self.fps
        self._container.mux(self._stream.encode(frame))
        self.count += 1

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
