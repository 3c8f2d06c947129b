"""Kinds of vehicles and their sizes, drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.palette import PAINTS

__all__ = ["CARS", "HEAVY", "Vehicle", "draw_vehicle"]

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
