"""What moves on a varied drive: vehicles in their lanes, cyclists, walkers on pavements and crossing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.layouts import Road, RoadLayout
from hrdepth.synthetic.mesh import Array, Mesh, MeshBuilder, Placement
from hrdepth.synthetic.people import add_cyclist, add_motorcyclist, add_walker, draw_person
from hrdepth.synthetic.street import Street
from hrdepth.synthetic.textures import PALETTE, Texture
from hrdepth.synthetic.trajectory import Course
from hrdepth.synthetic.vehicles import CARS, HEAVY, Vehicle, add_vehicle, draw_vehicle

__all__ = ["Traffic", "draw_kinds"]

AHEAD, BEHIND = 160.0, 90.0  # metres from the camera within which something is built
CLEAR = 4.5  # metres around the camera along its lane where nothing else is
STRIDE = 1.45  # metres that a walker covers in two steps

Add = Callable[[MeshBuilder, Placement, float], None]  # adds something at a place after it covered some metres


@dataclass(frozen=True)
class _Mover:
    """Something that keeps its speed."""

    add: Add
    along: float
    offset: float
    along_speed: float
    turn: float
    half_length: float
    across_speed: float = 0.0
    lift: float = 0.0


class Traffic:
    """Everything that moves; a frame does not depend on the frames requested before.

    Args:
        rng: of who is there.
        layout: lanes and pavements.
        course: the road.
        stops: where along the course each frame is taken, (frames,).
        aside: the camera looks to a side, where a neighbour would often fill the image; most are left out.
    """

    def __init__(
        self, rng: np.random.Generator, layout: RoadLayout, course: Course, stops: Array, *, aside: bool = False
    ) -> None:
        self._room = 5.0 if aside and rng.random() < 0.8 else 1.5
        self.road, self.layout, self.stops = Road(layout, course), layout, stops
        self._leading: list[_Mover] = []
        self._movers: list[_Mover] = []
        self._add_lanes(rng)
        self._add_cyclists(rng)
        self._add_walkers(rng)
        self._add_crossing_walkers(rng)

    def at(self, frame: int, palette: Texture) -> Street | None:
        """Build what is near the camera at a frame; None where there is nothing."""
        builder, camera = MeshBuilder(), float(self.stops[frame])
        there = [(mover, camera + mover.along, mover.offset, camera) for mover in self._leading]
        for mover in self._movers:
            along = mover.along + mover.along_speed * frame
            offset = mover.offset + mover.across_speed * frame
            near = abs(along - camera) < CLEAR + mover.half_length and abs(offset) < self._room
            if not near and -BEHIND < along - camera < AHEAD:
                there.append((mover, along, offset, abs(mover.along_speed * frame) + abs(mover.across_speed * frame)))
        vehicles = np.array([(a, o, mover.half_length) for mover, a, o, _ in there if mover.half_length > 1])
        for mover, along, offset, covered in there:
            if mover.half_length <= 1 and len(vehicles):
                hit = np.abs(vehicles[:, 0] - along) < vehicles[:, 2] + mover.half_length
                if (hit & (np.abs(vehicles[:, 1] - offset) < 1.5)).any():
                    continue
            distances = self.road.course.distances
            if distances[0] + 10 < along < distances[-1] - 10:
                mover.add(builder, self.road.place(along, offset, mover.turn, mover.lift), covered)
        meshes = builder.meshes()
        return Street(meshes, {PALETTE: palette}) if meshes else None

    def _add_lanes(self, rng: np.random.Generator) -> None:
        """Vehicles one behind the other, all of a lane as fast; in the camera's lane as fast as the camera."""
        kinds = draw_kinds(rng, self.layout.kind)
        gap = float(np.exp(rng.uniform(np.log(5), np.log(120))))
        for offset, direction in self.layout.lanes():
            speed = float(self.layout.speed * rng.uniform(0.5, 1.4)) if rng.random() < 0.85 else 0.0
            own = offset == 0.0
            along = -BEHIND if own else float(self.stops[0]) - 200 + rng.uniform(0, gap)
            end = AHEAD if own else float(self.stops[-1]) + 260
            while along < end:
                vehicle = draw_vehicle(rng, kinds)
                two_wheeled = rng.random() < 0.1
                half = 1.1 if two_wheeled else vehicle.length / 2 + (5.5 if vehicle.trailer else 0)
                along += half
                shift = float(rng.normal(0, 0.12))
                if own and abs(along) < half + CLEAR + 1:
                    along += half + rng.uniform(0.5, 4)
                    continue
                add = self._two_wheeler(rng, motor=True) if two_wheeled else _rigid(vehicle)
                turn = 0.0 if direction > 0 else np.pi
                mover = _Mover(add, along, offset + shift, direction * speed, turn, half)
                (self._leading if own else self._movers).append(mover)
                along += half + 2.0 + float(rng.exponential(gap))

    def _two_wheeler(self, rng: np.random.Generator, *, motor: bool) -> Add:
        person, phase, scooter = draw_person(rng), float(rng.uniform(0, 6)), bool(rng.random() < 0.5)

        def add(builder: MeshBuilder, place: Placement, covered: float) -> None:
            if motor:
                add_motorcyclist(builder, place, person, scooter)
            else:
                add_cyclist(builder, place, person, phase - covered * 1.2)

        return add

    def _add_cyclists(self, rng: np.random.Generator) -> None:
        """Cyclists along both kerbs, some of them on the pavement."""
        if self.layout.kind == "highway":
            return
        gap = float(np.exp(rng.uniform(np.log(12), np.log(150))))
        for sign, edge in ((1, self.layout.near_edge), (-1, self.layout.far_edge)):
            along = float(self.stops[0]) - 60 + rng.uniform(0, gap)
            while along < self.stops[-1] + 140:
                paved = self.layout.pavement > 2.2 and rng.random() < 0.25
                kerb = self.layout.near_kerb if sign > 0 else self.layout.far_kerb
                offset = kerb + sign * (self.layout.verge + 0.9) if paved else edge - sign * rng.uniform(0.25, 0.6)
                direction = 1 if sign > 0 or self.layout.oncoming == 0 else -1
                speed = direction * float(rng.uniform(0.3, 0.6)) * min(1.0, self.layout.speed)
                turn, lift = 0.0 if direction > 0 else np.pi, self.layout.kerb if paved else 0.0
                add = self._two_wheeler(rng, motor=False)
                if abs(offset) > 0.9:
                    self._movers.append(_Mover(add, along, float(offset), speed, turn, 0.9, lift=lift))
                along += 3 + float(rng.exponential(gap))

    def _walker(self, rng: np.random.Generator, speed: float) -> Add:
        person, phase = draw_person(rng), float(rng.uniform(0, 2 * np.pi))
        pace = 0.0 if speed == 0 else float(rng.uniform(0.75, 1.15)) if rng.random() < 0.93 else 1.5
        gesture = float(rng.choice([0.0, 0.6, -1.0, 1.0], p=[0.6, 0.12, 0.16, 0.12]))

        def add(builder: MeshBuilder, place: Placement, covered: float) -> None:
            add_walker(builder, place, person, phase + 2 * np.pi * covered / STRIDE, pace, gesture)

        return add

    def _add_walkers(self, rng: np.random.Generator) -> None:
        """Walkers on the pavements, alone and in groups; a few on the edge of roads without one."""
        layout = self.layout
        intervals = {"country": (80, 400), "lane": (25, 200), "highway": (500, 3000)}
        shortest, longest = intervals.get(layout.kind, (2.5, 60))
        gap = float(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
        for sign, kerb in layout.kerbs():
            along = float(self.stops[0]) - 40 + rng.uniform(0, gap)
            while along < self.stops[-1] + 90:
                room = max(layout.pavement - 0.9, 0.1)
                inner = kerb + sign * (layout.verge + 0.55 if layout.pavement else -0.1)
                speed = float(rng.choice([0.0, 1.0], p=[0.2, 0.8])) * float(rng.uniform(0.05, 0.16))
                direction = float(rng.choice([-1.0, 1.0]))
                for member in range(int(rng.choice([1, 2, 3, 4], p=[0.66, 0.21, 0.08, 0.05]))):
                    offset = inner + sign * (rng.uniform(0, room) if member == 0 else min(0.62 * member, room))
                    aside = rng.uniform(-3, 3) if speed == 0 else rng.normal(0, 0.08)
                    turn, lift = (0.0 if direction > 0 else np.pi) + aside, layout.kerb if layout.pavement else 0.0
                    where = along + rng.normal(0, 0.3) * (member > 0)
                    add = self._walker(rng, speed)
                    mover = _Mover(add, where, float(offset), direction * speed, float(turn), 0.5, lift=lift)
                    self._movers.append(mover)
                along += 1.2 + float(rng.exponential(gap))

    def _add_crossing_walkers(self, rng: np.random.Generator) -> None:
        """Walkers and now and then a cyclist who cross the road ahead of the camera."""
        layout = self.layout
        if layout.kind in ("highway", "country"):
            return
        frame = int(rng.integers(0, 6))
        while frame < len(self.stops):
            for _ in range(int(rng.choice([0, 1, 2, 4], p=[0.4, 0.3, 0.2, 0.1]))):
                along = float(self.stops[frame]) + float(rng.uniform(7, 30))
                direction = float(rng.choice([-1.0, 1.0]))
                cyclist = rng.random() < 0.12
                across = direction * float(rng.uniform(0.08, 0.15)) * (2.5 if cyclist else 1.0)
                start = float(rng.uniform(layout.far_kerb + 0.4, layout.near_kerb - 0.4)) - across * frame
                add = self._two_wheeler(rng, motor=False) if cyclist else self._walker(rng, abs(across))
                turn = float(layout.side * direction * np.pi / 2 + rng.normal(0, 0.1))
                self._movers.append(_Mover(add, along, start, 0.0, turn, 0.5, across_speed=across))
            frame += int(rng.integers(8, 24))


def _rigid(vehicle: Vehicle) -> Add:
    """Return what adds the vehicle; its triangles are made once and moved afterwards."""
    made: list[Mesh] = []

    def add(builder: MeshBuilder, place: Placement, _: float) -> None:
        if not made:
            local = MeshBuilder()
            add_vehicle(local, Placement((0, 0), 0.0), vehicle)
            made.extend(local.meshes().values())
        for mesh in made:
            builder.triangles(place(mesh.vertices * [1, -1, 1]), mesh.uv, PALETTE)

    return add


def draw_kinds(rng: np.random.Generator, road: str) -> tuple[str, ...]:
    """Return a list of vehicles' kinds as often as they drive on that road."""
    heavy = {"highway": 6, "industrial": 6, "country": 3, "avenue": 4}.get(road, 2)
    some = tuple(str(kind) for kind in rng.choice(HEAVY if road != "lane" else HEAVY[:2], heavy))
    return CARS * 2 + some * int(rng.choice([0, 1, 2], p=[0.25, 0.5, 0.25]))
