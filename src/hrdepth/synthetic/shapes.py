"""Rounded and angular solids in the palette's colours: tubes, capsules, ellipsoids, boxes, hulls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement, cross, grid_triangles
from hrdepth.synthetic.textures import PALETTE, cell_uv

__all__ = ["Sculptor", "level", "point"]


def point(right: float, up: float, forward: float) -> Array:
    """Return local coordinates (3,) in metres."""
    return np.array([right, up, forward], float)


def level(up: float, right: tuple[float, float], forward: tuple[float, float]) -> list[tuple[float, float, float]]:
    """Return the corners of a horizontal rectangle at a height, between two bounds each way."""
    return [
        (right[0], up, forward[0]),
        (right[1], up, forward[0]),
        (right[1], up, forward[1]),
        (right[0], up, forward[1]),
    ]


class Sculptor:
    """Adds solids of one local frame to a builder; all lengths are local (right, up, forward) metres.

    Args:
        builder: collects the triangles.
        place: the local frame.
    """

    def __init__(self, builder: MeshBuilder, place: Placement) -> None:
        self.builder, self.place = builder, place

    def tube(self, centres: ArrayLike, first: ArrayLike, second: ArrayLike, colour: str, *, segments: int = 8) -> None:
        """Add a closed skin over elliptic rings.

        Args:
            centres: (N,3) of the rings.
            first: (N,3) or (3,), from the centre to the ring at angle 0.
            second: the same at 90 degrees.
            colour: of the palette.
            segments: corners of a ring.
        """
        centres = np.asarray(centres, float)
        shape = centres.shape
        cos, sin = _circle(segments)
        across = np.broadcast_to(np.asarray(first, float), shape)[:, None] * cos
        along = np.broadcast_to(np.asarray(second, float), shape)[:, None] * sin
        rings = centres[:, None] + across + along  # (N,S,3)
        faces, behind, uv = _tube_faces(shape[0], segments)
        points = np.concatenate([rings.reshape(-1, 3), centres[[0, -1]]])
        middles = np.concatenate([(centres[:-1] + centres[1:]) / 2, centres.mean(0, keepdims=True)])
        self._add(points[faces], uv, middles[behind], colour)

    def capsule(
        self, start: ArrayLike, end: ArrayLike, radius: float, colour: str, *, end_radius: float | None = None
    ) -> None:
        """Add a rod with round ends from `start` to `end`; its radius may change to `end_radius`."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        axis, first, second = _frame(end - start)
        last = radius if end_radius is None else end_radius
        rise, shrink = np.array([-0.95, -0.6, 0.0]), np.array([0.31, 0.8, 1.0])
        centres = np.concatenate([start + radius * rise[:, None] * axis, end - last * rise[::-1, None] * axis])
        radii = np.concatenate([radius * shrink, last * shrink[::-1]])[:, None]
        self.tube(centres, radii * first, radii * second, colour, segments=7)

    def rod(self, start: ArrayLike, end: ArrayLike, radius: float, colour: str, *, segments: int = 6) -> None:
        """Add a cylinder with flat ends from `start` to `end`."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        _, first, second = _frame(end - start)
        self.tube([start, end], radius * first, radius * second, colour, segments=segments)

    def path(self, points: ArrayLike, radii: ArrayLike, colour: str, *, segments: int = 6) -> None:
        """Add a bent tube along `points` (N,3) with radii (N,) or one radius."""
        points = np.asarray(points, float)
        widths = np.broadcast_to(np.asarray(radii, float), (len(points),))
        steps = np.gradient(points, axis=0)
        _, first, _ = _frame(points[-1] - points[0] + 1e-9)
        unit = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-9)
        one = first - (unit @ first)[:, None] * unit
        one /= np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9)
        two = cross(unit, one)
        self.tube(points, widths[:, None] * one, widths[:, None] * two, colour, segments=segments)

    def ring(self, centre: ArrayLike, radius: float, thickness: float, *, turn: float = 0.0) -> None:
        """Add an upright wheel's tyre: a torus around local right, turned by `turn` about the vertical."""
        angles = np.linspace(0, 2 * np.pi, 19)
        heading = np.array([np.sin(turn), 0.0, np.cos(turn)])
        side = np.array([np.cos(turn), 0.0, -np.sin(turn)])
        spoke = np.sin(angles)[:, None] * np.array([0.0, 1.0, 0.0]) + np.cos(angles)[:, None] * heading
        centres = np.asarray(centre, float) + radius * spoke
        around = np.linspace(0, 2 * np.pi, 5)
        rings = centres[:, None] + thickness * (
            np.cos(around)[None, :, None] * spoke[:, None] + np.sin(around)[None, :, None] * side
        )
        u, v = np.meshgrid(np.linspace(1, 0, 19), np.linspace(0, 1, 5), indexing="ij")
        middles = (centres[:-1] + centres[1:]) / 2
        inside = np.tile(np.repeat(middles, 4, axis=0), (2, 1))
        self._add(grid_triangles(rings), grid_triangles(np.stack([v, u], -1)), inside, "tyre")

    def wheel(self, centre: ArrayLike, radius: float, half_width: float) -> None:
        """Add a thick wheel around local right: tyre and rim."""
        centre = np.asarray(centre, float)
        for size, reach, colour in ((radius, half_width, "tyre"), (0.6 * radius, half_width + 0.012, "rim")):
            ends = [centre - [reach, 0, 0], centre + point(reach, 0, 0)]
            self.tube(ends, (0.0, size, 0.0), (0.0, 0.0, size), colour, segments=14)

    def ellipsoid(self, centre: ArrayLike, radii: ArrayLike, colour: str, *, segments: int = 10) -> None:
        """Add an ellipsoid with its axes along right, up and forward."""
        centre, radii = np.asarray(centre, float), np.broadcast_to(np.asarray(radii, float), (3,))
        polar = np.linspace(-0.47 * np.pi, 0.47 * np.pi, 6)
        centres = centre + np.sin(polar)[:, None] * np.array([0.0, radii[1], 0.0])
        width = np.cos(polar)[:, None]
        self.tube(centres, width * [radii[0], 0, 0], width * [0, 0, radii[2]], colour, segments=segments)

    def box(self, low: ArrayLike, high: ArrayLike, colour: str) -> None:
        """Add a closed box between two opposite corners, whichever of their coordinates is greater."""
        self.frustum(np.minimum(low, high).tolist(), np.maximum(low, high).tolist(), colour)

    def frustum(
        self,
        low: Sequence[float],
        high: Sequence[float],
        colour: str,
        *,
        inset: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """Add a box whose top is narrower by `inset` metres: at each side, at the rear, at the front."""
        (r0, u0, f0), (r1, u1, f1) = low, high
        side, rear, front = inset
        top = level(u1, (r0 + side, r1 - side), (f0 + rear, f1 - front))
        self.prismoid(level(u0, (r0, r1), (f0, f1)), top, colour)

    def prismoid(self, foot: ArrayLike, top: ArrayLike, colour: str) -> None:
        """Add the solid between two polygons of as many corners, each flat and convex, (N,3)."""
        points = np.concatenate([np.asarray(foot, float), np.asarray(top, float)])
        faces, uv = _prism_faces(len(points) // 2)
        self._add(points[faces], uv, points.mean(0), colour)

    def profile(self, outline: ArrayLike, low: float, high: float, colour: str) -> None:
        """Add a solid with a convex outline (N,2) in (forward, up), from local right `low` to `high`."""
        outline = np.asarray(outline, float)
        foot = np.stack([np.full(len(outline), low), outline[:, 1], outline[:, 0]], 1)
        top = np.stack([np.full(len(outline), high), outline[:, 1], outline[:, 0]], 1)
        self.prismoid(foot, top, colour)

    def _add(self, vertices: Array, uv: Array, inside: Array, colour: str) -> None:
        self.builder.triangles(self.place(vertices), cell_uv(colour, uv), PALETTE, inside=self.place(inside))


@lru_cache(maxsize=32)
def _circle(segments: int) -> tuple[Array, Array]:
    """Return cosines and sines around a circle, (S,1)."""
    angles = 2 * np.pi * np.arange(segments) / segments
    return np.cos(angles)[:, None], np.sin(angles)[:, None]


@lru_cache(maxsize=128)
def _tube_faces(rings: int, segments: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Return corners (F,3) of `rings` times `segments` points and two tips, which middle is behind each, and uv."""
    faces, behind, uv = [], [], []
    for ring in range(rings - 1):
        for corner in range(segments):
            a, b = ring * segments + corner, ring * segments + (corner + 1) % segments
            faces += [(a, b, b + segments), (a, b + segments, a + segments)]
            behind += [ring, ring]
            u0, u1 = corner / segments, (corner + 1) / segments
            v0, v1 = ring / (rings - 1), (ring + 1) / (rings - 1)
            uv += [[(u0, v0), (u1, v0), (u1, v1)], [(u0, v0), (u1, v1), (u0, v1)]]
    for start, tip in ((0, rings * segments), ((rings - 1) * segments, rings * segments + 1)):
        for corner in range(segments):
            faces.append((tip, start + corner, start + (corner + 1) % segments))
            behind.append(rings - 1)
            uv.append([(0.5, 0.5)] * 3)
    return np.array(faces), np.array(behind), np.array(uv)


@lru_cache(maxsize=32)
def _prism_faces(corners: int) -> tuple[NDArray[np.int64], Array]:
    """Return faces (F,3) of a solid between two polygons, foot first, with their uv (F,3,2)."""
    faces, uv = [], []
    for one in range(corners):
        two = (one + 1) % corners
        faces += [(one, two, two + corners), (one, two + corners, one + corners)]
        uv += [[(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)], [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)]]
    for start in (0, corners):
        for one in range(1, corners - 1):
            faces.append((start, start + one, start + one + 1))
            uv.append([(0.1, 0.1), (0.9, 0.1), (0.9, 0.9)])
    return np.array(faces), np.array(uv)


def _frame(axis: Array) -> tuple[Array, Array, Array]:
    """Return the unit axis and two unit vectors across it."""
    right, up, forward = (float(value) for value in axis)
    length = max((right * right + up * up + forward * forward) ** 0.5, 1e-9)
    right, up, forward = right / length, up / length, forward / length
    if abs(right) < 0.8:  # across the axis and local right, else across the axis and local forward
        wide = (up * up + forward * forward) ** 0.5
        first = (0.0, forward / wide, -up / wide)
    else:
        wide = (right * right + up * up) ** 0.5
        first = (up / wide, -right / wide, 0.0)
    a, b, c = first
    second = (up * c - forward * b, forward * a - right * c, right * b - up * a)
    return np.array([right, up, forward]), np.array(first), np.array(second)
