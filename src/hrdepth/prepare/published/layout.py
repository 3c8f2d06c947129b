"""The interface of a published data set on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hrdepth.data.reader import SplitLine
from hrdepth.io.files import existing_folder

__all__ = ["Layout", "Missing", "Splits", "resized_size", "such_as"]

Splits = dict[str, list[SplitLine] | str]
"""Lists of frames by name; of a list without any, why."""


@dataclass(frozen=True)
class Missing:
    """An archive that is missing, completely or partly.

    Attributes:
        archive: its official name.
        what: the missing part, in words.
        source: where to get it.
    """

    archive: str
    what: str
    source: str

    def __str__(self) -> str:
        return f"{self.archive}: {self.what} ({self.source})"


class Layout(ABC):
    """A data set on disk.

    Args:
        root: the folder that the archives were unpacked to.

    Attributes:
        scales_calibration: calibrations are for the size of the images beside them; see `resized`.

    Raises:
        InputError: the folder does not exist.
    """

    scales_calibration = False

    def __init__(self, root: str) -> None:
        self.root = existing_folder(root, "unpack the archives there")

    @abstractmethod
    def found(self) -> str:
        """Return a line about the existing files."""

    @abstractmethod
    def missing(self) -> list[Missing]:
        """Return the missing archives, in their order."""

    def impossible(self) -> list[str]:
        """Return a sentence for each list that names frames that no archive has."""
        return []

    @abstractmethod
    def images(self) -> Iterator[Path]:
        """Yield every wanted image that exists."""

    @abstractmethod
    def faults(self) -> Iterator[str]:
        """Read all files other than images; yield a sentence for each damaged one."""

    @abstractmethod
    def companions(self) -> Iterator[Path]:
        """Yield the small files that converted images need beside them: calibrations, poses, cameras."""

    def resized(self, companion: Path, width: int) -> str | None:
        """Return the text of `companion` for images at most `width` pixels wide; None if it stays the same."""
        return None

    @abstractmethod
    def splits(self) -> Splits:
        """Return lists of the frames that exist with both neighbours."""

    def relative(self, path: Path) -> Path:
        """Return the path of a file below the root."""
        return path.relative_to(self.root)


def resized_size(size: tuple[int, int], width: int | None) -> tuple[int, int]:
    """Return the (height, width), pixels, of an image that is made at most `width` wide.

    Example:
        >>> resized_size((375, 1242), 640), resized_size((375, 1242), 2000)
        ((193, 640), (375, 1242))
    """
    return size if width is None or size[1] <= width else (round(size[0] * width / size[1]), width)


def such_as(paths: Iterable[Path | str], what: str) -> str:
    """Return how many are missing, with one example, in words."""
    listed = [str(path) for path in paths]
    return f"{len(listed)} {what}{'s' * (len(listed) > 1)} missing, such as {listed[0]}"
