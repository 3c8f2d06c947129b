"""Vans, buses and lorries of several kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrdepth.synthetic.palette import PAINTS
from hrdepth.synthetic.shapes import Sculptor, level

if TYPE_CHECKING:
    from hrdepth.synthetic.vehicles import Vehicle

__all__ = ["sculpt_lorry", "sculpt_van"]


def sculpt_van(make: Sculptor, rng: np.random.Generator, bus: Vehicle) -> None:
    """Van, minibus or bus: one hull with a sloping or upright front."""
    length, half, high = bus.length, bus.width / 2, bus.height
    rear, front, clear = -length / 2, length / 2, 0.32
    big = bus.kind == "bus"
    slope = rng.uniform(0.1, 0.3) if big else rng.uniform(0.9, 1.3)
    belt = 0.42 * high if big else 0.5 * high
    nose = 0.3 if big else 0.62 * rng.uniform(0.9, 1.1)
    back = [(rear, clear), (rear, high - 0.12), (rear + 0.1, high)]
    top = (front - slope - (0 if big else nose), high)
    low = (front - nose * (0.15 if big else 1.0), high - 0.5 if big else belt)
    tip = [(front - 0.05, belt * 0.9), (front, clear + 0.4), (front, clear)]
    make.profile([*back, top, low, *tip], -half, half, bus.paint)
    make.box((-half + 0.1, 0.2, rear + 0.3), (half - 0.1, 0.5, front - 0.3), "black")
    if big:
        make.box((-half + 0.12, belt, front - 0.5), (half - 0.12, high - 0.55, front + 0.01), "glass")
        make.box((-0.8, high - 0.45, front - 0.5), (0.8, high - 0.2, front - 0.04), "black")
        make.box((-half - 0.012, belt, rear + 0.4), (half + 0.012, high - 0.5, front - 0.25), "glass")
        for forward in np.arange(rear + 1.2, front - 0.6, 1.35):
            make.box((-half - 0.02, belt, forward), (half + 0.02, high - 0.5, forward + 0.1), bus.second)
        for forward in (front - 1.5, -0.6):
            make.box((half, clear + 0.05, forward), (half + 0.018, high - 0.6, forward + 1.1), "dark")
        make.box((-half - 0.008, clear + 0.3, rear - 0.005), (half + 0.008, clear + 0.55, front), bus.second)
    else:
        normal = np.array([top[1] - low[1], low[0] - top[0]])
        normal = 0.015 * normal / np.linalg.norm(normal)
        a, b = (np.array(low) + share * np.subtract(top, low) for share in (0.06, 0.92))
        make.profile([a, a + normal, b + normal, b], -half + 0.1, half - 0.1, "glass")
        end = rear + 0.3 if bus.kind == "minibus" else front - slope - nose - 0.9
        window = [(end, belt), (end, high - 0.3), (front - slope - nose, high - 0.3), (front - nose - 0.15, belt)]
        make.profile(window, -half - 0.012, half + 0.012, "glass")
        make.box((-half + 0.25, belt, rear - 0.012), (half - 0.25, high - 0.4, rear + 0.1), "glass")
        make.box((-half - 0.006, clear + 0.35, rear + 0.1), (half + 0.006, clear + 0.45, front - 0.3), "dark")
    wheel = 0.48 if big else 0.36
    axles = (rear + 0.27 * length, front - 0.22 * length) if big else (rear + 0.2 * length, front - 0.18 * length)
    for side in (-1.0, 1.0):
        for forward in axles:
            hub = np.array([side * (half - 0.02), wheel + 0.08, forward])
            make.rod(hub - [side * 0.1, 0, 0], hub + np.array([side * 0.022, 0, 0]), wheel + 0.08, "black", segments=14)
            make.wheel((side * (half - 0.1), wheel, forward), wheel, 0.13)
        outer, inner, mirror = side * (half - 0.03), side * (half - 0.25), front - 0.7 - (0 if big else nose)
        make.box((outer, clear + 0.4, rear - 0.015), (inner, clear + 0.75, rear + 0.1), "red-lamp")
        make.box((outer, clear + 0.3, front - 0.2), (inner, clear + 0.5, front + 0.012), "headlamp")
        far = front - 0.6 - (0 if big else nose)
        make.box((side * (half + 0.05), belt + 0.3, mirror), (side * (half + 0.22), belt + 0.65, far), "black")
    make.box((-0.26, clear + 0.2, rear - 0.015), (0.26, clear + 0.31, rear + 0.1), "plate")


def sculpt_lorry(make: Sculptor, rng: np.random.Generator, lorry: Vehicle) -> None:
    """Cab, frame, load and wheels."""
    length, half, high = lorry.length, lorry.width / 2, lorry.height
    rear, front = -length / 2, length / 2
    cab = 2.1 * rng.uniform(0.9, 1.1)
    top = min(high, rng.uniform(2.7, 3.5))
    back = front - cab
    nose = [(front - 0.35, top), (front - 0.03, 1.6), (front, 1.5), (front, 0.4)]
    make.profile([(back, 0.5), (back, top), *nose, (back, 0.4)], -half + 0.02, half - 0.02, lorry.paint)
    screen = [(front - 0.05, 1.62), (front + 0.01, 1.62), (front - 0.25, top - 0.3), (front - 0.35, top - 0.3)]
    make.profile(screen, -half + 0.15, half - 0.15, "glass")
    window = [(front - 1.15, 1.6), (front - 0.15, 1.6), (front - 0.4, top - 0.45), (front - 1.15, top - 0.45)]
    make.profile(window, -half - 0.005, half + 0.005, "glass")
    make.box((-half + 0.2, 0.75, front - 0.1), (half - 0.2, 1.35, front + 0.012), "dark")
    make.box((-half, 0.35, front - 0.3), (half, 0.62, front + 0.03), "grey")
    bed, gap = 1.05, rng.uniform(0.2, 0.8) if lorry.kind == "articulated" else 0.12
    make.box((-0.45, 0.6, rear + 0.1), (0.45, 0.95, back + 0.2), "black")
    start, end = rear, back - gap
    _add_load(make, rng, lorry, start, end, bed)
    wheel = 0.5
    axles = [front - 0.95, rear + 1.3, rear + 2.5] + ([back - 0.6, rear + 3.7] if lorry.kind == "articulated" else [])
    for side in (-1.0, 1.0):
        for forward in axles:
            make.wheel((side * (half - 0.19), wheel, forward), wheel, 0.17)
        outer, inner = side * half, side * (half - 0.3)
        make.box((outer, 0.72, rear - 0.02), (inner, 0.9, rear + 0.12), "red-lamp")
        make.box((outer, 0.68, front - 0.1), (inner, 0.86, front + 0.035), "headlamp")
        make.box((side * (half + 0.02), 1.7, front - 0.35), (side * (half + 0.24), 2.3, front - 0.2), "black")
        if lorry.kind != "tipper":
            guard = rear + 3.2 + (1.3 if lorry.kind == "articulated" else 0)
            make.box((side * (half - 0.04), 0.5, guard), (outer, 0.85, back - 1.3), "zinc")
    make.box((-half, 0.45, rear), (half, 0.57, rear + 0.1), "zinc")
    make.box((-0.26, 0.6, rear - 0.02), (0.26, 0.71, rear + 0.05), "plate")


def _add_load(make: Sculptor, rng: np.random.Generator, lorry: Vehicle, start: float, end: float, bed: float) -> None:
    half, high, paint = lorry.width / 2, lorry.height, lorry.second
    if lorry.kind == "flat-lorry":
        make.box((-half, bed - 0.1, start), (half, bed + 0.06, end), "old-wood")
        make.box((-half, bed, end - 0.1), (half, bed + 1.2, end), "zinc")
        for forward in np.arange(start + 0.3, end - 1.6, 1.5):
            if rng.random() < 0.75:
                tall = rng.uniform(0.5, 1.4)
                colour = str(rng.choice(["wood", "concrete", "brick", paint]))
                make.box((-half + 0.15, bed + 0.05, forward), (half - 0.15, bed + tall, forward + 1.3), colour)
    elif lorry.kind == "tipper":
        foot = level(bed, (-half + 0.15, half - 0.15), (start + 0.1, end))
        make.prismoid(foot, level(high - 0.4, (-half, half), (start - 0.1, end + 0.05)), paint)
        make.ellipsoid((0, high - 0.45, (start + end) / 2), (half * 0.85, 0.5, (end - start) * 0.42), "soil")
    elif lorry.kind == "tanker":
        radius = min(half, (high - bed) / 2)
        middle = bed + radius
        centres = [(0, middle, f) for f in (start + 0.1, start + 0.35, end - 0.35, end - 0.1)]
        sizes = np.array([0.6, 1.0, 1.0, 0.6])[:, None]
        make.tube(centres, sizes * [half, 0, 0], sizes * [0, radius, 0], paint, segments=16)
        for side in (-1.0, 1.0):
            make.rod((side * 0.3, high, start + 0.6), (side * 0.3, high, end - 0.6), 0.03, "zinc")
    else:
        make.box((-half, bed, start), (half, high, end), paint)
        for up in (bed, high - 0.1):
            make.box((-half - 0.012, up, start - 0.012), (half + 0.012, up + 0.1, end + 0.012), "zinc")
        if rng.random() < 0.6:
            band = str(rng.choice(PAINTS))
            low, share = bed + rng.uniform(0.4, 0.9), rng.uniform(0.3, 1.0)
            far = (half + 0.008, low + rng.uniform(0.3, 1.0), start + share * (end - start))
            make.box((-half - 0.008, low, start + 0.4), far, band)
        make.rod((0, bed, start - 0.01), (0, high, start - 0.01), 0.025, "dark", segments=4)
        for side in (-0.5, 0.5):
            make.rod((side * half, bed, start - 0.01), (side * half, high, start - 0.01), 0.02, "zinc", segments=4)
