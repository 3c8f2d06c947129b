"""Walkers, cyclists and motorcyclists of capsules and ellipsoids, in stride."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor, level, point
from hrdepth.synthetic.textures import CLOTHES, HAIR, PAINTS, SKINS

__all__ = ["Person", "add_cyclist", "add_motorcyclist", "add_walker", "draw_person"]

REACH = 0.46  # metres, half of a stride's swing of the thigh in radians at full pace


@dataclass(frozen=True)
class Person:
    """How somebody looks; lengths are in metres for a height of 1.75 and scale with it."""

    height: float
    girth: float
    skin: str
    hair: str
    top: str
    bottom: str
    shoes: str
    long_hair: bool
    hat: bool
    coat: bool
    skirt: bool
    bag: str  # "", "backpack", "shoulder", "case"
    paint: str


def draw_person(rng: np.random.Generator) -> Person:
    """Draw somebody's looks."""
    child = rng.random() < 0.14
    return Person(
        height=float(rng.uniform(1.05, 1.5) if child else np.clip(rng.normal(1.71, 0.09), 1.5, 1.95)),
        girth=float(np.clip(rng.normal(1.0, 0.13), 0.8, 1.4)),
        skin=str(rng.choice(SKINS, p=[0.4, 0.25, 0.2, 0.15])),
        hair=str(rng.choice(HAIR, p=[0.4, 0.3, 0.15, 0.15])),
        top=str(rng.choice(CLOTHES)),
        bottom=str(rng.choice(CLOTHES)),
        shoes=str(rng.choice(["black", "dark", "white", CLOTHES[0]])),
        long_hair=bool(rng.random() < 0.35),
        hat=bool(rng.random() < 0.2),
        coat=bool(rng.random() < 0.22),
        skirt=bool(rng.random() < 0.14),
        bag=str(rng.choice(["", "backpack", "shoulder", "case"], p=[0.55, 0.2, 0.17, 0.08])),
        paint=str(rng.choice(PAINTS)),
    )


class _Body:
    """One person's parts in the sculptor's frame, scaled from a height of 1.75 m."""

    def __init__(self, sculptor: Sculptor, person: Person, hip: ArrayLike, lean: float) -> None:
        self.make, self.person = sculptor, person
        self.scale = person.height / 1.75
        self.hip = np.asarray(hip, float)
        self.up = np.array([0.0, np.cos(lean), np.sin(lean)])
        self.front = np.array([0.0, -np.sin(lean), np.cos(lean)])

    def at(self, right: float, up: float, forward: float = 0.0) -> Array:
        """Return a point of the leaning trunk, measured from the hip."""
        return np.asarray(self.hip + self.scale * (np.array([right, 0.0, 0.0]) + up * self.up + forward * self.front))

    def trunk(self) -> None:
        """Add torso, neck, head and hair."""
        person, wide, size = self.person, self.person.girth, self.scale
        rises = np.array([-0.1, 0.0, 0.14, 0.3, 0.44, 0.53, 0.57])
        widths = np.array([0.13, 0.165, 0.145, 0.175, 0.2, 0.15, 0.06]) * wide
        depths = np.array([0.09, 0.115, 0.1, 0.12, 0.115, 0.09, 0.055]) * wide
        centres = np.array([self.at(0, rise) for rise in rises])
        across, along = size * widths[:, None] * [1.0, 0, 0], size * depths[:, None] * self.front
        self.make.tube(centres, across, along, person.top, segments=10)
        self.make.capsule(self.at(0, 0.54), self.at(0, 0.66, 0.01), 0.055 * size, person.skin)
        head = self.at(0, 0.755, 0.025)
        grown = size ** (-0.35)  # a child's head is large for its body
        self.make.ellipsoid(head, np.array([0.076, 0.115, 0.095]) * size * grown, person.skin)
        hair = self.at(0, 0.79, -0.005)
        self.make.ellipsoid(hair, np.array([0.086, 0.095, 0.1]) * size * grown, person.hair)
        if person.long_hair:
            self.make.capsule(self.at(0, 0.74, -0.06), self.at(0, 0.52, -0.1), 0.075 * size, person.hair)

    def limb(
        self,
        start: Array,
        end: Array,
        lengths: tuple[float, float],
        bend: ArrayLike,
        radii: tuple[float, float, float],
        colours: tuple[str, str],
    ) -> None:
        """Add upper and lower limb from `start` towards `end`, the joint pushed towards `bend`."""
        first, second = lengths[0] * self.scale, lengths[1] * self.scale
        joint, end = _joint(start, end, first, second, np.asarray(bend, float))
        one, two, three = (radius * self.scale for radius in radii)
        self.make.capsule(start, joint, one, colours[0], end_radius=two)
        self.make.capsule(joint, end, two, colours[1], end_radius=three)

    def arm(self, side: float, hand: Array, *, bare: bool = False) -> None:
        """Add an arm whose hand is at `hand` where it reaches."""
        lower = self.person.skin if bare else self.person.top
        shoulder = self.at(side * 0.2 * self.person.girth, 0.49)
        back, colours = -self.front + point(0, -0.3, 0), (self.person.top, lower)
        self.limb(shoulder, hand, (0.3, 0.27), back, (0.06, 0.047, 0.036), colours)
        reach = hand - shoulder
        most = 0.57 * self.scale
        hand = shoulder + reach * min(1.0, most / max(float(np.linalg.norm(reach)), 1e-6))
        self.make.ellipsoid(hand, 0.048 * self.scale, self.person.skin, segments=6)

    def leg(self, side: float, ankle: Array, toe: float, *, bend: ArrayLike = (0, 0, 1.0)) -> None:
        """Add a leg with the ankle at `ankle`; `toe` is the foot's rise in radians."""
        hip = self.hip + self.scale * np.array([side * 0.095, -0.03, 0.0])
        lower = self.person.skin if self.person.skirt else self.person.bottom
        self.limb(hip, ankle, (0.43, 0.42), bend, (0.088, 0.062, 0.045), (self.person.bottom, lower))
        heel = ankle + self.scale * np.array([0, -0.045, -0.05])
        tip = ankle + self.scale * np.array([0, -0.045 + 0.17 * np.sin(toe), 0.17 * np.cos(toe)])
        self.make.capsule(heel, tip, 0.042 * self.scale, self.person.shoes)


