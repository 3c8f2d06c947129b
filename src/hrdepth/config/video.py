"""Own videos: preparing and examining them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["DoctorConfig", "PrepareVideoConfig"]


@dataclass(frozen=True)
class PrepareVideoConfig:
    """Videos, or folders of frames, to turn into a training set.

    Attributes:
        inputs: videos or folders of frames, all of one camera. Another camera: call again with the same `out`.
        out: the folder of the training set; recordings that it holds already stay.
        size: (height, width) of the written frames, multiples of 32; null keeps the aspect, 640 pixels on the longer
            side or less if the images are smaller.
        fit: `crop` cuts what is too much around the centre, `letterbox` keeps all of it between masked bars.
        fps: frames a second to take; null chooses from the measured motion. Needs a video.
        stride: take every n-th frame; null follows `fps`.
        intrinsics: a calibration file (KITTI, COLMAP cameras.txt, OpenCV YAML, ROS camera_info YAML, or a camera.yaml
            of this package), whose lens distortion is undone; `exif`; `learn` starts from `fov` and is marked to be
            learned; `auto` takes EXIF where there is any, else learns. Unused where `fov` alone is given.
        camera: which one, where the calibration file knows several: COLMAP's camera number, KITTI's 0 to 3.
        fov: horizontal field of view in degrees; with `learn` it is the start only.
        validation: the share of each recording, at its end, that is held out.
        gap: frames between training and validation that belong to neither.
        mask: look for overlays and the car's own hood, and mask them.
        format: of the written frames; `png` is without loss and five times as large.
        verify: compare the recordings in `out` with their manifests instead.
        overwrite: replace recordings of the same name that were made with other settings or from another video.
    """

    out: str
    inputs: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None
    fit: Literal["crop", "letterbox"] = "crop"
    fps: float | None = None
    stride: int | None = None
    intrinsics: str = "auto"
    camera: str | None = None
    fov: float | None = None
    validation: float = 0.1
    gap: int = 10
    mask: bool = True
    format: Literal["jpg", "png"] = "jpg"
    verify: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class DoctorConfig:
    """A training set to examine.

    Attributes:
        data: the folder of drives on disk, as `hrdepth prepare` or `hrdepth render` leave it.
        page: where the page goes; null writes DATA/doctor.html.
        ignore: kinds of finding that do not count: `missing`, `duplicate`, `still`, `cut`, `fast`, `camera`,
            `stereo`, `baseline`, `exposure`, `mask`. They stand on the page all the same.
    """

    data: str
    page: str | None = None
    ignore: list[str] = field(default_factory=list)
