"""Trees with branches and clumps of leaves, bushes, hedges, tufts of grass."""

from __future__ import annotations

import numpy as np

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor, point

__all__ = ["TREES", "add_clumps", "add_leafy_bush", "add_leafy_tree", "add_tufts"]

TREES = ("broad", "broad", "round", "poplar", "slim", "bare", "pine")
_BODY = np.array([(1.0, 0, 0), (-0.5, 0, 0.87), (-0.5, 0, -0.87), (0, 0.55, 0), (0, -0.55, 0)])
_FACES = np.array([(0, 1, 3), (1, 2, 3), (2, 0, 3), (0, 1, 4), (1, 2, 4), (2, 0, 4)])


def add_clumps(
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


def _branches(
    make: Sculptor,
    rng: np.random.Generator,
    start: Array,
    axis: Array,
    length: float,
    radius: float,
    depth: int,
    colour: str,
    tips: list[Array],
) -> None:
    """Add a branch that bends upwards and divides `depth` times; collects where twigs end."""
    bend = axis + rng.normal(0, 0.12, 3) + point(0, 0.12, 0)
    middle = start + 0.5 * length * axis
    end = middle + 0.5 * length * bend / np.linalg.norm(bend)
    make.path([start, middle, end], [radius, 0.8 * radius, 0.62 * radius], colour, segments=6 if radius > 0.05 else 4)
    tips.append(end)
    if depth == 0:
        return
    for _ in range(int(rng.integers(2, 4))):
        out = bend / np.linalg.norm(bend) + rng.normal(0, 0.55, 3)
        out[1] = max(out[1], -0.1)
        _branches(
            make,
            rng,
            end - 0.15 * length * rng.random() * axis,
            out / np.linalg.norm(out),
            length * rng.uniform(0.6, 0.85),
            0.55 * radius,
            depth - 1,
            colour,
            tips,
        )


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
        add_clumps(builder, rng, place, centres, 0.1 + 0.036 * height * (1.15 - rise), "needles")
        return
    clear = height * {"poplar": 0.12, "slim": 0.35}.get(kind, rng.uniform(0.24, 0.42))
    fork = lean + point(0, clear, 0)
    make.path(
        [point(0, -0.1, 0), point(0, 0.12, 0), 0.5 * fork, fork],
        [1.5 * girth, 1.1 * girth, girth, 0.85 * girth],
        bark,
        segments=8,
    )
    tips: list[Array] = []
    narrow = kind in ("poplar", "slim")
    for around in np.arange(int(rng.integers(3, 6))) * 2.4 + rng.uniform(0, 6):
        out = np.array([np.cos(around), 1.9 if not narrow else 5.0, np.sin(around)])
        _branches(
            make,
            rng,
            fork,
            out / np.linalg.norm(out),
            0.3 * height * rng.uniform(0.7, 1.1),
            0.6 * girth,
            3 if kind == "bare" else 1,
            bark,
            tips,
        )
    make.path([fork, lean + point(0, 0.8 * height, 0)], [0.8 * girth, 0.25 * girth], bark, segments=6)
    if kind == "bare":
        return
    width = height * {"poplar": 0.1, "slim": 0.17, "round": 0.27}.get(kind, rng.uniform(0.28, 0.4))
    _add_crown(builder, rng, place, lean, (clear * 0.9, height), width, dense)


def _add_crown(
    builder: MeshBuilder,
    rng: np.random.Generator,
    place: Placement,
    lean: Array,
    span: tuple[float, float],
    width: float,
    dense: float,
) -> None:
    """Leaves around a few lobes between two heights."""
    low, high = span
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
    add_clumps(builder, rng, place, centres, sizes.clip(0.12, 0.9), material)


def add_leafy_bush(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, size: tuple[float, float, float], count: int = 40
) -> None:
    """Add a bush or a piece of hedge that fills a box of `size` (right, up, forward), centred on its foot."""
    centres = rng.uniform(-0.5, 0.5, (count, 3)) * size
    centres[:, 1] += size[1] / 2
    sizes = rng.uniform(0.6, 1.2, count) * 0.62 * (size[0] * size[1] * size[2] / count) ** (1 / 3) * 1.3
    add_clumps(builder, rng, place, centres, sizes, str(rng.choice(["leaves-0", "leaves-1", "leaves-2", "hedge"])))


def add_tufts(
    builder: MeshBuilder,
    rng: np.random.Generator,
    place: Placement,
    size: tuple[float, float],
    height: float,
    count: int,
) -> None:
    """Add tufts of grass on an area of `size` (right, forward) around the local origin."""
    foot = rng.uniform(-0.5, 0.5, (count, 2)) * size
    tall = height * rng.uniform(0.5, 1.2, count)
    around = rng.uniform(0, 2 * np.pi, count)
    ring = around[:, None] + np.array([0, 2.1, 4.2])
    wide = (0.1 + 0.15 * tall)[:, None]
    base = np.stack([foot[:, :1] + wide * np.cos(ring), np.zeros((count, 3)), foot[:, 1:] + wide * np.sin(ring)], -1)
    lean = rng.normal(0, 0.25, (count, 2)) * tall[:, None]
    tip = np.stack([foot[:, 0] + lean[:, 0], tall, foot[:, 1] + lean[:, 1]], -1)
    pairs = [(0, 1), (1, 2), (2, 0)]
    triangles = np.stack([np.stack([base[:, a], base[:, b], tip], 1) for a, b in pairs], 1).reshape(-1, 3, 3)
    uv = np.array([(0.0, 0.4), (0.1, 0.4), (0.05, 0.0)]) + rng.uniform(0, 1, (len(triangles), 1, 2))
    inside = np.repeat(np.stack([foot[:, 0], 0.2 * tall, foot[:, 1]], -1), 3, axis=0)
    builder.triangles(place(triangles), uv, "tufts", inside=place(inside))
