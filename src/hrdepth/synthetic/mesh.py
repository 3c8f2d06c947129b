"""Triangles with texture coordinates, collected by material."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Mesh", "MeshBuilder", "Placement", "cross", "grid_triangles", "ribbon"]

Array = NDArray[np.float64]
UNIT_SQUARE = ((0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0))  # texture corners: bottom left, round to top left


def cross(one: Array, two: Array) -> Array:
    """Return the cross product of vectors (...,3); much faster than NumPy's on few of them."""
    x1, y1, z1 = one[..., 0], one[..., 1], one[..., 2]
    x2, y2, z2 = two[..., 0], two[..., 1], two[..., 2]
    result = np.empty(np.broadcast_shapes(one.shape, two.shape))
    result[..., 0], result[..., 1], result[..., 2] = y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2
    return result


def grid_triangles(grid: Array) -> Array:
    """Return the triangles (2(N-1)(M-1),3,C) of a grid's cells (N,M,C): first halves, then second halves."""
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]
    halves = [np.stack(half, 2).reshape(-1, 3, grid.shape[-1]) for half in ((a, b, c), (a, c, d))]
    return np.concatenate(halves)


def ribbon(edges: Sequence[Array], run: Array, reach: float) -> list[tuple[Array, Array]]:
    """Return both halves of a ribbon's cells as triangles (N-1,3,3) with their uv (N-1,3,2).

    Args:
        edges: two lines of points (N,3).
        run: v of each point, (N,).
        reach: u at the second edge; it is 0 at the first.
    """
    lines = (edges, [np.stack([np.full_like(run, u), run], 1) for u in (0.0, reach)])
    first = [np.stack([low[:-1], high[1:], low[1:]], 1) for low, high in lines]
    second = [np.stack([low[:-1], high[:-1], high[1:]], 1) for low, high in lines]
    return [(first[0], first[1]), (second[0], second[1])]


class Mesh:
    """Triangles of one material.

    Attributes:
        vertices: (F,3,3) corners in world metres, wound so that the normal points outwards.
        uv: (F,3,2) texture coordinates: u along the image's columns, v down its rows, 1 is all of it.
    """

    def __init__(self, vertices: Array, uv: Array) -> None:
        self.vertices, self.uv = vertices, uv

    @property
    def normals(self) -> Array:
        """(F,3) unit normals."""
        normal = np.cross(self.vertices[:, 1] - self.vertices[:, 0], self.vertices[:, 2] - self.vertices[:, 0])
        return np.asarray(normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12))


class Placement:
    """A local frame on the ground: `right`, `up` and `forward` in metres from an origin.

    Args:
        origin: world x and z of the local origin in metres.
        heading: where local forward points, radians from world +z, positive to the right.
        lift: metres of the local origin above the road's plane.
    """

    def __init__(self, origin: ArrayLike, heading: float, lift: float = 0.0) -> None:
        self.origin, self.heading, self.lift = np.asarray(origin, float), float(heading), lift

    def __call__(self, local: ArrayLike) -> Array:
        """Turn (...,3) right, up, forward into (...,3) world x, y (down), z."""
        local = np.asarray(local, float)
        right, up, forward = local[..., 0], local[..., 1], local[..., 2]
        cos, sin = np.cos(self.heading), np.sin(self.heading)
        x = self.origin[0] + right * cos + forward * sin
        z = self.origin[1] - right * sin + forward * cos
        return np.stack([x, -up - self.lift, z], axis=-1)


