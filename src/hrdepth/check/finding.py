"""What `scan`, `doctor` and `diagnose` can find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ADVICE", "KINDS", "Finding"]

# What the doctor looks for on disk.
KINDS = {
    "missing": "frames or neighbours that are not there, files that cannot be read or have changed",
    "duplicate": "the same image more than once",
    "still": "stretches in which the camera stands still",
    "cut": "neighbouring frames that show different scenes",
    "fast": "so much motion between frames that little can be followed",
    "camera": "K that cannot be that of the images",
    "stereo": "pairs that are not rectified, not of one time, or the same image twice",
    "baseline": "left and right swapped, or the baseline's sign or unit wrong",
    "exposure": "jumps of brightness between neighbours",
    "mask": "a mask of another shape, or one that leaves too little",
}

# What the diagnosis finds in a run, and what to do. Each brings about those below it.
ADVICE = {
    "wrong K": "give fx, fy, cx and cy in pixels of an image of the given width and height; if they are not known, "
    "set intrinsics.learn to all",
    "swapped stereo": "exchange left and right, or change the sign of the baseline",
    "frame rate too high": "use neighbours further away (distances [2, 4]) or a larger --stride, and leave still "
    "frames out (min_motion 0.012)",
    "frame rate too low": "extract more frames a second (--stride, --fps), or split recordings where scenes change",
    "exploding pose": "lower optimiser.learning_rate, or start the pose network from trained weights (init)",
    "constant disparity": "start from trained weights (init), lower optimiser.learning_rate or the objective's "
    "smoothness",
    "all mask": "train longer, start from trained weights (init), or set the objective's auto_mask to false for the "
    "first epochs",
}


@dataclass(frozen=True)
class Finding:
    """One fault of the data or of a run.

    Attributes:
        kind: a key of `KINDS` or `ADVICE`.
        sentence: what was found, and where; for a kind of `KINDS` also what to do.
        images: that show it.
        where: the recording or data set; empty for a run.
    """

    kind: str
    sentence: str
    images: Sequence[Path] = ()
    where: str = ""

    @property
    def advice(self) -> str:
        """What to do, for a kind of `ADVICE`; else empty."""
        return ADVICE.get(self.kind, "")

    def __str__(self) -> str:
        named = ": ".join(part for part in (self.kind, self.where, self.sentence) if part)
        return f"{named}; {self.advice}" if self.advice else named
