"""Trees, bushes, hedges and tufts of grass: simple ones of dented ellipsoids, leafy ones of branches and clumps."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor, point

__all__ = ["TREES", "add_bush", "add_conifer", "add_leafy_bush", "add_leafy_tree", "add_tree", "add_tufts"]

TREES = ("broad", "broad", "round", "poplar", "slim", "bare", "pine")
_BODY = np.array([(1.0, 0, 0), (-0.5, 0, 0.87), (-0.5, 0, -0.87), (0, 0.55, 0), (0, -0.55, 0)])
_FACES = np.array([(0, 1, 3), (1, 2, 3), (2, 0, 3), (0, 1, 4), (1, 2, 4), (2, 0, 4)])


def _add_clumps(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, centres: Array, sizes: Array, material: str
) -> None:
    """Add clumps of leaves: flat double pyramids at local `centres` (N,3) of `sizes` (N,), turned at random."""
    turns = np.linalg.qr(rng.standard_normal((len(centres), 3, 3)))[0]
    stretch = rng.uniform(0.7, 1.3, (len(centres), 1, 3))
    corners = centres[:, None] + (sizes[:, None, None] * stretch * _BODY) @ turns
    triangles = place(corners[:, _FACES].reshape(-1, 3, 3))
    uv = np.array([(0.0, 0.0), (0.35, 0.0), (0.15, 0.3)]) + rng.uniform(0, 1, (len(triangles), 1, 2))
    inside = place(np.repeat(centres, len(_FACES), axis=0))
    builder.triangles(triangles, uv, material, inside=inside)


def add_leafy_tree(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, kind: str, height: float, *, dense: float = 1.0
) -> None:
    """Add a tree of a kind in `TREES`, `height` metres high; `dense` scales how many clumps it has."""
    make = Sculptor(builder, place)
    bark = "birch" if kind == "slim" and rng.random() < 0.5 else str(rng.choice(["twig", "old-wood", "soil"]))
    girth = 0.016 * height * rng.uniform(0.7, 1.4)
    lean = np.array([rng.normal(0, 0.02), 0, rng.normal(0, 0.02)]) * height
    if kind == "pine":
        make.path([point(0, -0.1, 0), lean + point(0, height, 0)], [girth, 0.2 * girth], bark, segments=7)
        rise = np.sort(rng.uniform(rng.uniform(0.06, 0.4), 0.98, int(320 * dense)))
        spread = (1 - rise) * height * rng.uniform(0.2, 0.32)
        around = rng.uniform(0, 2 * np.pi, len(rise))
        reach = spread * np.sqrt(rng.uniform(0.1, 1, len(rise)))
        centres = np.stack([reach * np.cos(around), rise * height - 0.25 * reach, reach * np.sin(around)], 1)
        _add_clumps(builder, rng, place, centres, 0.1 + 0.036 * height * (1.15 - rise), "needles")
        return
    clear = height * {"poplar": 0.12, "slim": 0.35}.get(kind, rng.uniform(0.24, 0.42))
    fork = lean + point(0, clear, 0)
    trunk = [point(0, -0.1, 0), point(0, 0.12, 0), 0.5 * fork, fork]
    make.path(trunk, [1.5 * girth, 1.1 * girth, girth, 0.85 * girth], bark, segments=8)

    def add_branch(start: Array, axis: Array, length: float, radius: float, depth: int) -> None:
        """Add a branch that bends upwards and divides `depth` times."""
        bend = axis + rng.normal(0, 0.12, 3) + point(0, 0.12, 0)
        middle = start + 0.5 * length * axis
        end = middle + 0.5 * length * bend / np.linalg.norm(bend)
        make.path([start, middle, end], [radius, 0.8 * radius, 0.62 * radius], bark, segments=6 if radius > 0.05 else 4)
        for _ in range(int(rng.integers(2, 4)) if depth else 0):
            out = bend / np.linalg.norm(bend) + rng.normal(0, 0.55, 3)
            out[1] = max(out[1], -0.1)
            origin = end - 0.15 * length * rng.random() * axis
            add_branch(origin, out / np.linalg.norm(out), length * rng.uniform(0.6, 0.85), 0.55 * radius, depth - 1)

    up = 5.0 if kind in ("poplar", "slim") else 1.9
    for around in np.arange(int(rng.integers(3, 6))) * 2.4 + rng.uniform(0, 6):
        out = np.array([np.cos(around), up, np.sin(around)])
        length = 0.3 * height * rng.uniform(0.7, 1.1)
        add_branch(fork, out / np.linalg.norm(out), length, 0.6 * girth, 3 if kind == "bare" else 1)
    make.path([fork, lean + point(0, 0.8 * height, 0)], [0.8 * girth, 0.25 * girth], bark, segments=6)
    if kind == "bare":
        return
    # Leaves around a few lobes.
    width = height * {"poplar": 0.1, "slim": 0.17, "round": 0.27}.get(kind, rng.uniform(0.28, 0.4))
    low, high = clear * 0.9, height
    material = f"leaves-{int(rng.choice(4, p=[0.34, 0.3, 0.26, 0.1]))}"
    count = int(430 * dense)
    middle, half = (low + high) / 2, (high - low) / 2
    lobes = rng.normal(0, 0.42, (7, 3)).clip(-0.75, 0.75)
    radii = rng.uniform(0.38, 0.62, 7)
    lobes[0], radii[0] = 0.0, 0.62
    pick = rng.integers(0, 7, count)
    ball = rng.standard_normal((count, 3))
    ball *= (rng.uniform(0.35, 1, count) ** 0.5 / np.linalg.norm(ball, axis=1))[:, None]
    points = (lobes[pick] + radii[pick, None] * ball) * [width, half, width]
    centres = points + lean + point(0, middle, 0)
    centres[:, 1] = np.maximum(centres[:, 1], low)
    sizes = rng.uniform(0.75, 1.4, count) * 0.23 * (width * width * half) ** (1 / 3) / dense ** (1 / 3)
    _add_clumps(builder, rng, place, centres, sizes.clip(0.12, 0.9), material)


def add_leafy_bush(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, size: tuple[float, float, float], count: int = 40
) -> None:
    """Add a bush or a piece of hedge that fills a box of `size` (right, up, forward), centred on its foot."""
    centres = rng.uniform(-0.5, 0.5, (count, 3)) * size
    centres[:, 1] += size[1] / 2
    sizes = rng.uniform(0.6, 1.2, count) * 0.62 * (size[0] * size[1] * size[2] / count) ** (1 / 3) * 1.3
    _add_clumps(builder, rng, place, centres, sizes, str(rng.choice(["leaves-0", "leaves-1", "leaves-2", "hedge"])))


def add_tufts(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, size: tuple[float, float], height: float
) -> None:
    """Add tufts of grass on an area of `size` (right, forward) around the local origin."""
    count = 40
    foot = rng.uniform(-0.5, 0.5, (count, 2)) * size
    tall = height * rng.uniform(0.5, 1.2, count)
    around = rng.uniform(0, 2 * np.pi, count)
    ring = around[:, None] + np.array([0, 2.1, 4.2])
    wide = (0.1 + 0.15 * tall)[:, None]
    base = np.stack([foot[:, :1] + wide * np.cos(ring), np.zeros((count, 3)), foot[:, 1:] + wide * np.sin(ring)], -1)
    lean = rng.normal(0, 0.25, (count, 2)) * tall[:, None]
    tip = np.stack([foot[:, 0] + lean[:, 0], tall, foot[:, 1] + lean[:, 1]], -1)
    sides = [np.stack([base[:, a], base[:, b], tip], 1) for a, b in ((0, 1), (1, 2), (2, 0))]
    triangles = np.stack(sides, 1).reshape(-1, 3, 3)
    uv = np.array([(0.0, 0.4), (0.1, 0.4), (0.05, 0.0)]) + rng.uniform(0, 1, (len(triangles), 1, 2))
    inside = np.repeat(np.stack([foot[:, 0], 0.2 * tall, foot[:, 1]], -1), 3, axis=0)
    builder.triangles(place(triangles), uv, "tufts", inside=place(inside))


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
