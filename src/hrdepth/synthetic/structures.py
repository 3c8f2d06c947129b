"""Barriers, fences, walls, bridges, gantries and wires along a road."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hrdepth.synthetic.layouts import Layout
from hrdepth.synthetic.mesh import MeshBuilder, Placement
from hrdepth.synthetic.palette import PALETTE, cell_uv
from hrdepth.synthetic.shapes import Sculptor
from hrdepth.synthetic.textures import Array
from hrdepth.synthetic.trajectory import Course

__all__ = ["add_barrier", "add_fence", "add_gantry", "add_overpass", "add_wire", "sweep"]


def sweep(
    builder: MeshBuilder,
    layout: Layout,
    course: Course,
    section: Sequence[tuple[float, float]],
    span: tuple[float, float],
    colour: str,
    *,
    tile: float | None = None,
) -> None:
    """Add a solid of constant cross-section along the course.

    Args:
        builder: collects the triangles.
        layout: gives the side of traffic.
        course: to follow.
        section: convex outline of (offset, up) in metres.
        span: first and last metre along the course.
        colour: of the palette; a texture's name where `tile` is given.
        tile: metres that one copy of the texture covers.
    """
    inner = course.distances[(course.distances > span[0] + 0.3) & (course.distances < span[1] - 0.3)]
    along = np.concatenate([[span[0]], inner[::2], [span[1]]])
    outline = np.array([*section, section[0]], float)
    ground = course.place(along[:, None], layout.side * outline[None, :, 0])
    rings = np.stack([ground[..., 0], np.broadcast_to(-outline[None, :, 1], ground.shape[:2]), ground[..., 1]], -1)
    centres = rings[:, :-1].mean(1)
    around = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    u, v = np.meshgrid(along - along[0], around, indexing="ij")
    flat = np.stack([u, v], -1)
    uv = np.stack([u * 0.37 % 1, v / around[-1]], -1) if tile is None else flat / tile

    def corners(values: Array) -> Array:
        a, b, c, d = values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]
        halves = [np.stack(half, 2).reshape(-1, 3, values.shape[-1]) for half in ((a, b, c), (a, c, d))]
        return np.concatenate(halves)

    count = len(outline) - 1
    inside = np.tile(np.repeat((centres[:-1] + centres[1:]) / 2, count, axis=0), (2, 1))
    material = PALETTE if tile is None else colour
    texture = cell_uv(colour, corners(uv)) if tile is None else corners(uv)
    builder.triangles(corners(rings), texture, material, inside=inside)
    for end in (0, -1):
        face = cell_uv(colour, np.full((count, 2), 0.5)) if tile is None else outline[:-1] / tile
        builder.polygon(
            rings[end, :-1],
            face,
            material,
            inside=centres.mean(0) if len(along) < 4 else centres[2 if end == 0 else -3],
        )


def add_barrier(
    builder: MeshBuilder, layout: Layout, course: Course, offset: float, span: tuple[float, float], kind: str
) -> None:
    """Add a "rail" on posts, a "concrete" barrier, a "cable" barrier or a "noise" wall along the course."""
    if kind == "concrete":
        section = [
            (-0.3, 0.0),
            (-0.28, 0.12),
            (-0.12, 0.4),
            (-0.09, 0.85),
            (0.09, 0.85),
            (0.12, 0.4),
            (0.28, 0.12),
            (0.3, 0.0),
        ]
        sweep(builder, layout, course, [(offset + o, u) for o, u in section], span, "concrete")
        return
    if kind == "noise":
        sweep(
            builder,
            layout,
            course,
            [(offset - 0.08, -0.1), (offset + 0.08, -0.1), (offset + 0.08, 3.2), (offset - 0.08, 3.2)],
            span,
            "fence",
            tile=2.5,
        )
        step, high, colour = 4.0, 3.3, "dark-concrete"
    elif kind == "rail":
        inward = -np.sign(offset - layout.middle) or 1.0
        face = offset + 0.08 * inward
        for up in (0.5, 0.66):
            section = [
                (face, up - 0.08),
                (face + 0.05 * inward, up - 0.03),
                (face + 0.05 * inward, up + 0.03),
                (face, up + 0.08),
            ]
            sweep(builder, layout, course, section, span, "zinc")
        step, high, colour = 2.0, 0.74, "zinc"
    else:
        for up in (0.45, 0.6, 0.75):
            sweep(
                builder, layout, course, [(offset - 0.012, up), (offset + 0.012, up), (offset, up + 0.02)], span, "grey"
            )
        step, high, colour = 2.5, 0.85, "zinc"
    for along in np.arange(span[0] + 0.5, span[1], step):
        make = Sculptor(builder, layout.place(course, float(along), offset))
        half = 0.09 if kind == "noise" else 0.05
        make.box((-half, -0.1, -half), (half, high, half), colour)


def add_fence(
    builder: MeshBuilder,
    layout: Layout,
    course: Course,
    offset: float,
    span: tuple[float, float],
    kind: str,
    height: float,
    foot: float,
) -> None:
    """Add a fence with gaps: "bars" of metal, "pales" of wood, "rails" of wood, "railing" of tubes."""
    gap, wide, thick = {"bars": (0.13, 0.012, 0.012), "pales": (0.16, 0.045, 0.01)}.get(kind, (0.0, 0.0, 0.0))
    colour = {"bars": "black", "pales": "wood", "rails": "old-wood"}.get(kind, "zinc")
    rails = {"bars": (0.12, 0.95), "pales": (0.25, 0.8), "rails": (0.35, 0.65, 0.95)}.get(kind, (0.5, 1.0))
    half = 0.035 if kind == "rails" else 0.02
    for share in rails:
        up = foot + share * height
        section = [
            (offset - half, up - half),
            (offset + half, up - half),
            (offset + half, up + half),
            (offset - half, up + half),
        ]
        sweep(builder, layout, course, section, span, colour)
    for along in np.arange(span[0], span[1], 2.0):
        make = Sculptor(builder, layout.place(course, float(along), offset, lift=foot))
        make.box((-0.045, -0.1, -0.045), (0.045, height + 0.03, 0.045), colour)
    if gap:
        shift = 0.03
        for along in np.arange(span[0], span[1], gap):
            make = Sculptor(builder, layout.place(course, float(along), offset + shift, lift=foot))
            make.box((-thick, 0.05, -wide), (thick, height, wide), colour)


def add_gantry(builder: MeshBuilder, rng: np.random.Generator, layout: Layout, course: Course, along: float) -> None:
    """Add a gantry with boards over the whole road."""
    make = Sculptor(builder, layout.place(course, along, 0.0))
    low, high = sorted((layout.side * (layout.far_kerb - 0.9), layout.side * (layout.near_kerb + 0.9)))
    top, colour = rng.uniform(6.2, 7.2), str(rng.choice(["zinc", "grey"]))
    for right in (low, high):
        for forward in (-0.3, 0.3):
            make.rod((right, 0, forward), (right, top + 0.8, forward), 0.12, colour)
    for up in (top, top + 0.8):
        for forward in (-0.3, 0.3):
            make.rod((low, up, forward), (high, up, forward), 0.06, colour)
    rights = np.arange(low, high, 1.6)
    for one, two in pairwise(rights):
        make.rod((one, top, -0.3), (two, top + 0.8, -0.3), 0.035, colour, segments=4)
        make.rod((one, top + 0.8, 0.3), (two, top, 0.3), 0.035, colour, segments=4)
    board = str(rng.choice(["sign-green", "sign-blue"]))
    for right in np.arange(low + 2.5, high - 2.0, rng.uniform(4.0, 6.5)):
        tall, half = rng.uniform(1.6, 2.6), rng.uniform(1.4, 2.0)
        make.box((right - half, top - 0.7, -0.55), (right + half, top - 0.7 + tall, -0.42), board)
        for row in range(3):
            up = top - 0.35 + row * tall * 0.28
            make.box((right - 0.7 * half, up, -0.56), (right + half * rng.uniform(-0.1, 0.7), up + 0.18, -0.5), "white")


def add_overpass(builder: MeshBuilder, rng: np.random.Generator, layout: Layout, course: Course, along: float) -> None:
    """Add a bridge across the road, with piers beside it, railings, and ramps down to the land."""
    place = layout.place(course, along, 0.0, turn=float(rng.normal(0, 0.12)))
    make = Sculptor(builder, place)
    colour = str(rng.choice(["concrete", "concrete", "dark-concrete", "brick", "green-metal"]))
    under, thick, half = rng.uniform(4.9, 6.5), rng.uniform(0.8, 1.6), rng.uniform(1.6, 7.0)
    low, high = sorted(
        (layout.side * (layout.far_kerb - layout.border - 2), layout.side * (layout.near_kerb + layout.border + 2))
    )
    deck = under + thick
    make.box((low - 45, under, -half), (high + 45, deck, half), colour)
    for forward in (-half, half):
        if rng.random() < 0.5:
            make.box((low - 45, deck, forward - 0.12), (high + 45, deck + 0.9, forward + 0.12), "concrete")
        else:
            for up in (0.5, 1.0):
                make.rod((low - 45, deck + up, forward), (high + 45, deck + up, forward), 0.035, "zinc")
            for right in np.arange(low - 40, high + 40, 2.0):
                make.rod((right, deck, forward), (right, deck + 1.0, forward), 0.03, "zinc", segments=4)
    for right in (low, high) if rng.random() < 0.5 else (low - 6, low, high, high + 6):
        if rng.random() < 0.5:
            make.box((right - 0.5, -0.1, -half * 0.8), (right + 0.5, under, half * 0.8), "dark-concrete")
        else:
            for forward in (-0.7 * half, 0.7 * half):
                make.rod((right, -0.1, forward), (right, under, forward), 0.5, "concrete", segments=12)
    for sign, end in ((-1.0, low - 10), (1.0, high + 10)):
        foot = [
            (end, -0.1, -half - 2),
            (end + sign * 60, -0.1, -half - 2),
            (end + sign * 60, -0.1, half + 2),
            (end, -0.1, half + 2),
        ]
        top = [
            (end + sign * 6, under, -half),
            (end + sign * 45, under, -half),
            (end + sign * 45, under, half),
            (end + sign * 6, under, half),
        ]
        make.prismoid(foot, top, "green-metal" if layout.ground == "lawn" else "soil")


def add_wire(builder: MeshBuilder, start: Array, end: Array, sag: float) -> None:
    """Add a wire hanging between two world points (x, y down, z)."""
    share = np.linspace(0, 1, 9)[:, None]
    points = start + share * (end - start) + 4 * sag * share * (1 - share) * np.array([0, 1.0, 0])
    Sculptor(builder, Placement((0, 0), 0.0)).path(points * [1, -1, 1], 0.018, "black", segments=3)
