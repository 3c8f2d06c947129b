"""Pictures and their true depth, for evaluation. Another source costs a class and a line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.config import GroundTruthConfig
from hrdepth.data.folder import read_camera
from hrdepth.data.frames import find_picture
from hrdepth.data.kitti_calibration import Calibration, read_calibration
from hrdepth.data.splits import SplitLine, read_split
from hrdepth.errors import InputError
from hrdepth.registry import lookup
from hrdepth.truth.lidar import project_lidar, read_scan
from hrdepth.truth.sparse_maps import SparseMaps, read_depth_maps

__all__ = [
    "GROUND_TRUTHS",
    "GroundTruth",
    "GroundTruthSet",
    "build_ground_truth",
    "read_depth",
]

PNG_UNITS_PER_METRE = 256.0


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """One picture's true depth.

    Attributes:
        name: what the picture is called in results.
        picture: its file, or None if there is none, which is enough where predictions come from elsewhere.
        depth: (H,W) float32, metres; what is not finite and positive means none.
        intrinsics: (3,3) float64 in pixels of the depth map, or None if unknown.
        picture_rows: the part of the picture that the depth is of, fractions of its height; None for all of it.
    """

    name: str
    picture: Path | None
    depth: NDArray[np.float32]
    intrinsics: NDArray[np.float64] | None = None
    picture_rows: tuple[float, float] | None = None


class GroundTruthSet(ABC):
    """A sequence of `GroundTruth`, each read when it is asked for.

    Attributes:
        description: what the depth is and which list it follows, in words, without the place on this machine.
    """

    description: str

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of pictures."""

    @abstractmethod
    def __getitem__(self, index: int) -> GroundTruth:
        """Read one picture's true depth.

        Raises:
            InputError: a file of it is missing or damaged.
        """

    def __iter__(self) -> Iterator[GroundTruth]:
        return (self[index] for index in range(len(self)))


def build_ground_truth(config: GroundTruthConfig) -> GroundTruthSet:
    """Build the set that `config` names.

    Raises:
        InputError: an unknown kind, a setting that is missing or has no meaning there, or missing files.
    """
    return lookup(GROUND_TRUTHS, config.kind, "ground truth")(config)


class KittiLidar(GroundTruthSet):
    """KITTI raw: the laser's points as sparse depth of camera 2 (`l`) or 3 (`r`), at its rectified size."""

    def __init__(self, config: GroundTruthConfig) -> None:
        self._root = _folder(config, config.root)
        _refuse(config, depths=config.depths)
        split = config.split or "eigen/test"
        self._lines = read_split(split)
        self._depth = config.lidar_depth
        self._calibration = _Remembered(read_calibration)
        what = "the laser's forward coordinate" if self._depth == "laser" else "the camera's z"
        self.description = f"KITTI LiDAR, depth is {what}, split {_short(split)}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line = self._lines[index]
        camera = 2 if line.side == "l" else 3
        drive = self._root / line.folder
        scan = drive / "velodyne_points" / "data" / f"{line.frame:010d}.bin"
        try:
            calibration = self._calibration(self._root / line.folder.split("/")[0])
            matrix = calibration.velo_to_image(camera)
            depth = project_lidar(read_scan(scan), matrix, calibration.size(camera), self._depth)
        except InputError as error:
            raise InputError(f"{line.origin}: {error}") from error
        return GroundTruth(line.name, _kitti_picture(self._root, line), depth, calibration.intrinsics(camera))


class DepthFolder(GroundTruthSet):
    """`ROOT/depth/NAME.png` (16 bit, metres x 256) or `.npy` (float, metres), with `ROOT/image/NAME.*`.

    The order is that of the names. Pictures may be missing where predictions come from elsewhere.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        root = _folder(config, config.root)
        _refuse(config, split=config.split, depths=config.depths)
        depths = root / "depth"
        self._files = sorted(p for p in depths.glob("*") if p.suffix in (".png", ".npy")) if depths.is_dir() else []
        if not self._files:
            raise InputError(f"{depths} holds no depth maps; it needs 16-bit .png (metres x 256) or .npy (metres)")
        stems = [file.stem for file in self._files]
        double = next((stem for stem in stems if stems.count(stem) > 1), None)
        if double is not None:
            raise InputError(f"{depths} holds both {double}.png and {double}.npy; keep one")
        self._images = root / "image"
        self.description = "depth maps in a folder, in order of their names"

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> GroundTruth:
        file = self._files[index]
        return GroundTruth(file.stem, find_picture(self._images, file.stem), read_depth(file))


class GtDepths(GroundTruthSet):
    """A `gt_depths.npz`: depth maps in the order of a test split, as exchanged or as `hrdepth prepare kitti` writes it.

    `root` and `split` add the pictures of KITTI raw, and its K where its calibration is there and of the maps' size.
    """

    def __init__(self, config: GroundTruthConfig) -> None:
        if config.depths is None:
            raise InputError("ground truth 'gt_depths' needs depths, the path of gt_depths.npz")
        if (config.root is None) != (config.split is None):
            raise InputError("ground truth 'gt_depths' takes its pictures from root and split: give both or neither")
        self._root = None if config.root is None else _folder(config, config.root)
        self._lines = [] if config.split is None else read_split(config.split)
        self._maps = read_depth_maps(config.depths, [line.name for line in self._lines])
        if self._lines and len(self._lines) != len(self._maps):
            raise InputError(
                f"{config.depths} holds {len(self._maps)} depth maps, the split {config.split} has "
                f"{len(self._lines)} lines; give the split that the file was made from"
            )
        self._calibration = _Remembered(read_calibration)
        listed = f", split {_short(config.split)}" if config.split else ""
        self.description = f"depth maps of {Path(config.depths).name}{listed}"
        if isinstance(self._maps, SparseMaps) and isinstance(said := self._maps.about.get("ground_truth"), str):
            self.description = said  # as of the set that it was made from: they are the same depth

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, index: int) -> GroundTruth:
        if self._root is None:
            return GroundTruth(f"{index:06d}", None, self._maps[index])
        line, depth = self._lines[index], self._maps[index]
        intrinsics = self._intrinsics(self._root, line, depth.shape)
        return GroundTruth(line.name, _kitti_picture(self._root, line), depth, intrinsics)

    def _intrinsics(self, root: Path, line: SplitLine, size: tuple[int, ...]) -> NDArray[np.float64] | None:
        day = root / line.folder.split("/")[0]
        if not (day / "calib_cam_to_cam.txt").is_file():
            return None
        try:
            calibration: Calibration = self._calibration(day)
        except InputError as error:
            raise InputError(f"{line.origin}: {error}") from error
        camera = 2 if line.side == "l" else 3
        return calibration.intrinsics(camera) if calibration.sizes.get(camera) == size else None


class Drive(GroundTruthSet):
    """`ROOT/DRIVE/left/000000.png` with exact depth along the camera's z in `ROOT/DRIVE/depth/000000.npy`."""

    def __init__(self, config: GroundTruthConfig) -> None:
        self._root = _folder(config, config.root)
        _refuse(config, depths=config.depths)
        split = config.split or str(self._root / "val.txt")
        self._lines = read_split(split)
        right = next((line for line in self._lines if line.side == "r"), None)
        if right is not None:
            raise InputError(f"{right.origin}: true depth is there for left frames only; leave the line out")
        self._depths = _Remembered(_numbered_maps)
        self.description = f"depth along the camera's z, split {_short(split)}"

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> GroundTruth:
        line = self._lines[index]
        drive = self._root / line.folder
        file = self._depths(drive).get(line.frame)
        if file is None:
            raise InputError(f"{line.origin}: {drive / 'depth'} holds no depth map of frame {line.frame}")
        depth = read_depth(file)
        return GroundTruth(line.name, find_picture(drive / "left", file.stem), depth, _drive_intrinsics(drive, depth))


