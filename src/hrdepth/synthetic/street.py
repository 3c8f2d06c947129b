"""The street: ground, houses, cars, trees and signs placed along the camera's course."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hrdepth.synthetic.cars import CAR_COLOURS, CAR_SHAPES, add_car, car_textures
from hrdepth.synthetic.houses import HouseStyle, add_house, house_styles, house_textures
from hrdepth.synthetic.mesh import Array, Mesh, MeshBuilder, Placement, ribbon
from hrdepth.synthetic.roads import add_land
from hrdepth.synthetic.structures import add_lamp, add_sign
from hrdepth.synthetic.textures import Texture, ground_textures, plant_textures, small_textures
from hrdepth.synthetic.trajectory import Course
from hrdepth.synthetic.vegetation import add_bush, add_conifer, add_tree

__all__ = ["Street", "build_car", "build_street"]

# Metres to the right of the camera's course. The car keeps to the right lane of two.
LEFT_PAVEMENT, LEFT_KERB, LEFT_EDGE = -9.4, -7.2, -5.1
MIDDLE, RIGHT_EDGE, RIGHT_KERB, RIGHT_PAVEMENT = -1.7, 1.75, 3.9, 6.1
KERB_HEIGHT, LAWN_DEPTH = 0.13, 0.02
ROAD_TILE = 24.0  # metres of road that one copy of its texture covers
SIDES = ((1.0, RIGHT_KERB, RIGHT_PAVEMENT), (-1.0, LEFT_KERB, LEFT_PAVEMENT))
PLANTS = ((2.0, 3, 0.8), (6.0, 5, 1.0), (15.0, 6, 1.3), (34.0, 5, 1.9), (50.0, 6, 2.4))  # metres behind, apart; size


@dataclass(frozen=True)
class Street:
    """What is rendered: one mesh and one sRGB texture (H,W,3) a material; the road is the plane y = 0."""

    meshes: dict[str, Mesh]
    textures: dict[str, Texture]


def build_street(course: Course, seed: int = 0) -> Street:
    """Build the street along `course`; the same seed gives the same street."""
    rng = np.random.default_rng([seed, 3])
    styles = house_styles(rng)
    lines = {"left": LEFT_EDGE - LEFT_KERB, "middle": MIDDLE - LEFT_KERB, "right": RIGHT_EDGE - LEFT_KERB}
    textures = ground_textures(rng, width=RIGHT_KERB - LEFT_KERB, length=ROAD_TILE, lines=lines)
    textures |= plant_textures(rng) | small_textures(rng) | car_textures(rng) | house_textures(rng, styles)
    textures["dormer"] = textures["front-0"][-140:-10, :120]
    builder = MeshBuilder()
    _add_ground(builder, course)
    plots = _Plots(course)
    _add_houses(builder, np.random.default_rng([seed, 4]), plots, styles)
    _add_parked_cars(builder, np.random.default_rng([seed, 5]), course)
    _add_roadside(builder, np.random.default_rng([seed, 6]), course)
    _add_borders(builder, np.random.default_rng([seed, 7]), course)
    _add_greenery(builder, np.random.default_rng([seed, 8]), plots)
    meshes = builder.meshes()
    return Street(meshes, {name: textures[name] for name in meshes})


def build_car(course: Course, distance: float, textures: dict[str, Texture]) -> Street:
    """Build a car in the camera's lane, `distance` metres along the course; `textures` are `car_textures`."""
    builder = MeshBuilder()
    add_car(builder, Placement(course.place(distance, 0.0), float(course.heading(distance))), CAR_SHAPES[0], colour=1)
    meshes = builder.meshes()
    return Street(meshes, {name: textures[name] for name in meshes})


