"""Trees and what else stands beside a street: lamps, signs, bins, hedges."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement

__all__ = ["add_bush", "add_conifer", "add_lamp", "add_sign", "add_tree"]


@lru_cache(maxsize=4)
def _sphere(rings: int = 7, segments: int = 12) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return unit-sphere vertices (V,3), texture coordinates (V,2) and faces (F,3)."""
    polar, azimuth = np.meshgrid(
        np.linspace(0, np.pi, rings + 1), np.linspace(0, 2 * np.pi, segments + 1), indexing="ij"
    )
    vertices = np.stack([np.sin(polar) * np.cos(azimuth), np.cos(polar), np.sin(polar) * np.sin(azimuth)], -1)
    uv = np.stack([azimuth / np.pi, polar / np.pi], -1)
    index = np.arange(vertices[..., 0].size).reshape(rings + 1, segments + 1)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return vertices.reshape(-1, 3), uv.reshape(-1, 2), faces


def _add_blob(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, centre: Array, radii: Array, material: str
) -> None:
    """A dented ellipsoid."""
    vertices, uv, faces = _sphere()
    waves = rng.normal(0, 2.4, (6, 3))
    dents = 1 + 0.07 * np.sin(vertices @ waves.T + rng.uniform(0, 6, 6)).sum(1)
    points = place(centre + vertices * dents[:, None] * radii)
    triangles = points[faces]
    edges = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    solid = np.linalg.norm(edges, axis=1) > 1e-9  # at the poles half of the triangles are flat
    texture = uv * max(1.0, float(radii.max()) / 1.4) + rng.uniform(0, 1, 2)
    builder.triangles(triangles[solid], texture[faces][solid], material, inside=place(centre))


def add_tree(builder: MeshBuilder, rng: np.random.Generator, place: Placement, size: float = 1.0) -> None:
    """Add a broad-leaved tree, about 7 m high times `size`."""
    trunk = size * rng.uniform(2.2, 3.0)
    builder.prism(place, (0, 0, 0), 0.17 * size, trunk + 0.8, "bark", taper=0.75)
    material = f"leaves-{int(rng.choice(4, p=[0.36, 0.3, 0.26, 0.08]))}"
    crown = trunk + 1.3 * size
    for _ in range(int(rng.integers(5, 8))):
        shift = np.array([rng.normal(0, 0.7), rng.normal(0.4, 0.75), rng.normal(0, 0.7)]) * size
        radii = np.array([rng.uniform(0.9, 1.5), rng.uniform(0.8, 1.3), rng.uniform(0.9, 1.5)]) * size
        shift[1] = max(shift[1], radii[1] - 1.5 * size)
        _add_blob(builder, rng, place, np.array([0, crown, 0]) + shift, radii, material)


def add_conifer(builder: MeshBuilder, rng: np.random.Generator, place: Placement, size: float = 1.0) -> None:
    """Add a fir of stacked cones, about 8 m high times `size`."""
    builder.prism(place, (0, 0, 0), 0.15 * size, 1.6 * size, "bark")
    for level in range(4):
        radius = (1.7 - 0.36 * level) * size * rng.uniform(0.9, 1.1)
        foot = (1.0 + 1.5 * level) * size
        builder.prism(place, (0, foot, 0), radius, 2.6 * size, "needles", sides=10, taper=0.02)
        ring = np.linspace(0, 2 * np.pi, 11)[:-1]
        disc = np.stack([radius * np.cos(ring), np.full(10, foot), radius * np.sin(ring)], 1)
        uv = 0.5 + 0.4 * np.stack([np.cos(ring), np.sin(ring)], 1)
        builder.polygon(place(disc), uv, "needles", inside=place((0, foot + 1, 0)))


def add_bush(builder: MeshBuilder, rng: np.random.Generator, place: Placement, size: float = 1.0) -> None:
    """Add a bush, about 1 m high times `size`."""
    material = f"leaves-{int(rng.integers(3))}"
    for _ in range(2):
        centre = np.array([rng.normal(0, 0.25), 0.4, rng.normal(0, 0.25)]) * size
        _add_blob(builder, rng, place, centre, np.array([0.7, 0.65, 0.7]) * size, material)


def add_lamp(builder: MeshBuilder, place: Placement) -> None:
    """Add a street lamp that reaches out towards local -right."""
    builder.prism(place, (0, 0, 0), 0.12, 0.9, "metal")
    builder.prism(place, (0, 0.9, 0), 0.07, 4.9, "metal", taper=0.7)
    builder.box(place, (-1.5, 5.7, -0.04), (0.05, 5.8, 0.04), "metal")
    builder.box(place, (-2.0, 5.66, -0.13), (-1.3, 5.84, 0.13), ("lamp", "lamp", "metal"))


def add_sign(builder: MeshBuilder, place: Placement, kind: int) -> None:
    """Add a traffic sign that faces local -forward; `kind` 0 is round, 1 square, 2 on a board."""
    builder.prism(place, (0, 0, 0), 0.04, 2.2, "metal")
    if kind == 0:
        angles = np.linspace(0, 2 * np.pi, 21)[:-1]
        outline = np.stack([np.cos(angles), np.sin(angles)], 1)
    else:
        outline = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    outline = 0.36 * outline
    uv = np.stack([0.5 + outline[:, 0] / 0.72, 0.5 - outline[:, 1] / 0.72], 1)
    for forward, material in ((-0.06, f"sign-{kind}"), (-0.05, "sign-back")):
        corners = np.stack([outline[:, 0], 2.4 + outline[:, 1], np.full(len(outline), forward)], 1)
        builder.polygon(place(corners), uv, material, inside=place((0, 2.4, -0.055)))
