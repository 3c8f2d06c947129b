"""Finding out what a unit of depth is in metres."""

from __future__ import annotations

from dataclasses import dataclass

from hrdepth.errors import InputError

__all__ = ["CalibrateScaleConfig"]


@dataclass(frozen=True)
class CalibrateScaleConfig:
    """Known lengths, at least one kind; with several the kind whose measurements scatter least is taken.

    Attributes:
        weights: a weights file of this package.
        out: the weights file to write: the same network, with metres_per_unit and its spread.
        input: a folder of images or a video, in the order of time.
        intrinsics: fx, fy, cx, cy in pixels of these images; `camera_height` needs them, and so do weights with a
            `canonical_focal`.
        camera_height: metres from the camera down to the road.
        poses: true poses of the frames, metres, 12 numbers a line as KITTI has them.
        speed: how fast the camera moves, metres a second.
        speeds: a text file with that for each frame, a number a line.
        gps: a text file of the frames' places, `latitude longitude` in degrees a line.
        distances: a text file of known depths, `image x y metres` a line: the image's name without suffix, pixels.
        frames_per_second: of the frames; null takes the video's. `speed` and `speeds` need it.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace `out`.

    Raises:
        InputError: nothing is known, or a length is not positive.
    """

    weights: str
    out: str
    input: str
    intrinsics: tuple[float, float, float, float] | None = None
    camera_height: float | None = None
    poses: str | None = None
    speed: float | None = None
    speeds: str | None = None
    gps: str | None = None
    distances: str | None = None
    frames_per_second: float | None = None
    device: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("camera_height", "speed", "frames_per_second"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name} {value:g} must be positive")
        known = (self.camera_height, self.poses, self.speed, self.speeds, self.gps, self.distances)
        if all(value is None for value in known):
            raise InputError(
                "give at least one of camera_height, poses, speed, speeds, gps, distances to know the scale"
            )
        if self.camera_height is not None and self.intrinsics is None:
            raise InputError("camera_height needs --intrinsics fx,fy,cx,cy, in pixels of the images")
