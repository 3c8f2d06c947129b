"""Modern vehicles, drawn at random; cars of a hull and a cabin of glass, and what they tow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor, level, point
from hrdepth.synthetic.textures import PAINTS

__all__ = ["CARS", "HEAVY", "Vehicle", "add_vehicle", "draw_vehicle"]

CARS = ("small", "hatchback", "saloon", "estate", "suv", "people-carrier", "pickup")
HEAVY = ("van", "minibus", "bus", "box-lorry", "flat-lorry", "tipper", "tanker", "articulated")


@dataclass(frozen=True)
class Vehicle:
    """One vehicle's looks and size in metres; it stands centred on its local origin and looks forward."""

    kind: str
    paint: str
    second: str
    length: float
    width: float
    height: float
    trailer: bool = False
    details: int = 0  # a seed for what differs within a kind


_SIZES = {  # length, width, height, each varied by a few percent
    "small": (3.6, 1.62, 1.5),
    "hatchback": (4.2, 1.78, 1.48),
    "saloon": (4.75, 1.84, 1.45),
    "estate": (4.75, 1.84, 1.5),
    "suv": (4.6, 1.9, 1.7),
    "people-carrier": (4.6, 1.85, 1.72),
    "pickup": (5.3, 1.9, 1.82),
    "van": (5.6, 2.0, 2.45),
    "minibus": (6.6, 2.1, 2.7),
    "bus": (11.8, 2.55, 3.1),
    "box-lorry": (8.2, 2.45, 3.5),
    "flat-lorry": (8.6, 2.45, 2.9),
    "tipper": (8.4, 2.5, 3.0),
    "tanker": (10.5, 2.5, 3.5),
    "articulated": (16.0, 2.55, 4.0),
}


def draw_vehicle(rng: np.random.Generator, kinds: tuple[str, ...] = CARS) -> Vehicle:
    """Draw a vehicle of one of the kinds."""
    kind = kinds[int(rng.integers(len(kinds)))]
    length, width, height = (value * float(rng.uniform(0.95, 1.05)) for value in _SIZES[kind])
    return Vehicle(
        kind,
        paint=PAINTS[int(rng.integers(len(PAINTS)))],
        second=PAINTS[int(rng.integers(len(PAINTS)))],
        length=length,
        width=width,
        height=height,
        trailer=bool(kind in CARS and rng.random() < 0.06),
        details=int(rng.integers(1 << 30)),
    )


def add_vehicle(builder: MeshBuilder, place: Placement, vehicle: Vehicle) -> None:
    """Add the vehicle at `place`, looking along local forward."""
    make = Sculptor(builder, place)
    rng = np.random.default_rng(vehicle.details)
    if vehicle.kind in CARS:
        _sculpt_car(make, rng, vehicle)
    elif vehicle.kind in ("van", "minibus", "bus"):
        _sculpt_van(make, rng, vehicle)
    else:
        _sculpt_lorry(make, rng, vehicle)


# Where the cabin stands, as shares of the length from the rear: roof rear, roof front, foot rear, foot front.
_CABINS = {
    "small": (0.1, 0.56, 0.0, 0.8),
    "hatchback": (0.13, 0.56, 0.02, 0.76),
    "saloon": (0.26, 0.56, 0.13, 0.73),
    "estate": (0.06, 0.57, 0.01, 0.74),
    "suv": (0.08, 0.58, 0.01, 0.75),
    "people-carrier": (0.06, 0.62, 0.01, 0.86),
    "pickup": (0.42, 0.62, 0.39, 0.76),
}


def _sculpt_car(make: Sculptor, rng: np.random.Generator, car: Vehicle) -> None:
    """Add a car that looks along local forward."""
    length, half, high = car.length, car.width / 2, car.height
    tall = car.kind in ("suv", "pickup", "people-carrier")
    clear = (0.3 if tall else 0.2) + rng.uniform(-0.03, 0.03)
    belt = high * (0.62 if tall else 0.63) + rng.uniform(-0.03, 0.03)
    rear, front = -length / 2, length / 2
    bonnet = belt - rng.uniform(0.08, 0.2)
    deck = belt - (rng.uniform(0.0, 0.06) if car.kind in ("saloon", "pickup") else 0.0)
    at = [rear + share * length for share in _CABINS[car.kind]]
    tail = [(rear + 0.02, clear + 0.16), (rear, (clear + belt) / 2), (rear + 0.08, deck)]
    nose = [(front - 0.35, bonnet), (front - 0.06, bonnet - 0.12), (front, (clear + bonnet) / 2)]
    floor = [(front - 0.03, clear + 0.12), (front - 0.2, clear), (rear + 0.25, clear)]
    make.profile([*tail, (at[2], belt), (at[3], belt), *nose, *floor], -half, half, car.paint)
    low, up = clear - 0.1, clear + 0.1
    under = [(rear + 0.4, low), (front - 0.4, low), (front - 0.3, up), (rear + 0.3, up)]
    make.profile(under, -half + 0.12, half - 0.12, "black")
    inset = 0.16 + rng.uniform(-0.02, 0.04)
    foot = level(belt, (-half + 0.04, half - 0.04), (at[2], at[3]))
    top = level(high, (-half + inset, half - inset), (at[0], at[1]))
    make.prismoid(foot, top, "glass")
    _add_pillars(make, car, np.array(foot), np.array(top), rng)
    if car.kind == "pickup":
        make.box((-half + 0.06, belt - 0.02, rear + 0.1), (half - 0.06, belt + 0.02, at[2] - 0.05), "black")
    _add_ends(make, car, clear, deck, bonnet)
    wheel = (0.36 if tall else 0.32) * rng.uniform(0.96, 1.06)
    axles = (rear + 0.19 * length, front - 0.19 * length)
    for forward in axles:
        for side in (-1.0, 1.0):
            arch = np.array([side * (half - 0.02), wheel + 0.06, forward])
            make.rod(arch - [side * 0.1, 0, 0], arch + point(side * 0.025, 0, 0), wheel + 0.06, "black", segments=14)
            make.wheel((side * (half - 0.085), wheel, forward), wheel, 0.12)
    for side in (-1.0, 1.0):
        make.ellipsoid((side * (half + 0.1), belt + 0.05, at[3] - 0.42), (0.11, 0.075, 0.06), car.paint, segments=6)
    if rng.random() < 0.12:
        make.box((-0.5, high, at[0] + 0.3), (0.5, high + rng.uniform(0.1, 0.4), at[1] - 0.2), car.second)
    elif rng.random() < 0.08:
        make.frustum((-0.3, high, at[1] - 0.6), (0.3, high + 0.15, at[1] - 0.35), "yellow", inset=(0.04, 0.02, 0.02))
    if car.trailer:
        _add_trailer(make, rng, rear, car)


