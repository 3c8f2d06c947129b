"""A rendered drive on disk, in the layout that `docs/design.md` describes."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from hrdepth.data.splits import replace_lines
from hrdepth.errors import InputError
from hrdepth.io.files import read_json, resume, write_array, write_json, write_text
from hrdepth.io.images import save_image
from hrdepth.io.locks import remove_leftovers
from hrdepth.io.pointcloud import assumed_intrinsics
from hrdepth.io.provenance import provenance
from hrdepth.synthetic.cars import car_textures
from hrdepth.synthetic.mesh import Array
from hrdepth.synthetic.rendering import Scene, load_mitsuba, render_frame
from hrdepth.synthetic.street import build_car, build_street
from hrdepth.synthetic.trajectory import plan_trajectory
from hrdepth.synthetic.variety import Camera, VariedDrive

__all__ = ["BASELINE", "render_drive"]

BASELINE = 0.54  # metres between the left and the right image, as in KITTI
SPLIT_GAP = 3  # frames between training and validation that belong to neither
SCENE = 1  # raised when the same seed begins to give other images, so that two kinds never mix in one folder
VARIETY = 2  # the same for the seeds of varied drives


@dataclass(frozen=True)
class _Settings:
    """What decides how the frames look; two runs may share a folder only if it is the same."""

    frames: int
    height: int
    width: int
    seed: int
    stereo: bool
    samples_per_pixel: int
    scene: int = SCENE
    car_ahead: float | None = None
    variety: bool = False

    def plain(self) -> dict[str, object]:
        """Return the settings that define a drive; without a car or variety, as if there were no such setting."""
        settings = asdict(self)
        if self.car_ahead is None:
            del settings["car_ahead"]
        if self.variety:
            settings["variety"] = VARIETY
        else:
            del settings["variety"]
        return settings


def render_drive(
    root: str | Path,
    *,
    name: str = "drive",
    frames: int,
    size: tuple[int, int] = (192, 640),
    seed: int = 0,
    stereo: bool = True,
    samples_per_pixel: int = 8,
    validation: int = 0,
    car_ahead: float | None = None,
    variety: bool = False,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Render a drive to `ROOT/NAME` and enter its frames in `ROOT/train.txt` and `ROOT/val.txt`.

    An interrupted run resumes: complete frames made with the same settings stay. Depth and validation belong to
    the left image; with `stereo`, both images are training targets. Lines of other drives in the split files stay.

    Args:
        root: folder of all drives.
        name: of this one, a plain folder name.
        frames: how many, at least 3.
        size: (height, width) in pixels.
        seed: of street, path and sky; the same seed gives the same frames.
        stereo: also render the right image, 0.54 m to the right.
        samples_per_pixel: rays a pixel; more are smoother and slower.
        validation: how many frames at the end are for validation; the 3 before them are left out of training.
        car_ahead: metres from the camera to the middle of a car that keeps its speed, in its lane; None for no car.
        variety: the seed also draws camera, light, weather, road, traffic and what stands beside it.
        progress: show a progress bar.
        overwrite: replace a drive that was rendered with other settings.

    Returns:
        The drive's folder.

    Raises:
        InputError: a number makes no sense, Mitsuba is missing, or the folder holds something else or cannot
            be written.
    """
    settings = _Settings(
        frames, size[0], size[1], seed, stereo, samples_per_pixel, car_ahead=car_ahead, variety=variety
    )
    _check(settings, name, validation)
    root = Path(root)
    folder = _prepare_folder(root / name, settings, overwrite=overwrite)
    drive = VariedDrive(frames, size, seed) if variety else _PlainDrive(settings)
    _write_camera(folder, drive.intrinsics, settings)
    _write_poses(folder / "poses.txt", drive.poses)
    missing = [frame for frame in range(frames) if not all(file.is_file() for file in _files(folder, frame, stereo))]
    if missing:
        _render_frames(folder, missing, drive, settings, progress=progress)
    _write_splits(root, name, settings, validation)
    return folder


def _check(settings: _Settings, name: str, validation: int) -> None:
    if not re.fullmatch(r"[\w-][\w.-]*", name):
        raise InputError(f"the drive's name '{name}' must be a plain folder name without spaces")
    if settings.frames < 3:
        raise InputError(f"a drive needs at least 3 frames, so that one has both neighbours, not {settings.frames}")
    if min(settings.height, settings.width) < 16:
        raise InputError(f"the size {settings.height}x{settings.width} is too small; height and width need 16 pixels")
    if settings.samples_per_pixel < 1:
        raise InputError(f"samples_per_pixel must be at least 1, not {settings.samples_per_pixel}")
    if settings.car_ahead is not None and not 4 <= settings.car_ahead <= 100:
        raise InputError(f"car_ahead {settings.car_ahead:g} metres: give 4, just behind its bumper, to 100, or null")
    if settings.variety and settings.car_ahead is not None:
        raise InputError("variety includes traffic of its own; give either variety or car_ahead")
    if settings.seed < 0:
        raise InputError(f"the seed must not be negative, as {settings.seed} is")
    training = settings.frames - validation - SPLIT_GAP
    if validation and (validation < 3 or training < 3):
        raise InputError(
            f"{validation} of {settings.frames} frames cannot be set aside for validation: "
            f"it needs at least 3, {SPLIT_GAP} between, and 3 for training"
        )


