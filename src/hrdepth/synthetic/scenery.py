"""What stands along a varied drive: structures, parked vehicles, buildings, trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from hrdepth.synthetic.buildings import add_hall, add_tower, building_textures
from hrdepth.synthetic.furniture import add_conifer, add_tree
from hrdepth.synthetic.houses import HouseStyle, add_house, house_styles, house_textures
from hrdepth.synthetic.layouts import Layout
from hrdepth.synthetic.mesh import MeshBuilder
from hrdepth.synthetic.palette import PALETTE, palette_texture
from hrdepth.synthetic.people import add_cyclist, add_motorcyclist
from hrdepth.synthetic.roads import add_crossing, add_ground, add_hills, road_textures
from hrdepth.synthetic.street import Street
from hrdepth.synthetic.structures import (
    add_barrier,
    add_fence,
    add_gantry,
    add_overpass,
    add_pole,
    add_small_thing,
    add_traffic_light,
    add_wire,
    sweep,
)
from hrdepth.synthetic.textures import Array, Texture, plant_textures, small_textures
from hrdepth.synthetic.traffic import draw_kinds
from hrdepth.synthetic.trajectory import Course
from hrdepth.synthetic.vegetation import TREES, add_leafy_bush, add_leafy_tree, add_tufts
from hrdepth.synthetic.vehicles import add_vehicle, draw_vehicle

__all__ = ["build_scenery"]


def build_scenery(layout: Layout, course: Course, stops: Array, seed: int, wet: float) -> Street:
    """Build all that stands along a road.

    Args:
        layout: the kind of road.
        course: where it runs.
        stops: where along it each frame is taken.
        seed: the same seed gives the same scenery.
        wet: how wet the ground is, 0 to 1.
    """
    rng = np.random.default_rng([seed, 31])
    styles = house_styles(rng)
    builder = MeshBuilder()
    add_ground(builder, layout, course)
    scenery = _Scenery(builder, layout, course, stops)
    if rng.random() < (0.75 if layout.kind in ("country", "highway") else 0.35):
        add_hills(builder, rng, course, float(rng.uniform(8, 190)))
    scenery.add_big_structures(np.random.default_rng([seed, 32]))
    scenery.add_parked(np.random.default_rng([seed, 33]))
    scenery.add_kerbside(np.random.default_rng([seed, 34]))
    scenery.add_borders(np.random.default_rng([seed, 35]))
    scenery.add_buildings(np.random.default_rng([seed, 36]), styles)
    scenery.add_greenery(np.random.default_rng([seed, 37]))
    meshes = builder.meshes()
    return Street(meshes, _textures(set(meshes), layout, styles, seed, wet))


def _textures(names: set[str], layout: Layout, styles: list[HouseStyle], seed: int, wet: float) -> dict[str, Texture]:
    """Draw the textures of these names, and the palette; a group that none of them needs is left out."""
    numbers = {name.rsplit("-", 1)[-1] for name in names if name.startswith(("front-", "side-", "wall-"))}
    needed = [style for style in styles if str(style.index) in numbers or (style.index == 0 and "dormer" in names)]
    groups: tuple[Callable[[np.random.Generator], dict[str, Texture]], ...] = (
        lambda rng: road_textures(rng, layout, wet),
        plant_textures,
        small_textures,
        building_textures,
        lambda rng: house_textures(rng, needed),
        lambda rng: {PALETTE: palette_texture(rng)},
    )
    textures: dict[str, Texture] = {}
    for index, draw in enumerate(groups):
        textures |= draw(np.random.default_rng([seed, 40 + index]))
    textures["tufts"] = textures["leaves-1"]
    if needed:
        textures["dormer"] = textures[f"front-{needed[0].index}"][-140:-10, :120]
    return {name: textures[name] for name in sorted(names | {PALETTE})}


class _Scenery:
    """Places things along the road, off the lanes and off each other."""

    def __init__(self, builder: MeshBuilder, layout: Layout, course: Course, stops: Array) -> None:
        self.builder, self.layout, self.course = builder, layout, course
        self.start, self.end = float(course.distances[0]) + 12, float(course.distances[-1]) - 12
        self.near = (max(self.start, float(stops[0]) - 70), min(self.end, float(stops[-1]) + 110))
        self._taken: list[tuple[float, float, float, float]] = []

    def take(self, along: float, offset: float, half_along: float, half_across: float) -> bool:
        """Claim a rectangle in course coordinates; False where it touches another."""
        box = (along - half_along, along + half_along, offset - half_across, offset + half_across)
        for other in self._taken:
            if box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3]:
                return False
        self._taken.append(box)
        return True

    def walk(self, rng: np.random.Generator, least: float, most: float, span: tuple[float, float] | None = None) -> Iterator[float]:
        """Yield metres along the course at random intervals."""
        low, high = span or (self.start, self.end)
        along = low + float(rng.uniform(0, most))
        while along < high:
            yield along
            along += float(rng.uniform(least, most))

    def add_big_structures(self, rng: np.random.Generator) -> None:
        """Bridges, gantries, barriers, crossings with traffic lights."""
        layout, builder, course = self.layout, self.builder, self.course
        wide = layout.kind in ("highway", "avenue")
        if rng.random() < {"highway": 0.6, "avenue": 0.35, "country": 0.25, "industrial": 0.25}.get(layout.kind, 0.1):
            for along in self.walk(rng, 60, 240, (self.near[0] + 40, self.end)):
                add_overpass(builder, rng, layout, course, along)
                self._taken.append((along - 12, along + 12, -200, 200))
        if wide and rng.random() < 0.6:
            for along in self.walk(rng, 50, 220):
                add_gantry(builder, rng, layout, course, along)
        if layout.median > 0.8:
            kind = str(rng.choice(["rail", "concrete", "rail", "cable"] if layout.kind == "highway" else ["none", "fence", "concrete", "rail"]))
            if kind == "fence":
                add_fence(builder, layout, course, layout.middle, self.near, "bars", 1.1, 0.0)
            elif kind != "none":
                add_barrier(builder, layout, course, layout.middle, (self.start, self.end), kind)
        if layout.kind in ("highway", "country", "lane"):
            for sign, kerb in layout.kerbs():
                if rng.random() < (0.75 if layout.kind == "highway" else 0.35):
                    kind = str(rng.choice(["rail", "rail", "concrete", "cable", "noise"] if layout.kind == "highway" else ["rail"]))
                    add_barrier(builder, layout, course, kerb + sign * 0.5, (self.start, self.end), kind)
        elif rng.random() < 0.6:
            for along in self.walk(rng, 25, 120, self.near):
                if rng.random() < 0.8:
                    add_crossing(builder, layout, course, along)
                if rng.random() < 0.6:
                    reach = float(rng.choice([0.0, rng.uniform(3, 6.5)])) if layout.near_kerb > 3 else 0.0
                    for sign, kerb in layout.kerbs():
                        if self.take(along + 2.6 * sign, kerb + sign * 0.45, 0.4, 0.4):
                            place = layout.beside(course, along + 2.6 * sign, kerb + sign * 0.45, layout.kerb)
                            if layout.side * sign < 0:  # its frame looks back along the course
                                pass
                            add_traffic_light(builder, rng, place, reach)

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
                        add_vehicle(self.builder, layout.place(self.course, along, offset, float(turn)), vehicle)
                    along += vehicle.length / 2 + rng.uniform(0.6, 2.0)
        if layout.kind in ("industrial", "avenue") and layout.ground in ("asphalt", "concrete-ground", "paving"):
            sign = int(rng.choice([-1, 1]))
            kerb = layout.near_kerb if sign > 0 else layout.far_kerb
            for row in range(int(rng.integers(0, 4))):
                offset = kerb + sign * (layout.border + 4.5 + 8 * row)
                for along in self.walk(rng, 2.6, 3.4, self.near):
                    vehicle = draw_vehicle(rng)
                    if rng.random() < 0.7 and not vehicle.trailer and self.take(along, offset, 1.3, 2.8):
                        turn = float(rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.03))
                        add_vehicle(self.builder, layout.place(self.course, along, offset, turn, -0.02), vehicle)

    def add_kerbside(self, rng: np.random.Generator) -> None:
        """Poles, lamps, trees, bollards and small things between kerb and pavement."""
        layout = self.layout
        city = layout.pavement > 0
        shares = {
            "tree": rng.choice([0.0, 1.0, 3.0]), "lamp": 1.0, "sign": 1.2, "bollard": rng.choice([0.0, 2.0]) if city else 0.0,
            "marker": 0.0 if city else 2.0, "post": 0.6, "small": 1.2 if city else 0.05, "telegraph": 0.6 if not city else 0.15,
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
                if not self.take(along, offset, 1.0 if name in ("small", "bicycle") else 0.35, 0.35):
                    continue
                place = layout.beside(self.course, along, offset, layout.kerb if city else -0.02)
                self._add_kerbside_thing(rng, name, along, offset, sign, lamp, tree, place)
        if rng.random() < 0.3:
            self._add_wires(rng)

    def _add_kerbside_thing(
        self, rng: np.random.Generator, name: str, along: float, offset: float, sign: float, lamp: str, tree: str, place: object
    ) -> None:
        layout, builder = self.layout, self.builder
        assert callable(place)
        lift = layout.kerb if layout.pavement else -0.02
        beside = layout.beside(self.course, along, offset, lift)
        if name == "tree":
            height = float(rng.uniform(6, 13)) if layout.border + 1 > 1.5 or not layout.pavement else float(rng.uniform(4, 7))
            if self.near[0] < along < self.near[1]:
                add_leafy_tree(builder, rng, beside, tree, height)
            else:
                add_tree(builder, rng, beside, height / 8)
        elif name == "lamp":
            add_pole(builder, rng, beside, lamp, float(rng.uniform(0.8, 2.8)))
        elif name == "sign":
            turn = 0.0 if sign > 0 or rng.random() < 0.3 else np.pi
            add_pole(builder, rng, layout.place(self.course, along, offset, float(turn + rng.normal(0, 0.15)), lift), "sign")
        elif name == "small":
            kinds = ["bench", "bin", "hydrant", "cabinet", "planter", "cone"] + ["shelter"] * (layout.pavement > 3.0)
            if not layout.pavement:
                kinds = ["cone", "cabinet"]
            add_small_thing(builder, rng, layout.beside(self.course, along, offset + sign * 0.2, lift), str(rng.choice(kinds)))
        elif name == "bicycle":
            turned = layout.place(self.course, along, offset + sign * 0.1, float(rng.normal(0, 0.2)), lift)
            if rng.random() < 0.7:
                add_cyclist(builder, turned, None, 0.0, float(rng.normal(0, 0.3)))
            else:
                add_motorcyclist(builder, turned, None, bool(rng.random() < 0.6))
        else:
            add_pole(builder, rng, beside, name)

    def _add_wires(self, rng: np.random.Generator) -> None:
        """A line of telegraph poles with wires between."""
        layout = self.layout
        sign, kerb = layout.kerbs()[int(rng.integers(2))]
        offset, spacing = kerb + sign * (layout.border + rng.uniform(0.9, 3.0)), float(rng.uniform(22, 40))
        previous: Array | None = None
        for along in np.arange(self.start, self.end, spacing):
            place = layout.beside(self.course, float(along), offset)
            self._taken.append((along - 0.5, along + 0.5, offset - 0.5, offset + 0.5))
            add_pole(self.builder, np.random.default_rng(7), place, "telegraph")
            tops = place(np.array([(-0.8, 6.6, 0), (-0.4, 6.6, 0), (0.4, 6.6, 0), (0.8, 6.6, 0)]))
            if previous is not None:
                for one, two in zip(previous, tops, strict=True):
                    add_wire(self.builder, one, two, 0.5)
            previous = tops

    def add_borders(self, rng: np.random.Generator) -> None:
        """Walls, fences, railings and hedges behind the pavements, with gaps."""
        layout, builder, course = self.layout, self.builder, self.course
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
                if kind == "none" or not self.take((span[0] + span[1]) / 2, offset, (span[1] - span[0]) / 2, 0.2):
                    continue
                foot = layout.kerb if layout.pavement else 0.0
                if kind in ("bars", "pales", "rails", "railing", "mesh"):
                    high = 1.1 if kind in ("rails", "railing", "mesh") else height
                    add_fence(builder, layout, course, offset, span, "railing" if kind == "mesh" else kind, high, foot)
                elif kind in ("hedge", "tufts"):
                    self._add_hedge(rng, offset, span, height, tufts=kind == "tufts")
                else:
                    material = {"concrete-wall": "hall-0", "brick": f"wall-{int(rng.choice([1, 4, 7, 10]))}"}.get(kind, "stone")
                    sweep(builder, layout, course, [(offset - 0.14, -0.1), (offset + 0.14, -0.1), (offset + 0.14, height), (offset - 0.14, height)], span, material, tile=2.0)

    def _add_hedge(self, rng: np.random.Generator, offset: float, span: tuple[float, float], height: float, *, tufts: bool) -> None:
        for along in np.arange(span[0], span[1], 1.5):
            place = self.layout.beside(self.course, float(along) + 0.75, offset + 0.2 * np.sign(offset))
            if tufts:
                add_tufts(self.builder, rng, place, (1.2, 1.5), 0.35 * height, 40)
            else:
                add_leafy_bush(self.builder, rng, place, (0.7, height, 1.6), 34)

    def add_buildings(self, rng: np.random.Generator, styles: list[HouseStyle]) -> None:
        """Houses, towers or halls along both sides, set back or at the pavement, or none."""
        layout = self.layout
        chance = {"country": 0.12, "highway": 0.15, "lane": 0.35}.get(layout.kind, 0.92)
        for sign, kerb in layout.kerbs():
            setback = {"suburb": rng.uniform(4, 12), "avenue": rng.uniform(1, 14), "industrial": rng.uniform(4, 25)}.get(layout.kind, rng.uniform(0.6, 5))
            if layout.kind in ("country", "highway"):
                setback = rng.uniform(15, 60)
            if rng.random() > chance:
                continue
            kind = {"avenue": "tower", "industrial": "hall"}.get(layout.kind, "house")
            if layout.kind in ("street", "highway") and rng.random() < 0.3:
                kind = "tower"
            storeys = int(rng.choice([4, 6, 9, 16]))
            gaps = float(rng.choice([0.3, 3.0, 12.0]))
            for row in range(2):
                along = self.start
                while along < self.end:
                    back = kerb + sign * (layout.border + 0.6 + setback + row * rng.uniform(18, 28) + rng.uniform(0, 0.8))
                    along += self._add_building(rng, styles, kind, storeys + 4 * row, along, back, sign) + float(rng.uniform(0.2, 1.0) * gaps)

    def _add_building(
        self, rng: np.random.Generator, styles: list[HouseStyle], kind: str, storeys: int, along: float, offset: float, sign: float
    ) -> float:
        """Add one building whose front is at `offset`, and return its width along the road."""
        style = styles[int(rng.integers(len(styles)))]
        if kind == "tower":
            width, depth = float(rng.uniform(12, 34)), float(rng.uniform(10, 18))
        elif kind == "hall":
            width, depth = float(rng.uniform(15, 50)), float(rng.uniform(12, 22))
        else:
            width, depth = style.width + 0.8, style.depth
        middle = along + width / 2
        if not self.take(middle, offset + sign * depth / 2, width / 2, depth / 2):
            return width
        place = self.layout.beside(self.course, middle, offset, -0.02)
        if kind == "tower":
            add_tower(self.builder, rng, place, width, depth, max(2, int(storeys * rng.uniform(0.6, 1.3))))
        elif kind == "hall":
            add_hall(self.builder, rng, place, width, depth, float(rng.uniform(5, 11)))
        else:
            add_house(self.builder, rng, place, style)
        return width

    def add_greenery(self, rng: np.random.Generator) -> None:
        """Trees, bushes and grass on the land beyond, from a few to a wood."""
        layout = self.layout
        density = float(np.exp(rng.uniform(np.log(0.15), np.log(1.6))))
        kinds = [str(kind) for kind in rng.choice(TREES, 3)]
        for sign, kerb in layout.kerbs():
            edge = kerb + sign * (layout.border + (0.9 if layout.pavement else 2.4))
            for depth, step in ((1.2, 4.0), (4.0, 6.0), (9.0, 7.0), (17.0, 8.0), (30.0, 9.0), (50.0, 10.0), (80.0, 14.0)):
                for along in self.walk(rng, 0.5 * step / density, 1.5 * step / density):
                    offset = edge + sign * (depth + rng.uniform(0, 0.35 * depth))
                    size = float(rng.uniform(0.4, 0.9) if depth < 3 else rng.uniform(0.8, 1.6))
                    if not self.take(along, offset, size, size):
                        continue
                    place = layout.beside(self.course, along, offset, -0.02)
                    close = self.near[0] < along < self.near[1] and depth < 20
                    if depth < 3 or rng.random() < 0.25:
                        add_leafy_bush(self.builder, rng, place, (1.6 * size, 1.5 * size, 1.6 * size), 40 if close else 16)
                    elif close:
                        kind = kinds[int(rng.integers(3))]
                        add_leafy_tree(self.builder, rng, place, kind, float(rng.uniform(5, 14)), dense=0.8)
                    elif rng.random() < 0.25:
                        add_conifer(self.builder, rng, place, size * 1.3)
                    else:
                        add_tree(self.builder, rng, place, size * 1.3)
