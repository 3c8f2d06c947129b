"""Write a video in parts that outlive a killed process, and join them without encoding again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path
from hrdepth.io.video import ffmpeg_name, open_video
from hrdepth.io.video_writer import VideoPosition, VideoWriter

__all__ = ["VideoParts"]


class VideoParts:
    """A video that is written in parts: `write` frames, `end_part` now and then, `join` at the end.

    The video depends on where parts end, and not on what happened between them.

    Args:
        kind: what writes the parts, and in whose format they are joined.
        path: of the video.
        fps: frames a second, as for `VideoWriter`.
        folder: for the parts.
        state: of an earlier process, as `state` returned it; None to begin.

    Raises:
        InputError: `state` names parts that are missing or damaged.
    """

    def __init__(
        self, kind: type[VideoWriter], path: Path, fps: float | None, folder: Path, state: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self._kind, self._fps, self._folder = kind, fps, folder
        self._position, self._firsts = VideoPosition(), list[int]()
        self._part: VideoWriter | None = None
        if state is not None:
            position = state["position"]
            self._position = VideoPosition(**position | {"shape": tuple(position["shape"])})
            self._firsts = list(state["firsts"])
            counts = list(map(_count_frames, self._parts()))
            if min(counts) < 0 or sum(counts) != self._position.count:
                raise InputError(f"the parts of {path} in {folder} are damaged; pass --overwrite true to start over")

    def state(self) -> dict[str, Any]:
        """Return what continues the video in another process, JSON-able; asked for after `end_part`."""
        return {"position": asdict(self._position), "firsts": self._firsts}

    def write(self, image: NDArray[Any], seconds: float | None) -> None:
        """Append one image, as `VideoWriter.write` does."""
        if self._part is None:
            path = self._folder / f"{self.path.stem}_{len(self._firsts):06d}.mp4"
            self._part = self._kind(path, self._fps, self._position, self.path).__enter__()
        self._part.write(image, seconds)

    def end_part(self) -> None:
        """Finish the part that is being written, if there is one."""
        part, self._part = self._part, None
        if part is not None and part.count:
            part.__exit__(None, None, None)
            self._firsts.append(part.first)

    def give_up(self, error: BaseException) -> None:
        """Remove what was written since the last `end_part`."""
        part, self._part = self._part, None
        if part is not None:
            part.count = 0
            part.__exit__(type(error), error, error.__traceback__)

    def join(self) -> None:
        """Write the video from its parts.

        Raises:
            InputError: there are none, a part is damaged, or the video cannot be written.
        """
        import av

        if not self._firsts:
            raise InputError(f"{self.path} was not written: there are no frames")
        kind, tick = self._kind, self._kind(self.path, self._fps).time_base
        coded = [_coded_order(part, first, tick) for part, first in zip(self._parts(), self._firsts, strict=True)]
        decoded = iter(_decoding_times(coded))
        with atomic_path(self.path) as temporary, av.open(
            ffmpeg_name(temporary), "w", format=kind.FORMAT, options=kind.OPTIONS
        ) as video:  # fmt: skip
            stream: Any = None
            for part, shown in zip(self._parts(), coded, strict=True):
                with open_video(part) as (container, source):
                    stream = stream or video.add_stream_from_template(source)
                    for packet, pts in zip(_packets(container, source), shown, strict=True):
                        packet.duration = round((packet.duration or 0) * source.time_base / tick)
                        packet.pts, packet.dts, packet.time_base, packet.stream = pts, next(decoded), tick, stream
                        video.mux(packet)

    def _parts(self) -> list[Path]:
        return [self._folder / f"{self.path.stem}_{index:06d}.mp4" for index in range(len(self._firsts))]


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    return (packet for packet in container.demux(stream) if packet.dts is not None)  # the last one is empty


def _count_frames(part: Path) -> int:
    """Return the frames of a part; -1 if it is damaged."""
    import av

    try:
        with open_video(part) as opened:
            return sum(1 for _ in _packets(*opened))
    except (InputError, av.FFmpegError):
        return -1


def _coded_order(part: Path, first: int, tick: Fraction) -> list[int]:
    """Return the ticks at which the frames of a part are shown, in the order of the file."""
    with open_video(part) as (container, stream):
        return [first + round(packet.pts * stream.time_base / tick) for packet in _packets(container, stream)]


def _decoding_times(coded: list[list[int]]) -> list[int]:
    """Return the ticks at which to decode the frames of parts, given when they are shown.

    A frame that others refer to stands before them. All are decoded so much earlier than the n-th is shown that none
    comes late, and in steps like those of showing.
    """
    late = max(index - rank for part in coded for rank, index in enumerate(np.argsort(part).tolist()))
    shown = sorted(pts for part in coded for pts in part)
    before = [2 * shown[0] - shown[number] for number in range(late, 0, -1)]
    return (before + shown)[: len(shown)]
