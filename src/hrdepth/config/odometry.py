"""Trajectories and the scale of depth."""

from __future__ import annotations

from dataclasses import dataclass

from hrdepth.errors import InputError

__all__ = ["OdometryConfig"]


@dataclass(frozen=True)
class OdometryConfig:
    """A trajectory by the pose network.

    Attributes:
        input: a folder of images or a video, in the order of time.
        weights: a weights file of this package that holds a pose network.
        out: the folder to write into.
        poses: the true trajectory, 12 numbers a line (camera to world) for each frame, as KITTI has it; null writes the
            trajectory without errors.
        trained_on: say in the results that the network was trained on these frames.
        frames_per_second: of the frames, for the times in the TUM file; null takes the video's, or 10.
        size: (height, width) that the pose network works at; null for that of its training.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace results in `out`.
    """

    input: str
    weights: str
    out: str
    poses: str | None = None
    trained_on: bool = False
    frames_per_second: float | None = None
    size: tuple[int, int] | None = None
    device: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.frames_per_second is not None and not 0 < self.frames_per_second < float("inf"):
            raise InputError(f"frames_per_second {self.frames_per_second:g} must be positive")