def _joint(start: Array, end: Array, first: float, second: float, bend: Array) -> tuple[Array, Array]:
    """Return knee or elbow of two bones between `start` and `end`, and the end that they reach."""
    axis = end - start
    distance = max(float(np.linalg.norm(axis)), 1e-6)
    axis = axis / distance
    reach = min(distance, 0.999 * (first + second))
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    out = bend - (bend @ axis) * axis
    out /= max(float(np.linalg.norm(out)), 1e-6)
    height = np.sqrt(max(first**2 - along**2, 0.0))
    return start + along * axis + height * out, start + reach * axis


def add_walker(
    builder: MeshBuilder, place: Placement, person: Person, phase: float, pace: float = 1.0, gesture: float = 0.0
) -> None:
    """Add somebody who walks along local forward.

    Args:
        builder: collects the triangles.
        place: below the hip, on the ground.
        person: looks.
        phase: of the stride in radians.
        pace: 0 stands, 1 walks, 1.5 runs.
        gesture: below 0 a hand at the ear, 1 both hands in front, else the arms swing.
    """
    make, size = Sculptor(builder, place), person.height / 1.75
    swing = REACH * pace
    feet = [
        (side, swing * np.sin(moment), max(0.0, np.cos(moment)) * 0.16 * pace)
        for side, moment in ((-1.0, phase + 0.0), (1.0, phase + np.pi))
    ]
    drop = 0.55 * (1 - np.cos(max(abs(angle) for _, angle, _ in feet)))
    hip = size * np.array([0.0, 0.945 - drop, 0.0])
    body = _Body(make, person, hip, lean=0.04 + 0.07 * pace)
    body.trunk()
    for side, angle, lift in feet:
        toe = 0.6 * angle - (3.0 * lift if lift > 0.05 else 0.0)
        heel = max(0.0, -0.17 * float(np.sin(toe)))  # behind the body it leaves the ground before the toes do
        ankle = size * np.array([side * 0.1, 0.087 + max(lift, heel), 0.86 * np.sin(angle)])
        body.leg(side, ankle, toe)
        elbow = 0.25 + 0.3 * pace
        forward = -0.42 * np.sin(angle) * (1 if pace else 0)
        hand = body.at(side * (0.25 + 0.03 * person.girth), -0.02 + 0.12 * elbow * abs(forward) * 4, forward + 0.05)
        if gesture < 0 and side > 0:
            hand = body.at(0.13, 0.74, 0.08)
        elif gesture >= 1:
            hand = body.at(side * 0.06, 0.2, 0.24)
        body.arm(side, hand, bare=gesture > 0.5)
    _dress(body, hip, feet)


