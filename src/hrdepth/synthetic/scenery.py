"""What stands along a varied drive: structures, parked vehicles, buildings, trees."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hrdepth.synthetic.buildings import add_hall, add_tower, building_textures
from hrdepth.synthetic.houses import HouseStyle, add_house, house_styles, house_textures
from hrdepth.synthetic.layouts import Road, RoadLayout
from hrdepth.synthetic.mesh import Array
from hrdepth.synthetic.roads import add_crossing, add_ground, add_hills, road_textures
from hrdepth.synthetic.roadside import Roadside
from hrdepth.synthetic.street import Street
from hrdepth.synthetic.structures import add_barrier, add_fence, add_gantry, add_overpass, add_traffic_light
from hrdepth.synthetic.textures import PALETTE, Texture, palette_texture, plant_textures, small_textures
from hrdepth.synthetic.trajectory import Course
from hrdepth.synthetic.vegetation import TREES, add_conifer, add_leafy_bush, add_leafy_tree, add_tree

__all__ = ["build_scenery"]


def build_scenery(layout: RoadLayout, course: Course, stops: Array, seed: int, wet: float) -> Street:
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
    road = Road(layout, course)
    add_ground(road)
    scenery = _Scenery(road, stops)
    if rng.random() < (0.75 if layout.kind in ("country", "highway") else 0.35):
        add_hills(road, rng, float(rng.uniform(8, 190)))
    scenery.add_big_structures(np.random.default_rng([seed, 32]))
    scenery.add_parked(np.random.default_rng([seed, 33]))
    scenery.add_kerbside(np.random.default_rng([seed, 34]))
    scenery.add_borders(np.random.default_rng([seed, 35]))
    scenery.add_buildings(np.random.default_rng([seed, 36]), styles)
    scenery.add_greenery(np.random.default_rng([seed, 37]))
    meshes = road.builder.meshes()
    return Street(meshes, _textures(set(meshes), layout, styles, seed, wet))


def _textures(
    names: set[str], layout: RoadLayout, styles: list[HouseStyle], seed: int, wet: float
) -> dict[str, Texture]:
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


class _Scenery(Roadside):
    """Places things along the road, off the lanes and off each other."""

    def add_big_structures(self, rng: np.random.Generator) -> None:
        """Bridges, gantries, barriers, crossings with traffic lights."""
        layout, road = self.layout, self.road
        wide = layout.kind in ("highway", "avenue")
        if rng.random() < {"highway": 0.6, "avenue": 0.35, "country": 0.25, "industrial": 0.25}.get(layout.kind, 0.1):
            for along in self.walk(rng, 60, 240, (self.near[0] + 40, self.end)):
                add_overpass(road, rng, along)
                self._reserved.append((along - 12, along + 12, -200, 200))
        if wide and rng.random() < 0.6:
            for along in self.walk(rng, 50, 220):
                add_gantry(road, rng, along)
        if layout.median > 0.8:
            highway = layout.kind == "highway"
            kinds = ["rail", "concrete", "rail", "cable"] if highway else ["none", "fence", "concrete", "rail"]
            kind = str(rng.choice(kinds))
            if kind == "fence":
                add_fence(road, layout.middle, self.near, "bars", 1.1, 0.0)
            elif kind != "none":
                add_barrier(road, layout.middle, (self.start, self.end), kind)
        if layout.kind in ("highway", "country", "lane"):
            for sign, kerb in layout.kerbs():
                if rng.random() < (0.75 if layout.kind == "highway" else 0.35):
                    kinds = ["rail", "rail", "concrete", "cable", "noise"] if layout.kind == "highway" else ["rail"]
                    add_barrier(road, kerb + sign * 0.5, (self.start, self.end), str(rng.choice(kinds)))
        elif rng.random() < 0.6:
            for along in self.walk(rng, 25, 120, self.near):
                if rng.random() < 0.8:
                    add_crossing(road, along)
                if rng.random() < 0.6:
                    reach = float(rng.choice([0.0, rng.uniform(3, 6.5)])) if layout.near_kerb > 3 else 0.0
                    for sign, kerb in layout.kerbs():
                        if self.reserve(along + 2.6 * sign, kerb + sign * 0.45, 0.4, 0.4):
                            place = road.beside(along + 2.6 * sign, kerb + sign * 0.45, layout.kerb)
                            add_traffic_light(road.builder, rng, place, reach)

    def add_buildings(self, rng: np.random.Generator, styles: list[HouseStyle]) -> None:
        """Houses, towers or halls along both sides, set back or at the pavement, or none."""
        layout = self.layout
        chance = {"country": 0.12, "highway": 0.15, "lane": 0.35}.get(layout.kind, 0.92)
        for sign, kerb in layout.kerbs():
            setback = {
                "suburb": rng.uniform(4, 12),
                "avenue": rng.uniform(1, 14),
                "industrial": rng.uniform(4, 25),
            }.get(layout.kind, rng.uniform(0.6, 5))
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
                    inner = layout.border + 0.6 + setback
                    back = kerb + sign * (inner + row * rng.uniform(18, 28) + rng.uniform(0, 0.8))
                    width = self._add_building(rng, styles, kind, storeys + 4 * row, along, back, sign)
                    along += width + float(rng.uniform(0.2, 1.0) * gaps)

    def _add_building(
        self,
        rng: np.random.Generator,
        styles: list[HouseStyle],
        kind: str,
        storeys: int,
        along: float,
        offset: float,
        sign: float,
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
        if not self.reserve(middle, offset + sign * depth / 2, width / 2, depth / 2):
            return width
        place = self.road.beside(middle, offset, -0.02)
        if kind == "tower":
            add_tower(self.road.builder, rng, place, width, depth, max(2, int(storeys * rng.uniform(0.6, 1.3))))
        elif kind == "hall":
            add_hall(self.road.builder, rng, place, width, depth, float(rng.uniform(5, 11)))
        else:
            add_house(self.road.builder, rng, place, style)
        return width

    def add_greenery(self, rng: np.random.Generator) -> None:
        """Trees, bushes and grass on the land beyond, from a few to a wood."""
        layout = self.layout
        density = float(np.exp(rng.uniform(np.log(0.15), np.log(1.6))))
        kinds = [str(kind) for kind in rng.choice(TREES, 3)]
        for sign, kerb in layout.kerbs():
            edge = kerb + sign * (layout.border + (0.9 if layout.pavement else 2.4))
            for depth, step in zip((1.2, 4.0, 9.0, 17.0, 30.0, 50.0, 80.0), (4, 6, 7, 8, 9, 10, 14), strict=True):
                for along in self.walk(rng, 0.5 * step / density, 1.5 * step / density):
                    offset = edge + sign * (depth + rng.uniform(0, 0.35 * depth))
                    size = float(rng.uniform(0.4, 0.9) if depth < 3 else rng.uniform(0.8, 1.6))
                    if not self.reserve(along, offset, size, size):
                        continue
                    place = self.road.beside(along, offset, -0.02)
                    close = self.near[0] < along < self.near[1] and depth < 20
                    if depth < 3 or rng.random() < 0.25:
                        count = 75 if close else 16
                        add_leafy_bush(self.road.builder, rng, place, (1.6 * size, 1.5 * size, 1.6 * size), count)
                    elif close:
                        kind = kinds[int(rng.integers(3))]
                        add_leafy_tree(self.road.builder, rng, place, kind, float(rng.uniform(5, 14)), dense=0.8)
                    elif rng.random() < 0.25:
                        add_conifer(self.road.builder, rng, place, size * 1.3)
                    else:
                        add_tree(self.road.builder, rng, place, size * 1.3)
