"""What stands at the kerb and behind the pavement: parked vehicles, poles, small things, borders."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hrdepth.synthetic.layouts import Road
from hrdepth.synthetic.mesh import Array, Placement
from hrdepth.synthetic.people import add_cyclist, add_motorcyclist
from hrdepth.synthetic.structures import add_fence, add_pole, add_small_thing, add_wire, block
from hrdepth.synthetic.traffic import draw_kinds
from hrdepth.synthetic.vegetation import TREES, add_leafy_bush, add_leafy_tree, add_tree, add_tufts
from hrdepth.synthetic.vehicles import add_vehicle, draw_vehicle

__all__ = ["Roadside"]

SMALL = ["bench", "bin", "hydrant", "cabinet", "planter", "cone"]


class Roadside:
    """Places things along the road, off the lanes and off each other."""

    def __init__(self, road: Road, stops: Array) -> None:
        self.road, self.layout = road, road.layout
        self.start, self.end = float(road.course.distances[0]) + 12, float(road.course.distances[-1]) - 12
        self.near = (max(self.start, float(stops[0]) - 70), min(self.end, float(stops[-1]) + 110))
        self.foot = self.layout.kerb if self.layout.pavement else -0.02
        self._reserved: list[tuple[float, float, float, float]] = []

    def reserve(self, along: float, offset: float, half_along: float, half_across: float) -> bool:
        """Reserve a rectangle in course coordinates; False where it touches another."""
        box = (along - half_along, along + half_along, offset - half_across, offset + half_across)
        for other in self._reserved:
            if box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3]:
                return False
        self._reserved.append(box)
        return True

    def walk(
        self, rng: np.random.Generator, shortest: float, longest: float, span: tuple[float, float] | None = None
    ) -> Iterator[float]:
        """Yield metres along the course at random intervals."""
        return self.road.course.walk(rng, shortest, longest, span or (self.start, self.end))

    def add_parked(self, rng: np.random.Generator) -> None:
        """Vehicles in the parking strips, and on lots beside industrial roads."""
        layout = self.layout
        if layout.parking:
            kinds, free = draw_kinds(rng, "street"), rng.uniform(0.05, 0.6)
            for sign, edge in ((1, layout.near_edge), (-1, layout.far_edge)):
                along = self.start
                while along < self.end:
                    vehicle = draw_vehicle(rng, kinds)
                    along += vehicle.length / 2
                    if rng.random() > free and not vehicle.trailer and vehicle.length < 9:
                        turn = (0.0 if sign > 0 or rng.random() < 0.3 else np.pi) + rng.normal(0, 0.02)
                        offset = edge + sign * (layout.parking / 2 + rng.normal(0, 0.07))
                        add_vehicle(self.road.builder, self.road.place(along, offset, float(turn)), vehicle)
                    along += vehicle.length / 2 + rng.uniform(0.6, 2.0)
        if layout.kind in ("industrial", "avenue") and layout.ground in ("asphalt", "concrete-ground", "paving"):
            sign = int(rng.choice([-1, 1]))
            kerb = layout.near_kerb if sign > 0 else layout.far_kerb
            for row in range(int(rng.integers(0, 4))):
                offset = kerb + sign * (layout.border + 4.5 + 8 * row)
                for along in self.walk(rng, 2.6, 3.4, self.near):
                    vehicle = draw_vehicle(rng)
                    if rng.random() < 0.7 and not vehicle.trailer and self.reserve(along, offset, 1.3, 2.8):
                        turn = float(rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.03))
                        add_vehicle(self.road.builder, self.road.place(along, offset, turn, -0.02), vehicle)

    def add_kerbside(self, rng: np.random.Generator) -> None:
        """Poles, lamps, trees, bollards and small things between kerb and pavement."""
        layout = self.layout
        city = layout.pavement > 0
        shares = {
            "tree": rng.choice([0.0, 1.0, 3.0]),
            "lamp": 1.0,
            "sign": 1.2,
            "bollard": rng.choice([0.0, 2.0]) if city else 0.0,
            "marker": 0.0 if city else 2.0,
            "post": 0.6,
            "small": 1.2 if city else 0.05,
            "telegraph": 0.6 if not city else 0.15,
            "bicycle": 0.8 if city else 0.0,
        }
        names, weights = list(shares), np.array([float(value) for value in shares.values()])
        tree = str(rng.choice(TREES))
        step = float(rng.uniform(3.5, 14))
        lamp = "tall-lamp" if layout.kind in ("highway", "avenue", "industrial") else "lamp"
        for sign, kerb in layout.kerbs():
            outside = 0.45 if city else 1.1
            for along in self.walk(rng, 0.5 * step, 1.5 * step):
                name = str(rng.choice(names, p=weights / weights.sum()))
                offset = kerb + sign * outside
                if not self.reserve(along, offset, 1.0 if name in ("small", "bicycle") else 0.35, 0.35):
                    continue
                if name == "sign":
                    turn = 0.0 if sign > 0 or rng.random() < 0.3 else np.pi
                    place = self.road.place(along, offset, float(turn + rng.normal(0, 0.15)), self.foot)
                elif name == "bicycle":
                    place = self.road.place(along, offset + sign * 0.1, float(rng.normal(0, 0.2)), self.foot)
                else:
                    outer = offset + sign * 0.2 if name == "small" else offset
                    place = self.road.beside(along, outer, self.foot)
                if name == "tree":
                    self._add_kerbside_tree(rng, along, tree, place)
                elif name == "bicycle":
                    if rng.random() < 0.7:
                        add_cyclist(self.road.builder, place, None, 0.0, float(rng.normal(0, 0.3)))
                    else:
                        add_motorcyclist(self.road.builder, place, None, bool(rng.random() < 0.6))
                elif name == "small":
                    kinds = SMALL + ["shelter"] * (layout.pavement > 3.0) if city else ["cone", "cabinet"]
                    add_small_thing(self.road.builder, rng, place, str(rng.choice(kinds)))
                elif name == "lamp":
                    add_pole(self.road.builder, rng, place, lamp, float(rng.uniform(0.8, 2.8)))
                else:
                    add_pole(self.road.builder, rng, place, name)
        if rng.random() < 0.3:
            self._add_wires(rng)

    def _add_kerbside_tree(self, rng: np.random.Generator, along: float, kind: str, place: Placement) -> None:
        narrow = self.layout.pavement and self.layout.border + 1 <= 1.5
        height = float(rng.uniform(4, 7) if narrow else rng.uniform(6, 13))
        if self.near[0] < along < self.near[1]:
            add_leafy_tree(self.road.builder, rng, place, kind, height)
        else:
            add_tree(self.road.builder, rng, place, height / 8)

    def _add_wires(self, rng: np.random.Generator) -> None:
        """A line of telegraph poles with wires between."""
        layout = self.layout
        sign, kerb = layout.kerbs()[int(rng.integers(2))]
        offset, spacing = kerb + sign * (layout.border + rng.uniform(0.9, 3.0)), float(rng.uniform(22, 40))
        previous: Array | None = None
        for along in np.arange(self.start, self.end, spacing):
            place = self.road.beside(float(along), offset)
            self._reserved.append((along - 0.5, along + 0.5, offset - 0.5, offset + 0.5))
            add_pole(self.road.builder, np.random.default_rng(7), place, "telegraph")
            tops = place(np.array([(-0.8, 6.6, 0), (-0.4, 6.6, 0), (0.4, 6.6, 0), (0.8, 6.6, 0)]))
            if previous is not None:
                for one, two in zip(previous, tops, strict=True):
                    add_wire(self.road.builder, one, two, 0.5)
            previous = tops

    def add_borders(self, rng: np.random.Generator) -> None:
        """Walls, fences, railings and hedges behind the pavements, with gaps."""
        layout = self.layout
        kinds = {
            "highway": ["none", "none", "mesh", "hedge"],
            "country": ["none", "rails", "hedge", "none", "tufts"],
            "lane": ["stone", "hedge", "rails", "tufts", "brick"],
            "avenue": ["none", "bars", "railing", "hedge", "brick"],
            "industrial": ["bars", "concrete-wall", "none", "bars"],
        }.get(layout.kind, ["bars", "pales", "hedge", "stone", "brick", "railing", "none"])
        for sign, kerb in layout.kerbs():
            one_kind = str(rng.choice(kinds)) if rng.random() < 0.5 else ""
            offset = kerb + sign * (layout.border + (0.25 if layout.pavement else 1.5))
            cursor = self.near[0]
            while cursor < self.near[1]:
                length, kind = float(rng.uniform(5, 30)), one_kind or str(rng.choice(kinds))
                span = (cursor, min(cursor + length, self.near[1]))
                cursor += length + float(rng.choice([0.0, rng.uniform(1.5, 6)]))
                height = float(rng.uniform(0.8, 2.2))
                if kind == "none" or not self.reserve((span[0] + span[1]) / 2, offset, (span[1] - span[0]) / 2, 0.2):
                    continue
                foot = layout.kerb if layout.pavement else 0.0
                if kind in ("bars", "pales", "rails", "railing", "mesh"):
                    high = 1.1 if kind in ("rails", "railing", "mesh") else height
                    add_fence(self.road, offset, span, "railing" if kind == "mesh" else kind, high, foot)
                elif kind in ("hedge", "tufts"):
                    self._add_hedge(rng, offset, span, height, tufts=kind == "tufts")
                else:
                    brick = f"wall-{int(rng.choice([1, 4, 7, 10]))}"
                    material = {"concrete-wall": "hall-0", "brick": brick}.get(kind, "stone")
                    self.road.sweep(block(offset, 0.14, -0.1, height), span, material, tile=2.0)

    def _add_hedge(
        self, rng: np.random.Generator, offset: float, span: tuple[float, float], height: float, *, tufts: bool
    ) -> None:
        for along in np.arange(span[0], span[1], 1.5):
            place = self.road.beside(float(along) + 0.75, offset + 0.2 * np.sign(offset))
            if tufts:
                add_tufts(self.road.builder, rng, place, (1.2, 1.5), 0.35 * height)
            else:
                add_leafy_bush(self.road.builder, rng, place, (0.7, height, 1.6), 60)
