"""Barriers, fences, bridges, gantries and wires along a road; lamps, signs and small things beside it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hrdepth.synthetic.layouts import Road
from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor, level

__all__ = [
    "add_barrier",
    "add_fence",
    "add_gantry",
    "add_lamp",
    "add_overpass",
    "add_pole",
    "add_sign",
    "add_small_thing",
    "add_traffic_light",
    "add_wire",
    "block",
]


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


def add_pole(builder: MeshBuilder, rng: np.random.Generator, place: Placement, kind: str, reach: float = 2.0) -> None:
    """Add a pole at local 0; what it carries hangs towards local -right.

    Args:
        builder: collects the triangles.
        rng: of the sizes.
        place: beside the road, local -right towards it.
        kind: "lamp", "tall-lamp", "sign", "telegraph", "bollard", "marker" or "post".
        reach: metres that a lamp's arm reaches out.
    """
    make = Sculptor(builder, place)
    if kind in ("lamp", "tall-lamp"):
        high = rng.uniform(8, 11) if kind == "tall-lamp" else rng.uniform(4, 6.5)
        colour = str(rng.choice(["zinc", "dark", "green-metal", "grey"]))
        make.path([(0, 0, 0), (0, 0.9, 0), (0, 0.95, 0), (0, high, 0)], [0.11, 0.1, 0.075, 0.05], colour, segments=8)
        bow = [(0, high - 0.3, 0), (-0.25 * reach, high + 0.15, 0), (-reach, high + 0.3, 0)]
        make.path(bow, 0.04, colour, segments=6)
        low, top = (-reach - 0.55, high + 0.24, -0.14), (-reach + 0.1, high + 0.36, 0.14)
        make.frustum(low, top, colour, inset=(0.06, 0.05, 0.05))
        make.box((-reach - 0.45, high + 0.2, -0.1), (-reach, high + 0.25, 0.1), "headlamp")
    elif kind == "sign":
        _add_sign(make, rng)
    elif kind == "telegraph":
        high = rng.uniform(6.5, 9)
        make.path([(0, 0, 0), (0, high, 0)], [0.14, 0.09], "old-wood", segments=8)
        make.box((-0.9, high - 0.6, -0.06), (0.9, high - 0.48, 0.06), "old-wood")
        for right in (-0.8, -0.4, 0.4, 0.8):
            make.rod((right, high - 0.48, 0), (right, high - 0.32, 0), 0.035, "white")
    elif kind == "bollard":
        high, colour = rng.uniform(0.6, 1.1), str(rng.choice(["dark", "zinc", "concrete", "yellow"]))
        make.capsule((0, 0, 0), (0, high - 0.06, 0), rng.uniform(0.05, 0.11), colour)
        make.rod((0, high - 0.25, 0), (0, high - 0.17, 0), 0.115, "white", segments=8)
    elif kind == "marker":
        make.prismoid(
            [(-0.06, 0, -0.05), (0.06, 0, -0.05), (0.06, 0, 0.05), (-0.06, 0, 0.05)],
            [(-0.06, 1.0, -0.03), (0.06, 1.05, -0.03), (0.06, 1.05, 0.03), (-0.06, 1.0, 0.03)],
            "white",
        )
        make.box((-0.065, 0.7, -0.055), (0.065, 0.86, 0.055), "black")
    else:
        high, radius = rng.uniform(2.0, 4.0), rng.uniform(0.025, 0.06)
        make.rod((0, 0, 0), (0, high, 0), radius, str(rng.choice(["zinc", "dark", "wood"])))


_SIGNS = (  # corners, how far the first is turned, colours of rim and face
    (24, 0.0, "sign-red", "white"),
    (3, np.pi / 2, "sign-red", "white"),
    (4, np.pi / 4, "white", "sign-blue"),
    (4, 0.0, "white", "yellow"),
)


def _add_sign(make: Sculptor, rng: np.random.Generator) -> None:
    """A thin pole with one or two plates facing along the road."""
    high, radius = rng.uniform(2.3, 3.2), rng.uniform(0.25, 0.42)
    make.rod((0, 0, 0), (0, high + radius, 0), 0.03, "zinc")
    for plate in range(int(rng.integers(1, 3))):
        up = high - 2.1 * radius * plate
        corners, turn, rim, face = _SIGNS[int(rng.integers(4))]
        angles = turn + 2 * np.pi * np.arange(corners) / corners
        for size, half, colour in ((radius, 0.012, rim), (0.78 * radius, 0.018, face)):
            ring = np.stack([size * np.cos(angles), up + size * np.sin(angles)], 1)
            flat = [np.stack([ring[:, 0], ring[:, 1], np.full(corners, f - 0.05)], 1) for f in (-half, half)]
            make.prismoid(flat[0], flat[1], colour)
        make.box((-0.3 * radius, up - 0.06 * radius, -0.072), (0.3 * radius, up + 0.06 * radius, -0.03), "black")


def add_traffic_light(builder: MeshBuilder, rng: np.random.Generator, place: Placement, reach: float) -> None:
    """Add a traffic light on a pole, with a mast arm over the road where `reach` > 0; it faces local -forward."""
    make = Sculptor(builder, place)
    colour = str(rng.choice(["zinc", "dark", "yellow", "grey"]))
    heads = [(-0.0, 2.6)]
    if reach > 0:
        high = rng.uniform(5.6, 6.4)
        make.path([(0, 0, 0), (0, high, 0)], [0.14, 0.09], colour, segments=8)
        arm = [(0, high - 0.2, 0), (-0.4 * reach, high + 0.1, 0), (-reach, high + 0.15, 0)]
        make.path(arm, [0.08, 0.06, 0.045], colour)
        heads += [(-reach, high - 0.45), (-0.55 * reach, high - 0.5)][: int(rng.integers(1, 3))]
    else:
        make.rod((0, 0, 0), (0, 3.1, 0), 0.06, colour)
    lit = int(rng.integers(3))
    for right, up in heads:
        make.box((right - 0.17, up - 0.48, -0.32), (right + 0.17, up + 0.48, -0.08), "black")
        for i, lamp in enumerate(("red-lamp", "amber-lamp", "green-lamp")):
            hub = np.array([right, up + 0.3 - 0.3 * i, -0.32])
            make.rod(hub, hub - [0, 0, 0.03], 0.1, lamp if i == lit else "dark", segments=10)


def add_small_thing(builder: MeshBuilder, rng: np.random.Generator, place: Placement, kind: str) -> None:
    """Add a "bench", "bin", "hydrant", "cabinet", "shelter", "planter" or "cone" that faces local -right."""
    make = Sculptor(builder, place)
    if kind == "bench":
        for up, right in ((0.42, -0.15), (0.42, 0.0), (0.42, 0.15), (0.62, 0.22), (0.78, 0.25)):
            make.box((right - 0.055, up, -0.8), (right + 0.055, up + 0.035, 0.8), "wood")
        for forward in (-0.65, 0.65):
            make.box((-0.2, 0, forward - 0.03), (0.22, 0.42, forward + 0.03), "black")
            make.rod((0.2, 0.4, forward), (0.27, 0.82, forward), 0.025, "black", segments=4)
    elif kind == "bin":
        colour = str(rng.choice(["green-metal", "blue-metal", "dark", "yellow"]))
        if rng.random() < 0.5:
            make.frustum((-0.32, 0.08, -0.3), (0.32, 1.05, 0.3), colour, inset=(-0.05, -0.05, -0.05))
            make.box((-0.38, 1.05, -0.36), (0.38, 1.12, 0.36), "dark")
        else:
            make.rod((0, 0, 0), (0, 0.9, 0), 0.24, colour, segments=10)
    elif kind == "hydrant":
        make.capsule((0, 0, 0), (0, 0.62, 0), 0.13, "sign-red")
        make.rod((-0.22, 0.48, 0), (0.22, 0.48, 0), 0.06, "sign-red")
    elif kind == "cabinet":
        high = rng.uniform(0.9, 1.5)
        make.box((-0.22, 0, -0.5), (0.22, high, 0.5), str(rng.choice(["grey", "green-metal", "light"])))
    elif kind == "shelter":
        for right, forward in ((0.6, -1.7), (0.6, 1.7), (-0.7, -1.7), (-0.7, 1.7)):
            make.rod((right, 0, forward), (right, 2.45, forward), 0.045, "dark")
        make.box((-0.95, 2.42, -1.95), (0.75, 2.55, 1.95), "dark")
        make.box((0.58, 0.25, -1.65), (0.62, 2.2, 1.65), "pane")
        make.box((-0.3, 0.3, 1.68), (0.55, 2.2, 1.75), str(rng.choice(["sign-blue", "orange", "white"])))
        make.box((0.2, 0.42, -1.3), (0.5, 0.47, 1.0), "wood")
    elif kind == "planter":
        make.frustum((-0.45, 0, -0.45), (0.45, 0.55, 0.45), "concrete", inset=(-0.06, -0.06, -0.06))
    else:
        make.box((-0.18, 0, -0.18), (0.18, 0.03, 0.18), "dark")
        make.tube([(0, 0.03, 0), (0, 0.7, 0)], [[0.13, 0, 0], [0.02, 0, 0]], [[0, 0, 0.13], [0, 0, 0.02]], "orange")
        make.tube([(0, 0.35, 0), (0, 0.5, 0)], [[0.088, 0, 0], [0.06, 0, 0]], [[0, 0, 0.088], [0, 0, 0.06]], "white")


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
