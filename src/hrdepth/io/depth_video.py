"""Depth as a video of 16-bit grey that loses nothing but rounding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.video import open_video
from hrdepth.io.video_writer import VideoWriter

__all__ = ["DepthVideoWriter", "read_depth_video"]

DEPTH_STEPS = 256
"""Steps of a depth video in a unit of depth, as of KITTI's 16-bit PNGs; 0 is no depth."""


class DepthVideoWriter(VideoWriter):
    """Write depth as a Matroska file of 16-bit grey FFV1, which loses nothing but rounding to `DEPTH_STEPS`.

    Values are depth x 256, at most 65535; 0 where there is none. FFmpeg, OpenCV and `read_depth_video` read it. Above
    1000 frames a second some share a time, since Matroska counts milliseconds.

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
        InputError: what `open_video` raises, the video is not one of 16-bit grey, or it is damaged.
    """
    import av

    with open_video(path) as (container, stream):
        if stream.codec_context.pix_fmt != "gray16le":
            raise InputError(
                f"{path} is not a depth video: its images are {stream.codec_context.pix_fmt}, not gray16le"
            )
        try:
            for image in container.decode(stream):
                yield (image.to_ndarray() / np.float32(DEPTH_STEPS)).astype(np.float32)
        except av.FFmpegError as error:
            raise InputError(f"the depth video {path} is damaged ({error.strerror})") from error
