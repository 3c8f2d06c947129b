"""Every kind of vehicle as triangles."""

from __future__ import annotations

import numpy as np

from hrdepth.synthetic.lorries import sculpt_lorry, sculpt_van
from hrdepth.synthetic.mesh import MeshBuilder, Placement
from hrdepth.synthetic.modern_cars import sculpt_car
from hrdepth.synthetic.shapes import Sculptor
from hrdepth.synthetic.vehicles import CARS, Vehicle

__all__ = ["add_vehicle"]


def add_vehicle(builder: MeshBuilder, place: Placement, vehicle: Vehicle) -> None:
    """Add the vehicle at `place`, looking along local forward."""
    make = Sculptor(builder, place)
    rng = np.random.default_rng(vehicle.details)
    if vehicle.kind in CARS:
        sculpt_car(make, rng, vehicle)
    elif vehicle.kind in ("van", "minibus", "bus"):
        sculpt_van(make, rng, vehicle)
    else:
        sculpt_lorry(make, rng, vehicle)
