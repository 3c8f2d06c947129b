"""KITTI raw's calibration of a day: cameras and laser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file

__all__ = ["Calibration", "read_calibration"]

Float64 = NDArray[np.float64]
CAMERAS = (0, 1, 2, 3)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The rectified cameras of one recording day and where the laser stands.

    Attributes:
        projections: camera -> P_rect (3,4), from rectified coordinates of camera 0, metres, to its pixels.
        sizes: camera -> (height, width) in pixels of the rectified images that P_rect holds for.
        rectification: R_rect_00 (3,3), from camera 0 to its rectified coordinates.
        velo_to_camera: (3,4), laser coordinates to camera 0's, metres; None if the file is not there.
        source: the folder, for messages.
    """

    projections: dict[int, Float64]
    sizes: dict[int, tuple[int, int]]
    rectification: Float64
    velo_to_camera: Float64 | None
    source: str

    def intrinsics(self, camera: int) -> Float64:
        """Return K (3,3) float64, in pixels of an image of `size(camera)`."""
        return self._projection(camera)[:, :3].copy()

    def size(self, camera: int) -> tuple[int, int]:
        """Return (height, width) in pixels of the rectified image."""
        self._projection(camera)
        return self.sizes[camera]

    @property
    def baseline(self) -> float:
        """Distance from camera 2 (left, colour) to camera 3 (right), metres."""
        return self._right_of_camera_0(3) - self._right_of_camera_0(2)

    def velo_to_image(self, camera: int) -> Float64:
        """Return the (3,4) matrix from laser coordinates, metres, to homogeneous pixels of `camera`.

        Raises:
            InputError: calib_velo_to_cam.txt is missing, or there is no such camera.
        """
        if self.velo_to_camera is None:
            raise InputError(
                f"{Path(self.source) / 'calib_velo_to_cam.txt'} does not exist; the laser's place is needed"
            )
        bottom = np.array([[0.0, 0.0, 0.0, 1.0]])
        rectify = np.eye(4)
        rectify[:3, :3] = self.rectification
        matrix: Float64 = self._projection(camera) @ rectify @ np.concatenate([self.velo_to_camera, bottom])
        return matrix

    def _projection(self, camera: int) -> Float64:
        if camera not in self.projections:
            raise InputError(f"{self.source}: there is no camera {camera}; it has {sorted(self.projections)}")
        return self.projections[camera]

    def _right_of_camera_0(self, camera: int) -> float:
        projection = self._projection(camera)
        return -float(np.linalg.solve(projection[:, :3], projection[:, 3])[0])


def read_calibration(folder: str | Path) -> Calibration:
    """Read `calib_cam_to_cam.txt` and, where it is there, `calib_velo_to_cam.txt` of a day's folder.

    Raises:
        InputError: the file of the cameras is missing, or an entry of either is missing, short or no number.
    """
    folder = Path(folder)
    file = existing_file(folder / "calib_cam_to_cam.txt", "the calibration")
    entries = _read_entries(file)
    projections, sizes = {}, {}
    # Some users keep only the colour cameras' lines; camera 2 is what all else needs.
    for camera in (c for c in CAMERAS if c == 2 or f"P_rect_{c:02d}" in entries):
        projections[camera] = _numbers(entries, f"P_rect_{camera:02d}", 12, file).reshape(3, 4)
        width, height = _numbers(entries, f"S_rect_{camera:02d}", 2, file)
        sizes[camera] = (int(height), int(width))
        if projections[camera][0, 0] <= 0 or projections[camera][1, 1] <= 0 or min(sizes[camera]) < 1:
            raise InputError(f"{file}: focal length and size of camera {camera} must be positive")
    rectification = _numbers(entries, "R_rect_00", 9, file).reshape(3, 3)
    velo_to_camera = None
    velo = folder / "calib_velo_to_cam.txt"
    if velo.exists():
        entries = _read_entries(existing_file(velo, "the calibration"))
        rotation = _numbers(entries, "R", 9, velo).reshape(3, 3)
        velo_to_camera = np.column_stack([rotation, _numbers(entries, "T", 3, velo)])
    return Calibration(projections, sizes, rectification, velo_to_camera, str(folder))


def _read_entries(file: Path) -> dict[str, list[str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the calibration {file} cannot be read as a text file ({error})") from error
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): values.split() for key, colon, values in pairs if colon}


def _numbers(entries: dict[str, list[str]], key: str, count: int, file: Path) -> Float64:
    if key not in entries:
        raise InputError(f"{file} has no entry {key}; use the calibration that comes with KITTI raw")
    try:
        values = np.array([float(value) for value in entries[key]])
    except ValueError as error:
        raise InputError(f"{file}: {key} holds something that is no number ({error})") from error
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(f"{file}: {key} must have {count} finite numbers, it has {len(values)}")
    return values