def _dress(body: _Body, hip: Array, feet: list[tuple[float, float, float]]) -> None:
    """Add coat, skirt, hat and bag."""
    make, person, size = body.make, body.person, body.scale
    if person.skirt or person.coat:
        low, colour = (0.45, person.top) if person.coat else (0.38, person.bottom)
        spread = max(abs(np.sin(angle)) for _, angle, _ in feet)
        centres = hip + size * np.array([[0, 0.1, 0], [0, 0.0, 0], [0, -low, 0]])
        widths = size * person.girth * np.array([0.165, 0.185, 0.21])[:, None]
        depths = size * np.array([0.125, 0.14, 0.15 + 0.3 * spread * low])[:, None]
        make.tube(centres, widths * [1.0, 0, 0], depths * [0, 0, 1.0], colour, segments=10)
    if person.hat:
        crown, grown = body.at(0, 0.83, 0.0), size ** (-0.35)
        make.ellipsoid(crown, np.array([0.1, 0.075, 0.11]) * size * grown, person.shoes)
        make.ellipsoid(body.at(0, 0.82, 0.06), np.array([0.1, 0.015, 0.13]) * size, person.shoes)
    if person.bag == "backpack":
        make.ellipsoid(body.at(0, 0.33, -0.2), np.array([0.15, 0.22, 0.11]) * size, person.paint)
    elif person.bag == "shoulder":
        centre, half = body.at(0.26 * person.girth, 0.0, 0.0), np.array([0.05, 0.13, 0.16]) * size
        make.box(centre - half, centre + half, person.paint)
        make.path([body.at(0.25, 0.1), body.at(0.1, 0.4, 0.13), body.at(-0.1, 0.53)], 0.015, "black", segments=4)
    elif person.bag == "case":
        centre, half = hip * [1, 0, 1] + point(0.32 * size, 0.36, -0.1), np.array([0.1, 0.3, 0.19])
        make.box(centre - half, centre + half, person.paint)


def add_cyclist(
    builder: MeshBuilder, place: Placement, person: Person | None, phase: float, steer: float = 0.0
) -> None:
    """Add a bicycle that rides along local forward; `person` None leaves it parked, `phase` turns the pedals."""
    make = Sculptor(builder, place)
    radius, rear, front = 0.33, -0.52, 0.53
    for forward, turn in ((rear, 0.0), (front, steer)):
        make.ring((0, radius + 0.02, forward), radius, 0.022, turn=turn)
        for angle in np.linspace(0, np.pi, 4)[:-1]:
            spoke = 0.31 * np.array([np.sin(turn) * np.cos(angle), np.sin(angle), np.cos(turn) * np.cos(angle)])
            hub = np.array([0, radius + 0.02, forward])
            make.rod(hub - spoke, hub + spoke, 0.005, "rim", segments=3)
    paint = "black" if person is None else person.paint
    crank, seat, head = np.array([0, 0.3, -0.05]), np.array([0, 0.82, -0.22]), np.array([0, 0.86, 0.36])
    hub_rear, hub_front = np.array([0, radius + 0.02, rear]), np.array([0, radius + 0.02, front])
    for one, two, thick in (
        (crank, seat, 0.02),
        (crank, head - [0, 0.14, -0.03], 0.022),
        (seat - [0, 0.08, -0.02], head, 0.02),
        (crank, hub_rear, 0.013),
        (seat - [0, 0.1, -0.02], hub_rear, 0.012),
        (head, hub_front, 0.018),
    ):
        make.rod(one, two, thick, paint)
    make.ellipsoid(seat + point(0, 0.08, -0.02), (0.07, 0.035, 0.13), "black", segments=6)
    make.rod(head, head + point(0, 0.14, -0.02), 0.014, "zinc")
    grip = head + point(0, 0.15, 0.02)
    make.path([grip + point(-0.28, 0, -0.1), grip, grip + point(0.28, 0, -0.1)], 0.014, "dark", segments=5)
    if person is None:
        return
    size = person.height / 1.75
    body = _Body(make, person, seat + point(0, 0.19 * size, 0.0), lean=0.42)
    body.trunk()
    for side in (-1.0, 1.0):
        angle = phase + (np.pi if side > 0 else 0.0)
        pedal = crank + point(side * 0.11, 0.17 * np.sin(angle), 0.17 * np.cos(angle))
        make.rod(crank + point(side * 0.05, 0, 0), pedal, 0.012, "dark", segments=4)
        body.leg(side, pedal + point(0, 0.1, -0.04), toe=0.1)
        body.arm(side, grip + point(side * 0.27, 0.03, -0.1))
    if person.hat:
        make.ellipsoid(body.at(0, 0.82, 0.01), np.array([0.1, 0.085, 0.13]) * size, person.paint)
    if person.bag == "backpack":
        make.ellipsoid(body.at(0, 0.33, -0.2), np.array([0.15, 0.22, 0.11]) * size, person.bottom)


