"""Make a training set of videos and folders of frames: `hrdepth prepare drive.mp4 --out data/`."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from hrdepth.camera import Camera
from hrdepth.config import PrepareVideoConfig
from hrdepth.config.bounds import check_counts, check_numbers
from hrdepth.errors import InputError
from hrdepth.io.files import file_sha256, resume
from hrdepth.io.image_files import content_digest, list_images, result_name
from hrdepth.io.images import is_readable, save_image
from hrdepth.io.locks import remove_leftovers
from hrdepth.io.media import Frame, MediaInfo, frames, probe
from hrdepth.prepare.calibration import find_lens
from hrdepth.prepare.framing import LONGER_SIDE, Framing
from hrdepth.prepare.masks import StillRegions
from hrdepth.prepare.motion import opencv
from hrdepth.prepare.recording import (
    MANIFEST,
    drives_with_manifest,
    edited_files,
    read_manifest,
    reduced,
    verify_drive,
    write_camera,
    write_manifest,
    write_mask,
    write_split,
)
from hrdepth.prepare.selection import Chosen, Selection, choose_stride, select_frames

__all__ = ["Prepared", "prepare_videos", "verify_videos"]

log = logging.getLogger(__name__)

PROBE_FPS = 10.0  # frame rate at which motion is measured
MADE = {"left", "camera.yaml", "mask.png", "mask.jpg", MANIFEST}  # in a recording's folder


@dataclass(frozen=True)
class Prepared:
    """A prepared recording.

    Attributes:
        folder: ROOT/DRIVE.
        manifest: see `prepare.recording`.
    """

    folder: Path
    manifest: dict[str, Any]

    def __str__(self) -> str:
        chosen, mask, split = self.manifest["chosen"], self.manifest["mask"], self.manifest["split"]
        left = ", ".join(f"{count} {reason}" for reason, count in chosen["left_out_frames"].items()) or "none"
        every = "every frame" if chosen["stride"] == 1 else f"one in {chosen['stride']}"
        return (
            f"{self.folder}: {len(self.manifest['frames'])} frames, {every} of the source (skipped: {left}), "
            f"{split['train_frames']} to train on, {split['validation_frames']} to validate on; "
            f"K from {self.manifest['camera']['source']}; {100 * mask['share']:.1f} % masked"
        )


def prepare_videos(config: PrepareVideoConfig) -> list[Prepared]:
    """Prepare each input as a recording of the set in `config.out`, or verify existing ones.

    When interrupted, it resumes where it was when called again with the same settings. A camera.yaml or mask.png that
    was changed by hand stays.

    Raises:
        InputError: an input cannot be read or shows no motion, settings are invalid, the folder holds a recording of
            that name made with other settings, or one whose frames are damaged and whose camera or mask was changed.
    """
    root = Path(config.out)
    if config.verify:
        return verify_videos(root)
    if not config.inputs:
        raise InputError("no input is given; pass videos or folders of frames: hrdepth prepare drive.mp4 --out data")
    _check(config)
    opencv()
    named: dict[str, Path] = {}
    for path in map(Path, config.inputs):
        name = re.sub(r"[^\w.-]+", "_", path.resolve().name if path.is_dir() else path.stem).lstrip(".") or "video"
        name = result_name(re.sub(r"\.txt$", "_txt", name))  # train.txt is a list
        if name in named:
            raise InputError(f"{named[name]} and {path} would both be called '{name}'; rename one")
        named[name] = path
    return [_prepare(path, root, name, config) for name, path in named.items()]


def verify_videos(root: Path) -> list[Prepared]:
    """Compare every recording of a set with its manifest.

    Raises:
        InputError: there is none, or files are missing or have changed; each is named.
    """
    drives = drives_with_manifest(root)
    if not drives:
        raise InputError(f"{root} contains no recording that hrdepth prepare made")
    faults = [fault for drive in drives for fault in verify_drive(drive)]
    if faults:
        raise InputError.several(faults)
    return [Prepared(drive, read_manifest(drive) or {}) for drive in drives]


def _check(config: PrepareVideoConfig) -> None:
    if config.fps is not None and config.stride is not None:
        raise InputError("give either --fps or --stride, not both")
    check_numbers(config, "fps")
    check_counts(config, 1, "stride")
    if not 0 <= config.validation <= 0.5:
        raise InputError(f"validation {config.validation:g} is a share; give 0 to 0.5")
    if config.gap < 1:
        raise InputError(f"gap {config.gap} must be at least 1 frame, so that no neighbour is on both sides")


def _prepare(path: Path, root: Path, name: str, config: PrepareVideoConfig) -> Prepared:
    info, folder = probe(path), root / name
    if info.kind == "image":
        raise InputError(f"{path} is a single image; give a video or a folder of frames")
    before = (read_manifest(folder) or {}).get("source", {})
    content: dict[str, Any] = {"settings": _settings(config), "source": _source(path, info, before)}
    begun = _begun(folder, content, overwrite=config.overwrite)
    if begun is not None and begun["complete"]:
        edited = [] if config.overwrite else edited_files(folder)
        if not verify_drive(folder, except_for=edited):
            log.info("%s is complete already", folder)
            if edited:
                log.info("%s: %s stays as it was changed since", folder, " and ".join(edited))
            return Prepared(folder, begun)
        if edited:
            raise InputError(
                f"frames in {folder} are missing or damaged, and writing them again would replace "
                f"{' and '.join(edited)}, changed by hand; keep a copy elsewhere, and pass --overwrite true"
            )
    first = next(_frames(info))
    size = first.image.shape[0], first.image.shape[1]
    lens = find_lens(path, size, config.intrinsics, config.fov, config.camera, first.pixel_aspect)
    framing = Framing(lens, config.size, config.fit)
    Camera(framing.intrinsics, framing.size, source=lens.source)
    stride = begun["chosen"]["stride"] if begun is not None else _stride(info, config)
    if begun is None and (folder / MANIFEST).is_file():  # of other settings, with --overwrite true
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content |= {"complete": False, "chosen": {"stride": stride}, "frames": {}, "files": {}}
    write_manifest(folder, content)  # before anything else: a folder without one is not resumed
    (folder / "left").mkdir(exist_ok=True)
    # Masks are computed at a fixed size, for which the thresholds were measured.
    factor = max(1, round(LONGER_SIDE / max(framing.size)))
    analysis = Framing(lens, (factor * framing.size[0], factor * framing.size[1]), config.fit)
    selection, still = Selection(), StillRegions(analysis.size)
    known = {} if begun is None else begun.get("frames", {})
    kept = _write_frames(info, folder, config, stride, analysis, factor, selection, still, known)
    content["frames"] = {f"left/{_file(chosen.number, config)}": entry for chosen, entry in kept}
    content["chosen"] = _chosen(stride, info, selection, [chosen for chosen, _ in kept])
    content["camera"] = write_camera(folder, analysis, factor)
    content["mask"] = write_mask(folder, analysis, factor, still, find=config.mask)
    content["split"] = write_split(root, name, [chosen.number for chosen, _ in kept], config)
    present = [file for file in ("camera.yaml", "mask.png") if (folder / file).is_file()]
    content["files"] = {file: {"sha256": file_sha256(folder / file)} for file in present}
    content["complete"] = True
    write_manifest(folder, content)
    return Prepared(folder, content)


def _settings(config: PrepareVideoConfig) -> dict[str, Any]:
    names = ("size", "fit", "fps", "stride", "intrinsics", "camera", "fov", "validation", "gap", "mask", "format")
    settings = {name: getattr(config, name) for name in names}
    calibration = Path(config.intrinsics)
    if calibration.is_file():
        settings["intrinsics"] = {"file": calibration.name, "sha256": file_sha256(calibration)}
    return settings | {"size": None if config.size is None else list(config.size)}


def _source(path: Path, info: MediaInfo, before: dict[str, Any]) -> dict[str, Any]:
    """Describe the source by its content; as earlier versions did, by its time of change, if `before` does."""
    source = {"name": path.name, "kind": info.kind} | ({} if info.fps is None else {"fps": info.fps})
    if "mtime_ns" in before:
        files = [file.stat() for file in (path.iterdir() if path.is_dir() else [path]) if file.is_file()]
        changed = max(file.st_mtime_ns for file in files)
        return source | {"bytes": sum(file.st_size for file in files), "mtime_ns": changed}
    contents = [content_digest(file) for file in (list_images(path) if path.is_dir() else [path])]
    return source | {"content": hashlib.sha256(b"".join(contents)).hexdigest()}


def _begun(folder: Path, content: dict[str, Any], *, overwrite: bool) -> dict[str, Any] | None:
    """Return the manifest of a recording that can be resumed, None where there is none, or one that is replaced.

    Raises:
        InputError: the folder holds what may not be replaced.
    """
    try:
        remove_leftovers(folder)
        # Earlier versions made the empty folder `left` first.
        occupied = folder.exists() and any(entry.name != "left" or any(entry.iterdir()) for entry in folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be used ({error.strerror}); choose another folder") from error
    if not occupied:
        return None
    begun = read_manifest(folder)
    if begun is None or not isinstance(begun.get("chosen"), dict) or "stride" not in begun["chosen"]:
        raise InputError(f"{folder} contains files that hrdepth prepare did not make; choose another --out")
    same = resume(folder / MANIFEST, content, overwrite=overwrite)
    if same is None:
        if folder.is_symlink():
            raise InputError(f"{folder} is a link, which is not replaced; remove it, or choose another --out")
        if others := sorted({entry.name for entry in folder.iterdir()} - MADE):
            raise InputError(
                f"{folder} contains {others[0]}, which hrdepth prepare did not make and would remove; move it away, or "
                "choose another --out"
            )
    return same


def _stride(info: MediaInfo, config: PrepareVideoConfig) -> int:
    if config.stride is not None:
        return config.stride
    if config.fps is not None:
        if info.fps is None:
            raise InputError(f"{info.path} is a folder, whose frame rate is unknown; give --stride instead of --fps")
        return max(1, round(info.fps / config.fps))
    apart = 1 if info.fps is None else max(1, round(info.fps / PROBE_FPS))
    try:
        return choose_stride(_frames(info, "measuring motion"), apart, info.count)
    except InputError as error:
        raise InputError(f"{info.path}: {error}") from error


def _frames(info: MediaInfo, doing: str = "", announce: bool = False) -> Iterator[Frame]:
    """Yield the frames that can be read, all of one size; log what cannot, if `announce`."""
    found = frames(info, lambda error: log.warning("%s", error) if announce else None, square=False)
    known = None if info.count is None else float(info.count)
    size: tuple[int, ...] | None = None
    for frame in track(found, f"{info.path.name}: {doing}", known, transient=True, disable=not doing):
        size = size or frame.image.shape
        if frame.image.shape != size:
            raise InputError(
                f"{frame.name} is {frame.image.shape[1]}x{frame.image.shape[0]}, the first one {size[1]}x{size[0]} "
                "(width x height); all frames of a recording have one size"
            )
        yield frame


def _write_frames(
    info: MediaInfo,
    folder: Path,
    config: PrepareVideoConfig,
    stride: int,
    analysis: Framing,
    factor: int,
    selection: Selection,
    still: StillRegions,
    known: Mapping[str, Any],
) -> list[tuple[Chosen, dict[str, Any]]]:
    """Write the frames that are not there yet, or not as `known` says; return all that belong to the recording."""
    kept: list[tuple[Chosen, dict[str, Any]]] = []
    shrink = partial(reduced, factor=factor)
    found = _frames(info, "writing frames", announce=True)
    interval = None if config.fps is None else 1 / config.fps
    try:
        for chosen in select_frames(found, stride, selection, analysis.apply, shrink, interval):
            file = folder / "left" / _file(chosen.number, config)
            if not _is_good(file, known.get(f"left/{file.name}", {}).get("sha256")):
                save_image(file, Image.fromarray(shrink(chosen.image)), quality=95, subsampling=0)
            if config.mask:
                still.add(chosen.image)
            else:
                still.last_frame = chosen.image  # mask.jpg shows it with a letterbox's bars
            entry = {"index": chosen.index, "sha256": file_sha256(file)}
            if chosen.step is not None:
                entry["motion"] = round(chosen.step.motion, 5)
            kept.append((Chosen(chosen.number, chosen.index, chosen.image[:0], chosen.step), entry))
    except InputError as error:
        raise InputError(f"{info.path}: {error}") from error
    numbers = {chosen.number for chosen, _ in kept}
    alone = {number for number in numbers if not {number - 1, number + 1} & numbers}
    for number in alone:
        (folder / "left" / _file(number, config)).unlink()
    kept = [pair for pair in kept if pair[0].number not in alone]
    if len(kept) < 3:
        raise InputError(
            f"{info.path} leaves {len(kept)} frames in which the camera moves; at least 3 neighbouring frames are "
            "needed"
        )
    return kept


def _is_good(file: Path, known: str | None) -> bool:
    """Return whether a frame of an earlier run is there and whole; earlier versions could leave cut ones."""
    return file.is_file() and (known is None or file_sha256(file) == known) and is_readable(file)


def _file(number: int, config: PrepareVideoConfig) -> str:
    return f"{number:06d}.{config.format}"


def _chosen(stride: int, info: MediaInfo, selection: Selection, kept: list[Chosen]) -> dict[str, Any]:
    motions = [chosen.step.motion for chosen in kept if chosen.step is not None]
    return {
        "stride": stride,
        "fps": None if info.fps is None else round(info.fps / stride, 3),
        "median_motion": round(float(np.median(motions)), 5) if motions else None,
        "left_out_frames": {reason: len(numbers) for reason, numbers in selection.left_out.items()},
        "left_out": selection.ranges(),
    }
