"""What the doctor can find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["KINDS", "Finding", "Series", "runs"]

KINDS = {
    "missing": "frames or neighbours that are not there, files that cannot be read or have changed",
    "duplicate": "the same image more than once",
    "still": "stretches in which the camera stands",
    "cut": "neighbouring frames that show different scenes",
    "fast": "so much motion between frames that little can be followed",
    "camera": "K that cannot be that of the images",
    "stereo": "eyes that are not rectified, not of one time, or the same",
    "baseline": "eyes swapped, or the baseline's sign or unit wrong",
    "exposure": "jumps of brightness between neighbours",
    "mask": "a mask of another shape, or one that leaves too little",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: a key of `KINDS`.
        place: the recording, or a file.
        sentence: what, where, what to do.
        images: that show it.
    """

    kind: str
    place: str
    sentence: str
    images: Sequence[Path] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.place}: {self.sentence}"


@dataclass
class Series:
    """A recording under examination.

    Attributes:
        name: of the drive.
        numbers: of its frames, ascending.
        images: by number.
        motions: by number, the motion from the frame before, as a share of the longer side.
        facts: what a reader of the page wants to know, by name.
        thumbnails: some of its images.
        mask: an image of what is left out.
    """

    name: str
    numbers: list[int]
    images: dict[int, Path]
    motions: dict[int, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    thumbnails: list[Path] = field(default_factory=list)
    mask: Path | None = None


def runs(numbers: Sequence[int], apart: int = 1) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of ascending numbers that lie at most `apart` from each other.

    Example:
        >>> list(runs([1, 2, 3, 7, 9], 2))
        [(1, 3), (7, 9)]
    """
    start = last = None
    for number in numbers:
        if start is None or last is None or number - last > apart:
            if start is not None and last is not None:
                yield start, last
            start = number
        last = number
    if start is not None and last is not None:
        yield start, last