class _Remembered:
    """What a function gave for each folder; unlike `functools.cache` it goes to other processes."""

    def __init__(self, read: Callable[[Path], Any]) -> None:
        self._read, self._known = read, dict[Path, Any]()

    def __call__(self, folder: Path) -> Any:
        if folder not in self._known:
            self._known[folder] = self._read(folder)
        return self._known[folder]


def _drive_intrinsics(drive: Path, depth: NDArray[np.float32]) -> NDArray[np.float64] | None:
    if not (drive / "camera.yaml").is_file():
        return None
    camera = read_camera(drive / "camera.yaml")
    height, width = camera.size
    factors = np.array([[depth.shape[1] / width], [depth.shape[0] / height], [1.0]])
    return np.asarray(camera.intrinsics * factors, dtype=np.float64)


def _numbered_maps(drive: Path) -> dict[int, Path]:
    return {int(file.stem): file for file in (drive / "depth").glob("*.npy") if file.stem.isdecimal()}


def read_depth(path: str | Path) -> NDArray[np.float32]:
    """Read a depth map: 16-bit PNG (metres x 256, KITTI's way) or a float `.npy` in metres.

    Returns:
        (H,W) float32, metres; 0 means none.

    Raises:
        InputError: the file is missing, damaged, or holds no depth.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            depth = np.load(path, allow_pickle=False)
            if depth.ndim != 2 or not depth.size or not np.issubdtype(depth.dtype, np.floating):
                raise InputError(f"{path} must hold float metres (H,W), it holds {depth.dtype} {depth.shape}")
            return np.asarray(depth, dtype=np.float32)
        with Image.open(path) as image:
            if image.mode not in ("I;16", "I;16B", "I"):
                raise InputError(f"{path} must be a 16-bit grey PNG (metres x 256), its mode is {image.mode}")
            return (np.asarray(image).astype(np.float64) / PNG_UNITS_PER_METRE).astype(np.float32)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"the depth map {path} does not exist") from error
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"the depth map {path} cannot be read ({error})") from error


def _folder(config: GroundTruthConfig, root: str | None) -> Path:
    if root is None:
        raise InputError(f"ground truth '{config.kind}' needs root, the folder that holds the data")
    if not Path(root).is_dir():
        raise InputError(f"the data folder {root} does not exist")
    return Path(root)


def _refuse(config: GroundTruthConfig, **settings: str | None) -> None:
    for name, value in settings.items():
        if value is not None:
            raise InputError(f"ground truth '{config.kind}' has no {name}; leave it out or choose another kind")


def _short(split: str) -> str:
    return "/".join(Path(split).parts[-2:])


def _kitti_picture(root: Path, line: SplitLine) -> Path | None:
    folder = root / line.folder / ("image_02" if line.side == "l" else "image_03") / "data"
    return find_picture(folder, f"{line.frame:010d}")


def _later(module: str, name: str) -> Callable[[GroundTruthConfig], GroundTruthSet]:
    """Build a set whose module imports this one."""
    return lambda config: cast(GroundTruthSet, getattr(import_module(f"hrdepth.data.{module}"), name)(config))


GROUND_TRUTHS: dict[str, Callable[[GroundTruthConfig], GroundTruthSet]] = {
    "cityscapes": _later("cityscapes_depth", "CityscapesDepth"),
    "drive": Drive,
    "folder": DepthFolder,
    "gt_depths": GtDepths,
    "kitti_improved": _later("kitti_improved", "KittiImproved"),
    "kitti_lidar": KittiLidar,
    "make3d": _later("make3d", "Make3D"),
}