def _add_pillars(make: Sculptor, car: Vehicle, foot: Array, top: Array, rng: np.random.Generator) -> None:
    """Roof skin and posts on the edges of the glass cabin."""
    roof = top.copy()
    roof[:, 1] -= 0.04
    make.prismoid(roof + np.sign(roof - roof.mean(0)) * [0.012, 0, 0.03], top + point(0, 0.025, 0), car.paint)
    for corner in range(4):
        make.rod(foot[corner], top[corner] - [0, 0.02, 0], 0.045, car.paint, segments=4)
    shares = {"small": [0.47], "pickup": [0.47], "hatchback": [0.28, 0.6]}.get(car.kind, [0.34, 0.68])
    for share in shares:
        for rear, front in ((0, 3), (1, 2)):
            low = foot[rear] * (1 - share) + foot[front] * share
            high = top[rear] * (1 - share) + top[front] * share
            make.rod(low, high, 0.032, "black" if rng.random() < 0.5 else car.paint, segments=4)


def _add_ends(make: Sculptor, car: Vehicle, clear: float, deck: float, bonnet: float) -> None:
    """Lamps, plates and bumpers, a little proud of the hull."""
    rear, front, half = -car.length / 2, car.length / 2, car.width / 2
    middle = (clear + deck) / 2
    for side in (-1.0, 1.0):
        outer, inner = side * (half - 0.03), side * (half - 0.4)
        make.box((outer, middle, rear - 0.012), (inner, middle + 0.17, rear + 0.2), "red-lamp")
        make.box((outer, bonnet - 0.32, front - 0.3), (inner, bonnet - 0.17, front + 0.005), "headlamp")
    make.box((-0.26, middle + 0.03, rear - 0.015), (0.26, middle + 0.14, rear + 0.1), "plate")
    make.box((-0.26, clear + 0.1, front - 0.1), (0.26, clear + 0.2, front + 0.02), "plate")
    make.box((-0.5, bonnet - 0.34, front - 0.2), (0.5, bonnet - 0.18, front + 0.004), "black")
    for forward in ((rear - 0.01, rear + 0.3), (front - 0.3, front + 0.008)):
        make.box((-half + 0.02, clear + 0.02, forward[0]), (half - 0.02, clear + 0.12, forward[1]), "dark")


def _add_trailer(make: Sculptor, rng: np.random.Generator, rear: float, car: Vehicle) -> None:
    """A small trailer or a caravan behind a car."""
    caravan = rng.random() < 0.5
    long, half, high = (4.6, 1.1, 2.5) if caravan else (2.2, 0.75, 0.95)
    start = rear - 1.0
    make.rod((0, 0.45, rear), (0, 0.45, start), 0.05, "dark")
    if caravan:
        back = [(start - long, 0.5), (start - long + 0.1, high - 0.2), (start - long + 0.5, high)]
        make.profile([*back, (start - 0.5, high), (start - 0.1, 1.5), (start, 0.5)], -half, half, "white")
        make.box((-half - 0.01, 1.3, start - 3.4), (half + 0.01, 1.9, start - 1.2), "glass")
        make.box((-half + 0.3, 1.3, start - long - 0.01), (half - 0.3, 1.9, start - long + 0.3), "glass")
    else:
        make.box((-half, 0.45, start - long), (half, high, start), car.second)
    for side in (-1.0, 1.0):
        make.wheel((side * (half + (-0.1 if caravan else 0.12)), 0.3, start - long / 2), 0.3, 0.09)


def _sculpt_van(make: Sculptor, rng: np.random.Generator, bus: Vehicle) -> None:
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


def _sculpt_lorry(make: Sculptor, rng: np.random.Generator, lorry: Vehicle) -> None:
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
