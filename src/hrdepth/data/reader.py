"""What a data set implements: which frames it has, their image files and their cameras."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import Camera
from hrdepth.io.files import existing_folder

__all__ = ["FrameReader", "SplitLine", "Subset", "existing_folder"]


class SplitLine(NamedTuple):
    """One frame of a recording.

    Attributes:
        folder: the recording, relative to the data set's root: a drive or a sequence.
        frame: the frame's number.
        side: the camera, `l` or `r`.
        text: the frame as it was written, with its zero padding.
        origin: `path:line` or the split's name, for messages.
    """

    folder: str
    frame: int
    side: Literal["l", "r"]
    text: str = ""
    origin: str = ""

    @property
    def name(self) -> str:
        """The line as it was written: `folder frame side`."""
        return f"{self.folder} {self.text or self.frame} {self.side}"

    @property
    def key(self) -> tuple[str, int, Literal["l", "r"]]:
        """What identifies the frame: two lines with the same key are one frame."""
        return self.folder, self.frame, self.side

    def at(self, frame: int | str) -> tuple[int, Literal["l", "r"]]:
        """Return number and side of this frame's neighbour at an offset in time; "s" is the stereo pair's other image.

        Example:
            >>> SplitLine("drive", 12, "l").at(-1), SplitLine("drive", 12, "l").at("s")
            ((11, 'l'), (12, 'r'))
        """
        if frame == "s":
            return self.frame, "r" if self.side == "l" else "l"
        return self.frame + int(frame), self.side


class FrameReader(ABC):
    """A data set: one class, one file.

    Attributes:
        targets: the target frames, in order.
        has_neighbours: whether its frames follow each other in time, so that -1 and 1 can be sources.
        has_stereo: whether frames may have a stereo pair, so that "s" can be one.
        split: all frames of the split, where the targets are some of them; None if they are all.
        window: how many shards are mixed at a time; None mixes the whole set.
    """

    has_neighbours: ClassVar[bool] = True
    has_stereo: ClassVar[bool] = False

    targets: Sequence[SplitLine]
    split: Sequence[SplitLine] | None = None
    window: int | None = None

    @abstractmethod
    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """Return the image at `frame`, None if there is none.

        Args:
            line: a target.
            frame: 0 for the target itself, an offset in time, or "s" for the other image of its stereo pair.
        """

    @abstractmethod
    def camera(self, line: SplitLine) -> Camera:
        """Return the camera of the line's recording."""

    def depth(self, line: SplitLine) -> NDArray[np.float32] | None:
        """Return the target's true depth (H,W), rendered or a sensor's; None if the data set has none of this frame.

        Metres along the camera's z, of the whole image, at any resolution; 0 where it is unknown, infinite where there
        is nothing, such as sky.

        Raises:
            InputError: the depth map is damaged.
        """
        return None

    def depth_files(self, line: SplitLine) -> Sequence[Path | None]:
        """Return the files that `depth` reads; one may be missing, and None stands for none."""
        return ()

    def has_depth_of(self, line: SplitLine) -> bool:
        """Return whether a target has true depth; a data set that has some says so without reading it."""
        return self.depth(line) is not None

    def has_depth(self) -> bool:
        """Return whether any target has true depth."""
        return any(map(self.has_depth_of, self.targets))

    def shard(self, line: SplitLine) -> int:
        """Return the number of the shard that has a target; 0 for a data set without shards."""
        return 0


class Subset(FrameReader):
    """A data set with fewer targets.

    Args:
        reader: the data set.
        targets: those that are left.
    """

    def __init__(self, reader: FrameReader, targets: Sequence[SplitLine]) -> None:
        self._reader = reader
        self.targets = targets
        self.split = reader.targets if reader.split is None else reader.split
        self.window = reader.window

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        return self._reader.image(line, frame)

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._reader.camera(line)

    def depth(self, line: SplitLine) -> NDArray[np.float32] | None:
        """See `FrameReader.depth`."""
        return self._reader.depth(line)

    def depth_files(self, line: SplitLine) -> Sequence[Path | None]:
        """See `FrameReader.depth_files`."""
        return self._reader.depth_files(line)

    def has_depth_of(self, line: SplitLine) -> bool:
        """See `FrameReader.has_depth_of`."""
        return self._reader.has_depth_of(line)

    def shard(self, line: SplitLine) -> int:
        """See `FrameReader.shard`."""
        return self._reader.shard(line)
