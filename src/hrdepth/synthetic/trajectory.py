"""Where the camera drives: straights and curves along a winding street."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.synthetic.mesh import Array

__all__ = ["CAMERA_HEIGHT", "Course", "Trajectory", "plan_trajectory", "rotation"]

CAMERA_HEIGHT = 1.65  # metres above the road, as in KITTI
AHEAD, BEHIND = 150.0, 15.0  # metres of street after the last and before the first frame
SUBSTEPS = 4  # course points a frame
MAX_HEADING = 10.0  # degrees: a street that points further aside than this bends back


@dataclass(frozen=True)
class Course:
    """The line on the road below the camera, densely sampled.

    Attributes:
        points: (M,2) world x and z in metres.
        headings: (M,) radians, 0 along +z, positive to the right (+x).
        distances: (M,) metres along the line, 0 at the first frame.
    """

    points: Array
    headings: Array
    distances: Array

    def place(self, distance: Array | float, offset: Array | float) -> Array:
        """Turn course coordinates into world coordinates.

        Args:
            distance: metres along the course.
            offset: metres to the right of it; broadcasts against `distance`.

        Returns:
            (...,2) world x and z in metres.
        """
        distance, offset = np.broadcast_arrays(np.asarray(distance, float), np.asarray(offset, float))
        heading = self.heading(distance)
        x = np.interp(distance, self.distances, self.points[:, 0]) + offset * np.cos(heading)
        z = np.interp(distance, self.distances, self.points[:, 1]) - offset * np.sin(heading)
        return np.stack([x, z], axis=-1)

    def heading(self, distance: Array | float) -> Array:
        """Return the heading in radians at `distance` metres along the course."""
        return np.asarray(np.interp(distance, self.distances, self.headings))

    def line(self, distance: Array | float, offset: Array | float, up: Array | float) -> Array:
        """Return world points (...,3) `up` metres above the road; see `place` for the other coordinates."""
        ground = self.place(distance, offset)
        return np.stack([ground[..., 0], np.broadcast_to(-np.asarray(up), ground.shape[:-1]), ground[..., 1]], -1)

    def walk(
        self, rng: np.random.Generator, shortest: float, longest: float, span: tuple[float, float] | None = None
    ) -> Iterator[float]:
        """Yield distances within `span`, or along the whole course, at intervals of `shortest` to `longest` metres."""
        first, last = span or (self.distances[0], self.distances[-1])
        distance = float(first + rng.uniform(0, longest))
        while distance < last:
            yield distance
            distance += float(rng.uniform(shortest, longest))

    def offsets(self, points: Array) -> Array:
        """Return how far `points` (N,2) are from the course in metres, (N,), positive to the right of it."""
        delta = points[:, None] - self.points[None]  # (N,M,2)
        squared = (delta**2).sum(-1)
        nearest = squared.argmin(1)
        rows = np.arange(len(points))
        heading = self.headings[nearest]
        right = delta[rows, nearest, 0] * np.cos(heading) - delta[rows, nearest, 1] * np.sin(heading)
        return np.asarray(np.copysign(np.sqrt(squared[rows, nearest]), right))


@dataclass(frozen=True)
class Trajectory:
    """Camera poses and the course below them.

    Attributes:
        poses: (N,4,4) camera to world, metres; x right, y down, z forward; the road is the plane y = 0.
        course: the street's reference line, longer than the drive at both ends.
    """

    poses: Array
    course: Course

    def distance(self, frame: int) -> float:
        """Return where a frame was taken, in metres along the course."""
        away = ((self.course.points - self.poses[frame, [0, 2], 3]) ** 2).sum(axis=1)
        return float(self.course.distances[away.argmin()])


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Return the rotation (3,3) of a camera by radians to the right, upwards and clockwise, in this order."""
    (cos_y, cos_p, cos_r), (sin_y, sin_p, sin_r) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_x = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    about_z = np.array([[cos_r, -sin_r, 0], [sin_r, cos_r, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def plan_trajectory(frames: int, seed: int = 0) -> Trajectory:
    """Plan a drive of straights and curves; at least a third of the frames turn by 2 degrees or more.

    The car moves 0.6 to 1.0 m a frame, slower in curves, and nods a little (0.2 degrees). The street bends
    back and forth, so that it never crosses itself. A longer drive with the same seed begins alike.

    Args:
        frames: number of frames, at least 1.
        seed: of the pattern.

    Raises:
        InputError: `frames` is not positive.

    Example:
        >>> trajectory = plan_trajectory(30)
        >>> trajectory.poses.shape, round(float(trajectory.poses[0, 1, 3]), 1)
        ((30, 4, 4), -1.7)
    """
    if frames < 1:
        raise InputError(f"a drive needs at least 1 frame, not {frames}")
    steps, turns = _plan_steps(np.random.default_rng([seed, 1]), frames)
    course, knots = _integrate(steps, turns)
    nods = _nods(np.random.default_rng([seed, 2]), frames)
    knots = knots[:frames]
    poses = [_pose(course.points[k], course.headings[k], *nod) for k, nod in zip(knots, nods, strict=True)]
    return Trajectory(np.stack(poses), course)


def _plan_steps(rng: np.random.Generator, frames: int) -> tuple[Array, Array]:
    """Return metres and radians from each frame to the next, beyond the last frame for `AHEAD` metres."""
    steps: list[float] = []
    turns: list[float] = []
    heading, first = 0.0, True
    while len(steps) < frames or sum(steps[frames - 1 :]) < AHEAD:
        straight = int(rng.integers(4, 7)) if first else int(rng.integers(8, 15))
        curve, rate = int(rng.integers(11, 16)), float(rng.uniform(2.15, 2.9))
        sign = -np.sign(heading) if abs(heading) > MAX_HEADING else rng.choice([-1.0, 1.0])
        turn = [0.0] * straight + [rate / 2, *[rate] * curve, rate / 2]
        speed = float(rng.uniform(0.75, 0.95))
        target = np.where(np.array(turn) > 0, 0.7, speed)
        previous = steps[-1] if steps else speed
        for value, wanted in zip(turn, target, strict=True):
            previous += float(np.clip(wanted - previous, -0.05, 0.05))
            steps.append(previous)
            turns.append(sign * np.radians(value))
        heading += float(sign * sum(turn))
        first = False
    return np.array(steps), np.array(turns)


def _integrate(steps: Array, turns: Array) -> tuple[Course, NDArray[np.int64]]:
    """Join steps and turns to a course; also return the index of each frame's point on it."""
    length = np.repeat(steps, SUBSTEPS) / SUBSTEPS
    turn = np.repeat(turns, SUBSTEPS) / SUBSTEPS
    heading = np.concatenate([[0.0], np.cumsum(turn)])
    middle = heading[:-1] + turn / 2
    moves = np.stack([np.sin(middle), np.cos(middle)], 1) * length[:, None]
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, 0)])
    distances = np.concatenate([[0.0], np.cumsum(length)])
    before = np.arange(-BEHIND, 0.0, 0.5)
    course = Course(
        np.concatenate([np.stack([np.zeros_like(before), before], 1), points]),
        np.concatenate([np.zeros_like(before), heading]),
        np.concatenate([before, distances]),
    )
    return course, len(before) + SUBSTEPS * np.arange(len(steps))


def _nods(rng: np.random.Generator, frames: int) -> Array:
    """Return smooth (pitch, roll) in radians and lift in metres, (frames,3)."""
    phases, time = rng.uniform(0, 2 * np.pi, (3, 2)), np.arange(frames)[:, None]
    waves = np.sin(time * 2 * np.pi / 11 + phases[:, 0]) + 0.5 * np.sin(time * 2 * np.pi / 5.3 + phases[:, 1])
    return np.asarray(waves / 1.5 * np.array([np.radians(0.2), np.radians(0.1), 0.008]))


def _pose(point: Array, heading: float, pitch: float, roll: float, lift: float) -> Array:
    """Camera to world from position on the road, heading, pitch (up is positive), roll and lift."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(heading, pitch, roll)
    pose[:3, 3] = [point[0], -CAMERA_HEIGHT - lift, point[1]]
    return pose
