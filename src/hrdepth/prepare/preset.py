"""The training config of a prepared data set: the defaults of `hrdepth train --data data/`."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrdepth.camera import Camera
from hrdepth.config.safe_yaml import read_text
from hrdepth.data.camera_file import find_cameras, read_camera
from hrdepth.data.neighbours import MIN_MOTION
from hrdepth.errors import InputError
from hrdepth.io.files import existing_folder
from hrdepth.weights.find import bundled

__all__ = ["preset"]

log = logging.getLogger(__name__)

STEPS = 20_000  # samples an epoch times epochs, at least, for a set of any size
FROZEN = 200  # steps after which a new pose network has seen enough of the trained depth
FINE_TUNING = 0.25  # share of the samples needed by a network that was trained on other recordings


def preset(data: str | Path, supervised: bool = False, teacher: str | None = None) -> dict[str, Any]:
    """Return the settings of `config.TrainConfig` that suit a folder of drives on disk.

    Size, split, sources, batch and epochs follow from the folder's content; other settings have their defaults.

    Args:
        data: a folder from `hrdepth prepare` or `hrdepth render`, or of that layout.
        supervised: learn the true depth in its drives' `depth` folders; drives without any learn by view synthesis.

        teacher: any depth model, see `teachers.open_teacher`, which labels the images before the training; it is
            learned beside view synthesis.

    Raises:
        InputError: there is no such folder, no drive in it, or no list of frames; or no depth for `supervised`.
    """
    root = Path(data)
    cameras = _cameras(root)
    training, validation = (_count(root / file) for file in ("train.txt", "val.txt"))
    if not training:
        raise InputError(f"{root} has no train.txt; make the set with hrdepth prepare, or give --config")
    if not validation:
        raise InputError(
            f"{root} has no val.txt: there are no validation frames to choose the best weights by; prepare more video, "
            "render with --validation, or list frames there yourself"
        )
    stereo = any((drive / "right").is_dir() for drive in cameras)
    still = any(not (drive / "manifest.json").is_file() for drive in cameras)  # prepare skips still frames
    part = {"dataset": "folder", "root": str(root), "missing": "skip", "min_motion": MIN_MOTION if still else None}
    settings: dict[str, Any] = {
        "train": [{**part, "split": str(root / "train.txt"), "distances": [1, 2]}],
        "validation": [{**part, "split": str(root / "val.txt")}],
        "output": str(Path("runs") / root.resolve().name),
        "size": list(_size(list(cameras.values()))),
        "objective": {"frames": [-1, 1, "s"] if stereo else [-1, 1]},
        "batch_size": max(1, min(12, training // 4)),
        "epochs": max(20, min(200, round(STEPS / training))),
        "optimiser": {"schedule": "cosine", "warmup_steps": 100},
        "average": 0.999 if training >= 1000 else None,
        "channels_last": True,
        "workers": max(0, min(4, (os.cpu_count() or 1) - 1)),
    }
    if start := next(iter(bundled().values()), None):
        settings |= _fine_tuning(start, supervised)
        settings["epochs"] = max(5, round(FINE_TUNING * settings["epochs"]))
        if "pose_network" not in settings:  # an untrained pose network would spoil the depth
            settings["freeze_depth_steps"] = min(FROZEN, settings["epochs"] * training // settings["batch_size"] // 4)
    elif len({_relative_focal(camera) for camera in cameras.values()}) > 1:
        settings["canonical_focal"] = sorted(map(_relative_focal, cameras.values()))[len(cameras) // 2]
    if teacher is not None:
        if supervised:
            raise InputError("--supervised and --teacher are two things to learn from; give one, or a config with both")
        from hrdepth.teachers.labelling import labels_folder  # with PyTorch

        labels = str(labels_folder(root, teacher))
        options = {"teacher": teacher, "labels": labels, "self_supervision": 1.0}
        settings["objective"] = {"name": "distillation", "frames": settings["objective"]["frames"], "options": options}
    return _with_depth(settings, root, list(cameras), supervised)


def _with_depth(settings: dict[str, Any], root: Path, drives: list[Path], supervised: bool) -> dict[str, Any]:
    """Return the settings for drives that have true depth, if it is wanted."""
    with_depth = [drive for drive in drives if any((drive / "depth").glob("*"))]
    if not supervised:
        if with_depth:
            log.info("%s has depth maps, which are not used: --supervised learns from them", root)
        return settings
    if not with_depth:
        raise InputError(
            f"--supervised needs depth maps, and no drive in {root} has a folder depth with 000000.npy (metres) or "
            "000000.png (16 bits, metres x 256); leave --supervised out"
        )
    options: dict[str, Any] = {}
    frames: list[Any] = []
    if len(with_depth) < len(drives):
        options, frames = {"other": {"name": "view_synthesis"}}, settings["objective"]["frames"]
    else:
        for part in (*settings["train"], *settings["validation"]):
            part["min_motion"] = None  # a still frame has depth too
    settings["objective"] = {"name": "supervised", "frames": frames, "options": options}
    settings.setdefault("metres_per_unit", 1.0)
    return settings


def _fine_tuning(start: Path, supervised: bool) -> dict[str, Any]:
    """Return the settings that a training from a weights file needs: its networks, its camera."""
    from hrdepth.weights.checkpoint import read_checkpoint

    found = read_checkpoint(start)
    settings: dict[str, Any] = {"init": str(start), "network": asdict(found.network_config)}
    if found.pose_network_config is not None:
        settings["pose_network"] = asdict(found.pose_network_config)
    if supervised and found.scale.metres_per_unit is not None:
        settings["metres_per_unit"] = found.scale.metres_per_unit
    if found.scale.canonical_focal is not None:
        settings["canonical_focal"] = found.scale.canonical_focal
    return settings


def _cameras(root: Path) -> dict[Path, Camera]:
    existing_folder(str(root), f"make it with hrdepth prepare VIDEO --out {root}")
    cameras = {file.parent: read_camera(file) for file in find_cameras(root)}
    if not cameras:
        raise InputError(f"{root} contains no drive (no camera.yaml); make it with hrdepth prepare VIDEO --out {root}")
    return cameras


def _count(split: Path) -> int:
    try:
        lines = read_text(split).splitlines()
    except OSError:
        return 0
    return sum(bool(line.strip()) and not line.startswith("#") for line in lines)


def _size(cameras: list[Camera]) -> tuple[int, int]:
    """Return the most frequent size, in multiples of 32, at most 640 on the longer side."""
    sizes = [camera.size for camera in cameras]
    height, width = max(set(sizes), key=sizes.count)
    factor = min(1.0, 640 / max(height, width))
    return max(64, int(height * factor / 32 + 0.5) * 32), max(64, int(width * factor / 32 + 0.5) * 32)


def _relative_focal(camera: Camera) -> float:
    return round(float(camera.intrinsics[0, 0]) / camera.size[1], 4)
