"""KITTI raw and KITTI odometry, in their own layouts, with their calibrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import Camera
from hrdepth.config.safe_yaml import read_text
from hrdepth.data.lidar import project_lidar, read_scan
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.splits import read_split
from hrdepth.errors import InputError
from hrdepth.io.files import existing_file, existing_folder
from hrdepth.io.image_files import find_image, visible_images
from hrdepth.io.images import image_size

__all__ = [
    "Calibration",
    "KittiOdometry",
    "KittiRaw",
    "colour_camera",
    "find_frame",
    "first_size",
    "frame_path",
    "read_kitti_calibration",
    "read_projections",
    "scan_path",
]

Float64 = NDArray[np.float64]
CAMERAS = (0, 1, 2, 3)
# The paper's one camera for all of KITTI, in units of image width and height (FACTS of the release).
PAPER_INTRINSICS = np.array([[0.58, 0, 0.5], [0, 1.92, 0.5], [0, 0, 1]])


class KittiRaw(FrameReader):
    """KITTI raw, rectified: `ROOT/DATE/DRIVE/image_02/data/0000000000.jpg` (or png), `image_03` the right image.

    Args:
        root: the folder that holds the dates.
        split: lines of `DATE/DRIVE frame side`, a file or the name of a bundled split.
        intrinsics: `calibration` reads each date's own, `paper` takes one mean camera for all (section "KITTI").
        baseline: units between the cameras of a stereo pair, 0.1 in the paper's configs; None takes the metres.

    Raises:
        InputError: split, calibration or images are missing or wrong.
    """

    has_stereo = True

    def __init__(self, root: str, split: str, intrinsics: str = "calibration", baseline: float | None = None) -> None:
        if intrinsics not in ("calibration", "paper"):
            raise InputError(f"intrinsics '{intrinsics}' of kitti_raw: give 'calibration' or 'paper'")
        self.root = existing_folder(root)
        self.targets = read_split(split)
        self._intrinsics = intrinsics
        self._baseline = baseline

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        return find_frame(self.root, line, frame)

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._camera(line.folder.split("/")[0], line.side)

    def depth(self, line: SplitLine) -> NDArray[np.float32] | None:
        """See `FrameReader.depth`: the laser's points, by the camera's z."""
        scan = self.root / scan_path(line)
        if not scan.is_file():
            return None
        calibration, camera = read_kitti_calibration(self.root / line.folder.split("/")[0]), colour_camera(line.side)
        matrix, size = calibration.velo_to_image(camera), calibration.size(camera)
        return project_lidar(read_scan(scan), matrix, size, depth="camera")

    def depth_files(self, line: SplitLine) -> Sequence[Path | None]:
        """See `FrameReader.depth_files`."""
        day = self.root / line.folder.split("/")[0]
        return [self.root / scan_path(line), day / "calib_cam_to_cam.txt", day / "calib_velo_to_cam.txt"]

    def has_depth_of(self, line: SplitLine) -> bool:
        """See `FrameReader.has_depth_of`."""
        return (self.root / scan_path(line)).is_file()

    @lru_cache(maxsize=64)  # noqa: B019  (a reader lives as long as its data set)
    def _camera(self, date: str, side: str) -> Camera:
        calibration = read_kitti_calibration(self.root / date)
        camera = colour_camera(side)
        size = calibration.size(camera)
        metres = calibration.baseline if 3 in calibration.projections else None
        baseline = metres if self._baseline is None else self._baseline
        if self._intrinsics == "paper":
            intrinsics = PAPER_INTRINSICS * [[size[1]], [size[0]], [1]]
        else:
            intrinsics = calibration.intrinsics(camera)
        return Camera(intrinsics, size, baseline, str(self.root / date), metres)


def colour_camera(side: str) -> int:
    """Return the colour camera of a side: 2 of the left, 3 of the right."""
    return 2 if side == "l" else 3


def frame_path(line: SplitLine, frame: int | str = 0) -> str:
    """Return where the image at `frame` lies in KITTI raw, or would: below the root, without suffix."""
    number, side = line.at(frame)
    return f"{line.folder}/image_0{colour_camera(side)}/data/{number:010d}"


def find_frame(root: Path, line: SplitLine, frame: int | str = 0) -> Path | None:
    """Return the image at `frame` of KITTI raw, None if there is none."""
    path = root / frame_path(line, frame)
    return find_image(path.parent, path.name)


def scan_path(line: SplitLine) -> str:
    """Return where the laser scan of a frame of KITTI raw lies, or would, below the root."""
    return f"{line.folder}/velodyne_points/data/{line.frame:010d}.bin"


class KittiOdometry(FrameReader):
    """KITTI odometry: `ROOT/sequences/00/image_2/000000.png` in colour, else `image_0` in grey.

    The right image of the colour cameras is in `image_3`, that of the grey ones in `image_1`.

    Args:
        root: the folder that holds `sequences`.
        split: lines of `sequence frame side`.
        baseline: units between the cameras of a stereo pair; None takes calib.txt's metres.

    Raises:
        InputError: split, calib.txt or images are missing or wrong.

    The K of calib.txt holds for the images as they lie there.
    """

    has_stereo = True

    def __init__(self, root: str, split: str, baseline: float | None = None) -> None:
        self.root = existing_folder(root)
        self.targets = read_split(split)
        self._baseline = baseline

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        number, side = line.at(frame)
        left, right = self._cameras(line.folder)
        folder = self.root / "sequences" / line.folder / f"image_{left if side == 'l' else right}"
        return find_image(folder, f"{number:06d}") if number >= 0 else None

    def camera(self, line: SplitLine) -> Camera:
        """See `FrameReader.camera`."""
        return self._camera(line.folder, line.side)

    @lru_cache(maxsize=64)  # noqa: B019
    def _cameras(self, sequence: str) -> tuple[int, int]:
        folder = self.root / "sequences" / sequence
        return (2, 3) if (folder / "image_2").is_dir() else (0, 1)

    @lru_cache(maxsize=64)  # noqa: B019
    def _camera(self, sequence: str, side: str) -> Camera:
        left, right = self._cameras(sequence)
        file = self.root / "sequences" / sequence / "calib.txt"
        projections = read_projections(file)
        own = left if side == "l" else right
        if own not in projections:
            raise InputError(f"{file} has no line P{own}")
        projection = projections[own]
        both = left in projections and right in projections
        metres = float(_offset(projections[left]) - _offset(projections[right])) if both else None
        baseline = metres if self._baseline is None else self._baseline
        return Camera(projection[:, :3], first_size(file.with_name(f"image_{own}")), baseline, str(file), metres)


def first_size(folder: Path) -> tuple[int, int]:
    """Return (height, width), pixels, of a folder's first image: what the K of KITTI odometry holds for.

    Raises:
        InputError: there is no image, or it is damaged.
    """
    first = next((path for path in sorted(folder.glob("*")) if visible_images([path])), None)
    if first is None:
        raise InputError(f"{folder} holds no images")
    return image_size(first)


def _offset(projection: Float64) -> float:
    """Return how far a rectified camera lies left of camera 0, metres: of those to its right it is negative."""
    return float(projection[0, 3] / projection[0, 0])


def read_projections(file: Path) -> dict[int, Float64]:
    """Return camera -> projection (3,4) of a calib.txt.

    Raises:
        InputError: the file is missing or holds no projection, or one has not twelve finite numbers and a positive
            focal length.
    """
    existing_file(file, "the calibration")
    projections = {}
    for number, text in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        name, _, values = text.partition(":")
        if not (name.startswith("P") and name[1:].isdigit()):
            continue
        try:
            projection = np.array(values.split(), dtype=np.float64).reshape(3, 4)
        except ValueError as error:
            raise InputError(f"{file}:{number}: {name} must have twelve numbers") from error
        if not (np.isfinite(projection).all() and projection[0, 0] > 0 and projection[1, 1] > 0):
            raise InputError(f"{file}:{number}: the numbers of {name} must be finite and its focal lengths positive")
        projections[int(name[1:])] = projection
    if not projections:
        raise InputError(f"{file} has no projections, lines of P0 to P3; unpack data_odometry_calib.zip again")
    return projections


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
                f"{Path(self.source) / 'calib_velo_to_cam.txt'} does not exist; the laser's position is needed"
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


def read_kitti_calibration(folder: str | Path) -> Calibration:
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
    pairs = (line.partition(":") for line in read_text(file).splitlines())
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