class MeshBuilder:
    """Collects triangles by material name.

    Example:
        >>> builder = MeshBuilder()
        >>> builder.box(Placement((0, 5), 0.0), (-1, 0, -1), (1, 2, 1), "stone")
        >>> {name: mesh.vertices.shape for name, mesh in builder.meshes().items()}
        {'stone': (10, 3, 3)}
    """

    def __init__(self) -> None:
        self._parts: dict[str, list[tuple[Array, Array]]] = {}

    def meshes(self) -> dict[str, Mesh]:
        """Return one mesh a material."""
        return {
            name: Mesh(np.concatenate([v for v, _ in parts]), np.concatenate([t for _, t in parts]))
            for name, parts in self._parts.items()
        }

    def triangles(self, vertices: Array, uv: Array, material: str, *, inside: ArrayLike | None = None) -> None:
        """Add triangles (F,3,3) with their uv (F,3,2), turned so that the point `inside` is behind them."""
        vertices, uv = np.asarray(vertices, float), np.asarray(uv, float)
        if inside is not None:
            normal = cross(vertices[:, 1] - vertices[:, 0], vertices[:, 2] - vertices[:, 0])
            wrong = ((vertices.mean(1) - np.asarray(inside)) * normal).sum(1) < 0
            vertices, uv = vertices.copy(), uv.copy()
            vertices[wrong] = vertices[wrong][:, ::-1]
            uv[wrong] = uv[wrong][:, ::-1]
        self._parts.setdefault(material, []).append((vertices, uv))

    def polygon(self, corners: ArrayLike, uv: ArrayLike, material: str, *, inside: ArrayLike | None = None) -> None:
        """Add a convex flat polygon, corners (N,3) in order with texture coordinates (N,2)."""
        corners, uv = np.asarray(corners, float), np.asarray(uv, float)
        fan = np.array([[0, i, i + 1] for i in range(1, len(corners) - 1)])
        self.triangles(corners[fan], uv[fan], material, inside=inside)

    def box(
        self,
        place: Placement,
        low: Sequence[float],
        high: Sequence[float],
        material: str | tuple[str, str, str],
        *,
        texel: float | None = None,
    ) -> None:
        """Add a box without its floor, corners `low` and `high` as local (right, up, forward) metres.

        Args:
            place: the local frame.
            low: least corner.
            high: greatest corner.
            material: one; or three: of the faces across `right`, of those across `forward`, of the top.
            texel: metres that one copy of the texture covers; None stretches one copy over each face.
        """
        names = (material,) * 3 if isinstance(material, str) else material
        (r0, u0, f0), (r1, u1, f1) = low, high
        inside = place(((r0 + r1) / 2, (u0 + u1) / 2, (f0 + f1) / 2))
        sides = [
            ([(r0, u0, f0), (r0, u0, f1), (r0, u1, f1), (r0, u1, f0)], names[0], (f1 - f0, u1 - u0)),
            ([(r1, u0, f1), (r1, u0, f0), (r1, u1, f0), (r1, u1, f1)], names[0], (f1 - f0, u1 - u0)),
            ([(r1, u0, f0), (r0, u0, f0), (r0, u1, f0), (r1, u1, f0)], names[1], (r1 - r0, u1 - u0)),
            ([(r0, u0, f1), (r1, u0, f1), (r1, u1, f1), (r0, u1, f1)], names[1], (r1 - r0, u1 - u0)),
            ([(r0, u1, f0), (r1, u1, f0), (r1, u1, f1), (r0, u1, f1)], names[2], (r1 - r0, f1 - f0)),
        ]
        for corners, name, extent in sides:
            repeat = np.ones(2) if texel is None else np.array(extent) / texel
            self.polygon(place(corners), np.array(UNIT_SQUARE) * repeat, name, inside=inside)

    def prism(
        self,
        place: Placement,
        centre: Sequence[float],
        radius: float,
        height: float,
        material: str,
        *,
        sides: int = 8,
        taper: float = 1.0,
    ) -> None:
        """Add an upright prism on its foot at local `centre`; with `taper` < 1 it narrows to the top."""
        angles = np.linspace(0, 2 * np.pi, sides + 1)
        ring = np.stack([np.cos(angles), np.zeros_like(angles), np.sin(angles)], 1)
        foot = np.asarray(centre) + radius * ring
        rise = np.array([0.0, height, 0.0])
        top = np.asarray(centre) + rise + radius * taper * ring
        inside = place(np.asarray(centre) + rise / 2)
        quads = place(np.stack([foot[:-1], foot[1:], top[1:], top[:-1]], 1))  # (sides,4,3)
        left = np.arange(sides) / sides
        uv = np.stack(
            [np.stack([left, left + 1 / sides, left + 1 / sides, left], 1), np.tile([1.0, 1, 0, 0], (sides, 1))], 2
        )
        for half in ([0, 1, 2], [0, 2, 3]):
            self.triangles(quads[:, half], uv[:, half], material, inside=inside)
        self.polygon(place(top[:-1]), 0.5 + 0.4 * ring[:-1][:, [0, 2]], material, inside=inside)