class _Plots:
    """Keeps solids off the street and off each other."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self._reserved: list[Array] = []
        self._circles: list[tuple[float, float, float]] = []  # around them: x, z, radius

    def reserve(self, place: Placement, low: tuple[float, float], high: tuple[float, float]) -> bool:
        """Reserve a rectangle of local (right, forward) corners; False where it touches street or neighbour."""
        grid = np.stack(np.meshgrid(np.linspace(low[0], high[0], 5), np.linspace(low[1], high[1], 5)), -1)
        local = np.insert(grid.reshape(-1, 2), 1, 0.0, axis=1)
        points = place(local)[:, [0, 2]]
        offsets = self.course.offsets(points)
        if ((offsets < RIGHT_PAVEMENT + 0.3) & (offsets > LEFT_PAVEMENT - 0.3)).any():
            return False
        centre, radius = points.mean(0), float(np.hypot(high[0] - low[0], high[1] - low[1]) / 2)
        x, z, radii = np.array(self._circles).reshape(-1, 3).T
        for index in np.flatnonzero(np.hypot(x - centre[0], z - centre[1]) < radius + radii):
            if np.linalg.norm(self._reserved[index][:, None] - points[None], axis=-1).min() < 1.0:
                return False
        self._reserved.append(points)
        self._circles.append((*centre, radius))
        return True


def _strip(
    builder: MeshBuilder,
    course: Course,
    across: tuple[float, float],
    up: tuple[float, float],
    material: str,
    tile: tuple[float, float],
) -> None:
    """Add a ribbon along the course between two offsets at two heights; `tile` is (across, along) metres.

    It faces up where its second edge is right of its first.
    """
    moves = np.diff(course.points, axis=0)
    run = np.concatenate([[0.0], np.cumsum(np.hypot(moves[:, 0], moves[:, 1]))])
    edges = [course.line(course.distances, offset, height) for offset, height in zip(across, up, strict=True)]
    reach = np.hypot(across[1] - across[0], up[1] - up[0]) / tile[0]
    for vertices, uv in ribbon(edges, run / tile[1], float(reach)):
        builder.triangles(vertices, uv, material)


def _add_ground(builder: MeshBuilder, course: Course) -> None:
    """Lawn everywhere, the road on it, kerbs and pavements beside the road."""
    raised, stone, width = (KERB_HEIGHT, KERB_HEIGHT), (0.36, 4.0), RIGHT_KERB - LEFT_KERB
    _strip(builder, course, (LEFT_KERB, RIGHT_KERB), (0.0, 0.0), "road", (width, ROAD_TILE))
    for sign, kerb, pavement in SIDES:
        inner = kerb + sign * 0.18
        for across, up, material, tile in (
            ((kerb, kerb), (0.0, KERB_HEIGHT), "kerb", stone),
            ((kerb, inner), raised, "kerb", stone),
            ((inner, pavement), raised, "pavement", (2.4, 2.4)),
            ((pavement, pavement), (KERB_HEIGHT, -LAWN_DEPTH), "kerb", stone),
        ):
            if sign < 0:  # the left side is mirrored
                across, up = (across[1], across[0]), (up[1], up[0])
            _strip(builder, course, across, up, material, tile)
    add_land(builder, course, 250, LAWN_DEPTH, "lawn")


def _beside(course: Course, distance: float, offset: float) -> Placement:
    """Place something beside the course so that local -right looks at the road."""
    heading = float(course.heading(distance)) + (np.pi if offset < 0 else 0.0)
    return Placement(course.place(distance, offset), heading)


def _add_houses(builder: MeshBuilder, rng: np.random.Generator, plots: _Plots, styles: list[HouseStyle]) -> None:
    """Rows of houses along both pavements, and a second row behind them."""
    for row, least in enumerate((1.6, 17.0)):
        for sign, _, pavement in SIDES:
            previous = -1
            for distance in plots.course.walk(rng, 1.5, 2.5):
                index = int(rng.integers(len(styles)))
                style = styles[index]
                offset = pavement + sign * (least + rng.uniform(0, 1.6 if row == 0 else 9))
                place = _beside(plots.course, distance, offset)
                half = style.width / 2
                if index != previous and plots.reserve(place, (-0.4, -half), (style.depth, half)):
                    add_house(builder, rng, place, style)
                    previous = index


def _add_parked_cars(builder: MeshBuilder, rng: np.random.Generator, course: Course) -> None:
    """Cars in the parking strips, with free places between them."""
    for edge, kerb in ((RIGHT_EDGE, RIGHT_KERB), (LEFT_EDGE, LEFT_KERB)):
        for distance in course.walk(rng, 5.6, 9.0):
            shape = CAR_SHAPES[int(rng.choice(3, p=[0.45, 0.4, 0.15]))]
            colour = int(rng.integers(len(CAR_COLOURS)))
            jitter = float(rng.uniform(-0.08, 0.08))
            if rng.random() < 0.3:
                continue
            heading = float(course.heading(distance)) + (np.pi if edge < 0 else 0.0)
            place = Placement(course.place(distance, (edge + kerb) / 2 + jitter), heading + jitter / 4)
            add_car(builder, place, shape, colour)


def _add_roadside(builder: MeshBuilder, rng: np.random.Generator, course: Course) -> None:
    """Trees, lamps, signs and bins on the pavements near the kerb."""
    for sign, kerb, pavement in SIDES:
        for i, distance in enumerate(course.walk(rng, 6.0, 10.0)):
            place = _beside(course, distance, kerb + sign * 0.6)
            if i % 4 == 1:
                add_lamp(builder, place)
            elif i % 4 == 3:
                facing = Placement(place.origin, float(course.heading(distance)) + (0.0 if sign > 0 else np.pi))
                add_sign(builder, facing, int(rng.integers(3)))
            else:
                add_tree(builder, rng, place, rng.uniform(0.7, 0.95))
            if rng.random() < 0.4:
                place = _beside(course, distance + 2.5, pavement - sign * 0.4)
                builder.box(place, (-0.25, 0, -0.3), (0.25, 1.2, 0.3), "bin")


def _add_borders(builder: MeshBuilder, rng: np.random.Generator, course: Course) -> None:
    """Hedges, garden walls and fences along the back of the pavements, with gaps."""
    kinds = (("hedge", 1.1, 0.5), ("stone", 0.7, 0.25), ("fence", 1.0, 0.06), ("hedge", 0.7, 0.6))
    for sign, _, pavement in SIDES:
        for distance in course.walk(rng, 3.0, 3.6):
            material, height, thickness = kinds[int(rng.integers(len(kinds)))]
            if rng.random() < 0.4:
                continue
            place = _beside(course, distance, pavement + sign * 0.25)
            builder.box(place, (0, 0, -1.4), (thickness, height, 1.4), material, texel=1.6)


def _add_greenery(builder: MeshBuilder, rng: np.random.Generator, plots: _Plots) -> None:
    """Bushes and trees in the gardens, and woods behind the houses."""
    course = plots.course
    for sign, _, pavement in SIDES:
        for depth, step, size in PLANTS:
            for distance in course.walk(rng, step * 0.6, step * 1.4):
                offset = pavement + sign * (depth + rng.uniform(0, depth / 3))
                place = _beside(course, distance, offset)
                radius = 0.5 if depth < 3 else 0.9 * size
                if not plots.reserve(place, (-radius, -radius), (radius, radius)):
                    continue
                if depth < 3:
                    add_bush(builder, rng, place, rng.uniform(0.6, 1.1))
                elif rng.random() < 0.25:
                    add_conifer(builder, rng, place, size * rng.uniform(0.7, 1.1))
                else:
                    add_tree(builder, rng, place, size * rng.uniform(0.75, 1.1))
