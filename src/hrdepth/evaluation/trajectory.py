"""Camera trajectories: chained from motions, compared with true ones, read and written.

A trajectory is (N,4,4), camera to world, in temporal order. Errors are those of the literature: the absolute
trajectory error of five-frame snippets, that of the whole drive after alignment, and KITTI's errors by segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config.safe_yaml import read_text
from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, existing_file

__all__ = [
    "align",
    "chain",
    "check_motion",
    "read_poses",
    "read_rows",
    "segment_errors",
    "snippet_error",
    "trajectory_error",
    "write_kitti",
    "write_tum",
]

Poses = NDArray[np.float64]
# KITTI's: metres, and frames between two starts.
SEGMENT_LENGTHS = (100, 200, 300, 400, 500, 600, 700, 800)
SEGMENT_STEP = 10
LEAST_MOTION = 1e-3  # metres
LARGEST = 1e9  # of a number in a file: squares of larger ones would overflow
ROUNDED = 0.05  # how far a rotation times its transpose may be from the identity


def chain(motions: Poses) -> Poses:
    """Chain motions to a trajectory that starts at the origin.

    Args:
        motions: (N-1,4,4), each the transform of points from a frame's camera to that of the next.

    Returns:
        (N,4,4), camera to world; the first camera is the origin.

    Example:
        >>> ahead = np.eye(4); ahead[2, 3] = -1.0   # points come nearer by one unit
        >>> chain(np.stack([ahead, ahead]))[:, 2, 3].tolist()
        [0.0, 1.0, 2.0]
    """
    poses = [np.eye(4)]
    for motion in motions:
        poses.append(poses[-1] @ np.linalg.inv(motion))
    return np.stack(poses)


def snippet_error(true: Poses, predicted: Poses, length: int = 5) -> tuple[float, float]:
    """Return mean and standard deviation of the absolute trajectory error over all snippets of `length` frames.

    Each snippet starts at the origin and gets its own least-squares scale; the error is the root mean square distance
    of its cameras, in the unit of `true`. Published tables divide the root of the summed squares by the number of
    frames, and so have numbers smaller by the root of `length`.

    Raises:
        InputError: the trajectories have different lengths or fewer than `length` frames, or the true one does not
            move.

    Source: Zhou et al., Unsupervised Learning of Depth and Ego-Motion from Video, section 4.2.
    """
    _check_pair(true, predicted, length)
    check_motion(true)
    errors = []
    for start in range(len(true) - length + 1):
        a = _relative(true[start : start + length])[:, :3, 3]
        b = _relative(predicted[start : start + length])[:, :3, 3]
        moved = float((b * b).sum())
        scale = float((a * b).sum()) / moved if moved > 0 else 0.0
        errors.append(float(np.sqrt(((a - scale * b) ** 2).sum(axis=1).mean())))
    return float(np.mean(errors)), float(np.std(errors))


def align(true: Poses, predicted: Poses, *, scale: bool = True) -> tuple[Poses, float]:
    """Translate, rotate and scale a trajectory onto the true one, by least squares over the cameras' positions.

    Args:
        true: (N,4,4).
        predicted: (N,4,4).
        scale: fit the scale too, else 1.

    Returns:
        The aligned trajectory (N,4,4) and the scale.

    Raises:
        InputError: the trajectories have different lengths, fewer than 3 frames, or one of them does not move.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991.
    """
    _check_pair(true, predicted, 3)
    a, b = true[:, :3, 3], predicted[:, :3, 3]
    check_motion(true)
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    u, spread, v = np.linalg.svd((a - centre_a).T @ (b - centre_b) / len(a))
    variance = float(((b - centre_b) ** 2).sum(axis=1).mean())
    if not variance > 0:
        raise InputError("the predicted trajectory does not move, so it cannot be aligned with the true one")
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    rotation = u @ mirror @ v
    factor = float((spread * np.diag(mirror)).sum()) / variance if scale else 1.0
    aligned = predicted.copy()
    aligned[:, :3, :3] = rotation @ predicted[:, :3, :3]
    aligned[:, :3, 3] = factor * (b - centre_b) @ rotation.T + centre_a
    return aligned, factor


def check_motion(true: Poses) -> None:
    """Check that a true trajectory (N,4,4), in metres, moves: any other fits one that stands still, scaled by 0.

    Raises:
        InputError: the camera moves by less than a millimetre in all.
    """
    if not np.ptp(true[:, :3, 3], axis=0).max() > LEAST_MOTION:
        raise InputError("the true trajectory does not move, so that no trajectory can be compared with it")


def trajectory_error(true: Poses, aligned: Poses) -> float:
    """Return the root mean square distance of the cameras of two trajectories (N,4,4), in their unit."""
    _check_pair(true, aligned, 1)
    return float(np.sqrt(((true[:, :3, 3] - aligned[:, :3, 3]) ** 2).sum(axis=1).mean()))


def segment_errors(true: Poses, predicted: Poses, lengths: Sequence[float] = SEGMENT_LENGTHS) -> dict[str, Any]:
    """Return KITTI's errors over all segments of 100, 200, ... 800 m that start at every tenth frame.

    Args:
        true: (N,4,4) in metres.
        predicted: (N,4,4) in metres; a segment's error is that of its last pose relative to its first.
        lengths: metres.

    Returns:
        `translation_percent`, `rotation_degrees_per_100m`, both None if no segment is long enough; `segments`: their
        number; `by_length`: the same for each length.

    Source: the KITTI odometry benchmark (Geiger et al., CVPR 2012).
    """
    _check_pair(true, predicted, 2)
    distance = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(true[:, :3, 3], axis=0), axis=1))])
    found: dict[float, list[tuple[float, float]]] = {}
    for start in range(0, len(true), SEGMENT_STEP):
        for length in lengths:
            end = int(np.searchsorted(distance, distance[start] + length, side="right"))
            if end >= len(true):
                continue
            moved = np.linalg.inv(true[start]) @ true[end]
            predicted_motion = np.linalg.inv(predicted[start]) @ predicted[end]
            error = np.linalg.inv(predicted_motion) @ moved
            angle = np.arccos(np.clip((np.trace(error[:3, :3]) - 1) / 2, -1.0, 1.0))
            found.setdefault(length, []).append(
                (float(np.linalg.norm(error[:3, 3])) / length, float(np.degrees(angle)) / length)
            )

    def mean(pairs: list[tuple[float, float]]) -> dict[str, Any]:
        if not pairs:
            return {"translation_percent": None, "rotation_degrees_per_100m": None, "segments": 0}
        translation, rotation = np.mean(pairs, axis=0)
        return {
            "translation_percent": 100 * float(translation),
            "rotation_degrees_per_100m": 100 * float(rotation),
            "segments": len(pairs),
        }

    everything = [pair for pairs in found.values() for pair in pairs]
    return {**mean(everything), "by_length": {f"{length:g}": mean(found[length]) for length in sorted(found)}}


def read_poses(path: str | Path) -> Poses:
    """Read a trajectory (N,4,4) in KITTI's format: 12 numbers per line, camera to world, row by row.

    Raises:
        InputError: the file does not exist or holds something else.
    """
    rows = read_rows(path, 12, "a pose, camera to world, in KITTI's format,")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows.reshape(-1, 3, 4)
    rotations = poses[:, :3, :3]
    off = np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero((off > ROUNDED) | (np.linalg.det(rotations) < 0))
    if wrong.size:
        raise InputError(
            f"{path}: pose {wrong[0] + 1} of {len(poses)} holds no rotation: its first three columns must be "
            "perpendicular, of length 1, and have determinant 1, "
            f"not {np.linalg.det(rotations[wrong[0]]):.3g}"
        )
    return poses


def read_rows(path: str | Path, columns: int, what: str) -> NDArray[np.float64]:
    """Read a text file of (N,columns) numbers, a line per frame; `what` describes a line in messages.

    Raises:
        InputError: the file does not exist, is empty, or holds something else or numbers beyond 1e9.
    """
    file = existing_file(path, "the file of the frames")
    wanted = f"{file} must give {what} per line: {columns} numbers between -1e9 and 1e9"
    text = read_text(file)
    if not text.strip():
        raise InputError(f"{file} is empty; it must give {what} per line")
    try:
        rows = np.loadtxt(StringIO(text), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise InputError(f"{wanted} ({error})") from error
    if rows.shape[1] != columns or not (np.abs(rows) <= LARGEST).all():
        raise InputError(wanted)
    return rows


def write_kitti(path: str | Path, poses: Poses) -> None:
    """Write a trajectory (N,4,4), 12 numbers per line."""
    with atomic_path(path) as temporary:
        np.savetxt(temporary, poses[:, :3].reshape(len(poses), 12), fmt="%.9e")


def write_tum(path: str | Path, poses: Poses, times: NDArray[np.float64]) -> None:
    """Write a trajectory (N,4,4) with its times in seconds (N): `time tx ty tz qx qy qz qw` per line."""
    rows = [[time, *pose[:3, 3], *_quaternion(pose[:3, :3])] for time, pose in zip(times, poses, strict=True)]
    with atomic_path(path) as temporary:
        np.savetxt(temporary, np.array(rows), fmt="%.9f", header="time tx ty tz qx qy qz qw")


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x, y, z, w of a rotation (3,3), w not negative: the eigenvector of Bar-Itzhack's matrix."""
    r = rotation
    matrix = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    quaternion = np.asarray(np.linalg.eigh(matrix / 3)[1][:, -1])  # eigh reads the lower half
    return -quaternion if quaternion[3] < 0 else quaternion


def _relative(poses: Poses) -> Poses:
    return np.asarray(np.linalg.inv(poses[0]) @ poses)


def _check_pair(true: Poses, predicted: Poses, least: int) -> None:
    if true.shape != predicted.shape:
        raise InputError(
            f"the true trajectory has {len(true)} poses, the predicted one {len(predicted)}; give the same number"
        )
    if len(true) < least:
        raise InputError(f"a trajectory of {len(true)} poses is too short; this error needs {least}")