def _prepare_folder(folder: Path, settings: _Settings, *, overwrite: bool) -> Path:
    """Create the drive's folders, or take them over if they hold frames of the same settings."""
    manifest = folder / "manifest.json"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose another folder for the drive")
    remove_leftovers(folder)
    occupied = any(not entry.is_dir() for entry in folder.rglob("*"))
    if occupied and not _is_rendered(manifest):
        raise InputError(f"{folder} contains files that hrdepth render did not make; choose another folder")
    fresh = not occupied or resume(manifest, {"render": settings.plain()}, overwrite=overwrite) is None
    if occupied and fresh:
        load_mitsuba()  # what cannot be rendered again is not removed
        _remove_frames(folder)
    try:
        for file in _files(folder, 0, settings.stereo):
            file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}); choose another folder") from error
    if fresh:
        write_json(manifest, provenance(seed=settings.seed, render=settings.plain()))
    return folder


def _is_rendered(manifest: Path) -> bool:
    with suppress(OSError, ValueError):  # it is missing or damaged
        return "render" in read_json(manifest)
    return False


def _remove_frames(folder: Path) -> None:
    """Remove earlier frames, and nothing else."""
    for part in ("left", "right", "depth"):
        for file in (folder / part).glob("*"):
            if re.fullmatch(r"\d{6}\.(png|npy)", file.name):
                file.unlink()
    if (folder / "right").is_dir() and not any((folder / "right").iterdir()):
        (folder / "right").rmdir()


def _files(folder: Path, frame: int, stereo: bool) -> list[Path]:
    """Return a frame's files in the order in which they are written."""
    sides = ["left", "right"] if stereo else ["left"]
    return [folder / side / f"{frame:06d}.png" for side in sides] + [folder / "depth" / f"{frame:06d}.npy"]


class _PlainDrive:
    """One street by day, seen by one camera."""

    def __init__(self, settings: _Settings) -> None:
        self.settings = settings
        self.trajectory = plan_trajectory(settings.frames, settings.seed)
        self.poses = self.trajectory.poses
        self.intrinsics = assumed_intrinsics((settings.height, settings.width))

    def open(self, samples_per_pixel: int) -> Camera:
        """Build the street and return what renders its frames."""
        settings, course = self.settings, self.trajectory.course
        scene = Scene(build_street(course, settings.seed), settings.seed)
        textures = {} if settings.car_ahead is None else car_textures(np.random.default_rng([settings.seed, 8]))

        def shoot(frame: int, side: int, pose: Array) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
            if settings.car_ahead is not None and side == 0:
                ahead = self.trajectory.distance(frame) + settings.car_ahead
                scene.show(build_car(course, ahead, textures))
            return render_frame(
                scene,
                pose,
                self.intrinsics,
                (settings.height, settings.width),
                samples_per_pixel=samples_per_pixel,
                seed=2 * frame + side,
                with_depth=side == 0,
            )

        return shoot


def _render_frames(
    folder: Path, missing: list[int], drive: _PlainDrive | VariedDrive, settings: _Settings, *, progress: bool
) -> None:
    """Render the missing frames, each file appearing at once and complete."""
    shoot = drive.open(settings.samples_per_pixel)
    for frame in track(missing, description=f"rendering {folder.name}", disable=not progress):
        files = _files(folder, frame, settings.stereo)
        for side, file in enumerate(files[:-1]):
            to_the_right = np.eye(4)
            to_the_right[0, 3] = side * BASELINE
            image, depth = shoot(frame, side, drive.poses[frame] @ to_the_right)
            save_image(file, Image.fromarray(image))
            if side == 0:
                write_array(files[-1], depth)


def _write_camera(folder: Path, intrinsics: Array, settings: _Settings) -> None:
    fx, fy, cx, cy = (float(intrinsics[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
    camera = {"width": settings.width, "height": settings.height, "fx": fx, "fy": fy, "cx": cx, "cy": cy}
    if settings.stereo:
        camera["baseline"] = BASELINE
    write_text(folder / "camera.yaml", yaml.safe_dump(camera, sort_keys=False))


def _write_poses(file: Path, poses: Array) -> None:
    """Write camera to world, the first camera being the world, as KITTI odometry does."""
    relative = np.linalg.inv(poses[0]) @ poses
    lines = [" ".join(f"{value:.10g}" for value in pose[:3].ravel()) for pose in relative]
    write_text(file, "\n".join(lines) + "\n")


def _write_splits(root: Path, name: str, settings: _Settings, validation: int) -> None:
    """Enter the targets, each with both neighbours in its part; training comes first in time."""
    end = settings.frames - validation - (SPLIT_GAP if validation else 0)
    sides = ("l", "r") if settings.stereo else ("l",)
    training = [f"{name} {frame} {side}" for side in sides for frame in range(1, end - 1)]
    validating = range(settings.frames - validation + 1, settings.frames - 1) if validation else range(0)
    replace_lines(root / "train.txt", name, training)
    replace_lines(root / "val.txt", name, [f"{name} {frame} l" for frame in validating])
