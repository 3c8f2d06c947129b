"""Which cameras of a training are learned."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

from hrdepth.camera import Camera, LearnedCamera
from hrdepth.config import IntrinsicsConfig, TrainConfig
from hrdepth.data import OpenData
from hrdepth.data.layers import CameraRow, CameraView
from hrdepth.errors import InputError
from hrdepth.networks.intrinsics import LearnedIntrinsics

__all__ = ["find_learned_cameras"]

log = logging.getLogger(__name__)


def find_learned_cameras(
    config: TrainConfig, data: dict[str, list[OpenData]]
) -> tuple[LearnedIntrinsics | None, dict[str, list[OpenData]]]:
    """Build the table of cameras to learn.

    A recording that is used for validation only keeps its given intrinsics.

    Args:
        config: of the run.
        data: the opened data sets of `train` and `validation`.

    Returns:
        The table, None if all cameras are known; and the data sets, with layers that give each sample's row.

    Raises:
        InputError: stereo pairs are the only source, or `shared` recordings have images of different shapes.
    """
    settings = config.intrinsics
    if settings.learn == "none" or not config.objective.frames:  # without other frames nothing shows a camera
        return None, data
    rows: dict[tuple[str, str], int] = {}
    starts: list[LearnedCamera] = []
    for part in data["train"]:
        for folder, camera in sorted(_recordings(part).items()):
            if (settings.learn == "all" or camera.learn) and _key(part, folder) not in rows:
                rows[_key(part, folder)] = 0 if settings.shared else len(starts)
                _check_shape(starts, camera, folder, settings)
                if not (settings.shared and starts):
                    starts.append(_start(folder, camera, settings.field_of_view))
    if not starts:
        return None, data
    if all(frame == "s" for frame in config.objective.frames):
        raise InputError(
            "a camera cannot be learned from stereo pairs alone; add -1 and 1 to "
            "objective.frames, or set intrinsics.learn to none"
        )

    def with_rows(part: OpenData) -> OpenData:
        learned = {folder: rows[_key(part, folder)] for folder in _recordings(part) if _key(part, folder) in rows}
        return replace(part, layers=(*part.layers, CameraRow(learned), CameraView()))

    log.info("learning the intrinsics of %d camera%s", len(starts), "" if len(starts) == 1 else "s")
    table = LearnedIntrinsics(starts, settings.separate_fy, settings.principal_point, settings.learning_rate_factor)
    # For all data sets, since the samples of one batch need the same tensors.
    return table, {use: [with_rows(part) for part in parts] for use, parts in data.items()}


def _recordings(part: OpenData) -> dict[str, Camera]:
    reader = part.neighbours.reader
    lines = {line.folder: line for line in reader.targets}
    return {folder: reader.camera(line) for folder, line in lines.items()}


def _key(part: OpenData, folder: str) -> tuple[str, str]:
    return str(Path(part.config.root).resolve()), folder


def _start(name: str, camera: Camera, field_of_view: float | None) -> LearnedCamera:
    height, width = camera.size
    if field_of_view is not None:
        focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
        return LearnedCamera(name, camera.size, focal, focal, width / 2, height / 2, focal)
    k = camera.intrinsics
    fx, fy, cx, cy = (float(k[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return LearnedCamera(name, camera.size, fx, fy, cx, cy, fx)


def _check_shape(starts: list[LearnedCamera], camera: Camera, folder: str, settings: IntrinsicsConfig) -> None:
    if settings.shared and starts:
        first = starts[0].size
        if not math.isclose(first[0] / first[1], camera.size[0] / camera.size[1], rel_tol=0.01):
            raise InputError(
                f"intrinsics.shared: '{starts[0].name}' has images of {first[1]}x{first[0]}, '{folder}' of "
                f"{camera.size[1]}x{camera.size[0]} pixels, which one camera cannot give; set it to false"
            )
