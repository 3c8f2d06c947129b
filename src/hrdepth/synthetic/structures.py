"""Barriers, fences, walls, bridges, gantries and wires along a road."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hrdepth.synthetic.layouts import Road
from hrdepth.synthetic.mesh import MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor, level
from hrdepth.synthetic.textures import Array

__all__ = ["add_barrier", "add_fence", "add_gantry", "add_overpass", "add_wire", "block"]


def block(offset: float, half: float, low: float, high: float) -> list[tuple[float, float]]:
    """Return a cross-section (offset, up) for `Road.sweep`: a rectangle around an offset."""
    return [(offset - half, low), (offset + half, low), (offset + half, high), (offset - half, high)]


def add_barrier(road: Road, offset: float, span: tuple[float, float], kind: str) -> None:
    """Add a "rail" on posts, a "concrete" barrier, a "cable" barrier or a "noise" wall along the course."""
    if kind == "concrete":
        half = [(-0.3, 0.0), (-0.28, 0.12), (-0.12, 0.4), (-0.09, 0.85)]
        section = half + [(-right, up) for right, up in half[::-1]]
        road.sweep([(offset + right, up) for right, up in section], span, "concrete")
        return
    if kind == "noise":
        road.sweep(block(offset, 0.08, -0.1, 3.2), span, "fence", tile=2.5)
        step, half_width, high, colour = 4.0, 0.09, 3.3, "dark-concrete"
    elif kind == "rail":
        inward = -np.sign(offset - road.layout.middle) or 1.0
        face = offset + 0.08 * inward
        bulge = face + 0.05 * inward
        for up in (0.5, 0.66):
            road.sweep([(face, up - 0.08), (bulge, up - 0.03), (bulge, up + 0.03), (face, up + 0.08)], span, "zinc")
        step, half_width, high, colour = 2.0, 0.05, 0.74, "zinc"
    else:
        for up in (0.45, 0.6, 0.75):
            road.sweep([(offset - 0.012, up), (offset + 0.012, up), (offset, up + 0.02)], span, "grey")
        step, half_width, high, colour = 2.5, 0.05, 0.85, "zinc"
    for along in np.arange(span[0] + 0.5, span[1], step):
        make = Sculptor(road.builder, road.place(float(along), offset))
        make.box((-half_width, -0.1, -half_width), (half_width, high, half_width), colour)


_FENCES = {  # colour, heights of its rails as shares of its own, half of a rail; gap, half depth, half width of a pale
    "bars": ("black", (0.12, 0.95), 0.02, (0.13, 0.012, 0.012)),
    "pales": ("wood", (0.25, 0.8), 0.02, (0.16, 0.01, 0.045)),
    "rails": ("old-wood", (0.35, 0.65, 0.95), 0.035, None),
    "railing": ("zinc", (0.5, 1.0), 0.02, None),
}


def add_fence(road: Road, offset: float, span: tuple[float, float], kind: str, height: float, foot: float) -> None:
    """Add a fence with gaps: "bars" of metal, "pales" of wood, "rails" of wood, "railing" of tubes."""
    colour, rails, half, pale = _FENCES[kind]
    for share in rails:
        up = foot + share * height
        road.sweep(block(offset, half, up - half, up + half), span, colour)
    for along in np.arange(span[0], span[1], 2.0):
        make = Sculptor(road.builder, road.place(float(along), offset, lift=foot))
        make.box((-0.045, -0.1, -0.045), (0.045, height + 0.03, 0.045), colour)
    if pale:
        gap, thick, wide = pale
        for along in np.arange(span[0], span[1], gap):
            make = Sculptor(road.builder, road.place(float(along), offset + 0.03, lift=foot))
            make.box((-thick, 0.05, -wide), (thick, height, wide), colour)


def add_gantry(road: Road, rng: np.random.Generator, along: float) -> None:
    """Add a gantry with boards over the whole road."""
    layout, make = road.layout, Sculptor(road.builder, road.place(along, 0.0))
    low, high = sorted((layout.side * (layout.far_kerb - 0.9), layout.side * (layout.near_kerb + 0.9)))
    top, colour = rng.uniform(6.2, 7.2), str(rng.choice(["zinc", "grey"]))
    for right in (low, high):
        for forward in (-0.3, 0.3):
            make.rod((right, 0, forward), (right, top + 0.8, forward), 0.12, colour)
    for up in (top, top + 0.8):
        for forward in (-0.3, 0.3):
            make.rod((low, up, forward), (high, up, forward), 0.06, colour)
    for one, two in pairwise(np.arange(low, high, 1.6)):
        make.rod((one, top, -0.3), (two, top + 0.8, -0.3), 0.035, colour, segments=4)
        make.rod((one, top + 0.8, 0.3), (two, top, 0.3), 0.035, colour, segments=4)
    board = str(rng.choice(["sign-green", "sign-blue"]))
    for right in np.arange(low + 2.5, high - 2.0, rng.uniform(4.0, 6.5)):
        tall, half = rng.uniform(1.6, 2.6), rng.uniform(1.4, 2.0)
        make.box((right - half, top - 0.7, -0.55), (right + half, top - 0.7 + tall, -0.42), board)
        for row in range(3):
            up = top - 0.35 + row * tall * 0.28
            make.box((right - 0.7 * half, up, -0.56), (right + half * rng.uniform(-0.1, 0.7), up + 0.18, -0.5), "white")


def add_overpass(road: Road, rng: np.random.Generator, along: float) -> None:
    """Add a bridge across the road, with piers beside it, railings, and ramps down to the land."""
    layout, make = road.layout, Sculptor(road.builder, road.place(along, 0.0, turn=float(rng.normal(0, 0.12))))
    colour = str(rng.choice(["concrete", "concrete", "dark-concrete", "brick", "green-metal"]))
    under, thick, half = rng.uniform(4.9, 6.5), rng.uniform(0.8, 1.6), rng.uniform(1.6, 7.0)
    beyond = layout.border + 2
    low, high = sorted((layout.side * (layout.far_kerb - beyond), layout.side * (layout.near_kerb + beyond)))
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
        foot = level(-0.1, (end, end + sign * 60), (-half - 2, half + 2))
        top = level(under, (end + sign * 6, end + sign * 45), (-half, half))
        make.prismoid(foot, top, "green-metal" if layout.ground == "lawn" else "soil")


def add_wire(builder: MeshBuilder, start: Array, end: Array, sag: float) -> None:
    """Add a wire hanging between two world points (x, y down, z)."""
    share = np.linspace(0, 1, 9)[:, None]
    points = start + share * (end - start) + 4 * sag * share * (1 - share) * np.array([0, 1.0, 0])
    Sculptor(builder, Placement((0, 0), 0.0)).path(points * [1, -1, 1], 0.018, "black", segments=3)