def add_motorcyclist(builder: MeshBuilder, place: Placement, person: Person | None, scooter: bool = False) -> None:
    """Add a motorcycle or scooter that rides along local forward, with its rider or parked."""
    make = Sculptor(builder, place)
    paint = "paint-9" if person is None else person.paint
    radius, rear, front = (0.24, -0.62, 0.62) if scooter else (0.31, -0.7, 0.72)
    for forward in (rear, front):
        make.ring((0, radius, forward), radius - 0.06, 0.062)
        make.rod((-0.05, radius, forward), (0.05, radius, forward), 0.15 if not scooter else 0.11, "rim", segments=10)
    make.ellipsoid((0, 0.45, -0.02), (0.17, 0.22, 0.36), "dark")
    if scooter:
        make.box((-0.18, 0.24, -0.25), (0.18, 0.32, 0.3), paint)
        make.prismoid(level(0.28, (-0.2, 0.2), (0.38, 0.46)), level(0.95, (-0.17, 0.17), (0.3, 0.36)), paint)
        make.ellipsoid((0, 0.55, -0.5), (0.19, 0.22, 0.42), paint)
    else:
        make.ellipsoid((0, 0.8, 0.15), (0.17, 0.15, 0.3), paint)
        make.ellipsoid((0, 0.78, -0.78), (0.12, 0.08, 0.24), paint)
        make.rod((0.16, 0.34, -0.2), (0.19, 0.4, -0.85), 0.05, "zinc")
    make.ellipsoid((0, 0.8, -0.42), (0.15, 0.07, 0.4), "black")
    grip = np.array([0.0, 1.02, 0.36])
    for side in (-1.0, 1.0):
        make.rod((side * 0.08, radius, front), grip + point(side * 0.08, -0.04, 0), 0.028, "zinc")
    make.path([grip + point(-0.36, 0, -0.12), grip, grip + point(0.36, 0, -0.12)], 0.018, "dark", segments=5)
    make.ellipsoid((0, 0.92, 0.48), (0.1, 0.11, 0.08), "headlamp")
    make.box((-0.07, 0.72, -1.05), (0.07, 0.8, -0.99), "red-lamp")
    if person is None:
        return
    body = _Body(make, person, (0.0, 0.95, -0.3), lean=0.22 if scooter else 0.36)
    body.trunk()
    for side in (-1.0, 1.0):
        foot = (side * 0.17, 0.42, 0.28) if scooter else (side * 0.24, 0.4, -0.12)
        body.leg(side, np.array(foot), toe=0.0, bend=(side * 0.5, 0.2, 1.0))
        body.arm(side, grip + point(side * 0.33, 0.02, -0.1))
    helmet = "white" if person.hat else "black"
    make.ellipsoid(body.at(0, 0.77, 0.02), np.array([0.125, 0.145, 0.145]) * body.scale, helmet)
    make.ellipsoid(body.at(0, 0.765, 0.085), np.array([0.095, 0.05, 0.09]) * body.scale, "glass")
