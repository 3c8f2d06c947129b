"""What makes a training fail."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CAUSES", "Cause"]

# What can be found, and what to do. What stands first brings about what stands below it.
CAUSES = {
    "wrong K": "give fx, fy, cx and cy in pixels of an image as large as width and height say; if they are not known, "
    "set intrinsics.learn to all",
    "swapped stereo": "exchange left and right, or change the sign of the baseline",
    "frame rate too high": "take neighbours further away (distances [2, 4]) or a larger --stride, and leave still "
    "frames out (min_motion 0.012)",
    "frame rate too low": "take more frames a second (--stride, --fps), or put recordings apart where scenes change",
    "exploding pose": "lower optimiser.learning_rate, or start the pose network from weights that have learnt (init)",
    "constant disparity": "start from weights that have learnt (init), lower optimiser.learning_rate or the "
    "objective's smoothness",
    "all mask": "train longer, start from weights that have learnt (init), or set the objective's auto_mask to false "
    "for the first epochs",
}


@dataclass(frozen=True)
class Cause:
    """One thing that makes a training fail.

    Attributes:
        name: a key of `CAUSES`.
        evidence: what was measured.
    """

    name: str
    evidence: str

    @property
    def advice(self) -> str:
        """What to do."""
        return CAUSES[self.name]

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; {self.advice}"
