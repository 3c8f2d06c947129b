"""Lamps, signs, traffic lights, bollards and small things beside a road."""

from __future__ import annotations

import numpy as np

from hrdepth.synthetic.mesh import MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor

__all__ = ["add_lamp", "add_pole", "add_sign", "add_small_thing", "add_traffic_light"]


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
    for level in range(int(rng.integers(1, 3))):
        up = high - 2.1 * radius * level
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
