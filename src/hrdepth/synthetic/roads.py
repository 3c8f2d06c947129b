"""The ground of a varied drive: road with its lanes, kerbs, pavements, verges, land, hills."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from hrdepth.synthetic.layouts import Road, RoadLayout
from hrdepth.synthetic.mesh import Array, MeshBuilder, ribbon
from hrdepth.synthetic.textures import Texture, lawn, noise, plain, rough, slabs
from hrdepth.synthetic.trajectory import Course

__all__ = ["add_crossing", "add_ground", "add_hills", "add_land", "road_textures"]

TILE = 24.0  # metres of road that one copy of its texture covers
LAND = 0.02  # metres that the land lies below the road's plane
_GROUNDS = {
    "dry-grass": ((170, 154, 92), (132, 124, 74), 0.16),
    "field": ((128, 138, 60), (150, 128, 80), 0.14),
    "soil": ((142, 118, 92), (114, 94, 74), 0.14),
    "asphalt": ((104, 104, 104), (86, 86, 88), 0.08),
    "concrete-ground": ((172, 168, 160), (148, 146, 140), 0.07),
    "paving": ((170, 160, 148), (150, 142, 132), 0.08),
    "hill": ((96, 116, 74), (70, 92, 62), 0.2),
}


def road_textures(rng: np.random.Generator, layout: RoadLayout, wet: float) -> dict[str, Texture]:
    """Draw road, pavement, kerb and land; a wet ground is darker."""
    textures = {
        "road": _road(rng, layout),
        "pavement": slabs(rng, (384, 384), int(rng.choice([32, 48, 64, 96])), (168, 160, 150)),
        "kerb": slabs(rng, (32, 384), 96, (178, 176, 170)),
        "lawn": lawn(rng),
    }
    for name, (one, two, amount) in _GROUNDS.items():
        share = np.clip(0.5 + 0.35 * noise(rng, (256, 256), 1.3), 0, 1)[..., None]
        tint = rng.uniform(0.85, 1.15) * (1 + rng.normal(0, 0.04, 3))
        textures[name] = rough(
            rng, (share * plain((256, 256), one) + (1 - share) * plain((256, 256), two)) * tint, amount, 0.4
        )
    textures["stripe"] = rough(rng, plain((64, 64), (226, 226, 220)), 0.12, 0.6)
    tint = np.clip(rng.uniform(0.75, 1.15) * (1 + rng.normal(0, 0.05, 3)), 0.5, 1.3)
    textures["pavement"] = np.clip(textures["pavement"] * tint, 0, 255).astype(np.uint8)
    dark = 1 - 0.5 * wet
    for name in ("road", "pavement", "kerb", "asphalt", "soil", "concrete-ground", "paving", "stripe"):
        textures[name] = (textures[name] * (dark if name != "stripe" else (1 + dark) / 2)).astype(np.uint8)
    return textures


def _road(rng: np.random.Generator, layout: RoadLayout) -> Texture:
    """Asphalt or concrete with lanes' lines, tracks, patches and cracks; columns run from far to near kerb."""
    width = layout.near_kerb - layout.far_kerb
    rows, columns = 1536, int(np.clip(width * 40, 512, 1024))
    across, along = columns / width, rows / TILE
    metres = np.arange(columns) / across + layout.far_kerb
    base = rng.choice([62.0, 84.0, 100.0, 122.0, 150.0], p=[0.18, 0.3, 0.28, 0.16, 0.08])
    tone = base + 7 * noise(rng, (rows, columns), 1.3) + 6 * np.tile(noise(rng, (384, columns), 0.2, 2.5), (4, 1))
    for lane, _ in layout.lanes():
        for track in (lane - 0.75, lane + 0.75):
            tone -= rng.uniform(2, 9) * np.exp(-(((metres - track) / 0.25) ** 2))[None]
    image = Image.fromarray(np.clip(tone, 10, 240).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 14))):
        x, y = rng.uniform(0, columns), rng.uniform(0, rows)
        w, h = rng.uniform(0.5, 2.5) * across, rng.uniform(0.8, 5) * along
        draw.rectangle((x, y, x + w, y + h), fill=int(np.clip(base + rng.normal(0, 14), 20, 220)))
    for _ in range(int(rng.integers(0, 26))):
        start = np.array([rng.uniform(0, columns), rng.uniform(0, rows)])
        bends = np.cumsum(rng.normal(0, 18, (14, 2)) + rng.normal(0, 14, 2), 0)
        draw.line([tuple(p) for p in start + bends], fill=int(0.6 * base), width=2)
    asphalt = np.repeat(np.asarray(image, float)[..., None], 3, 2) * (1 + rng.normal(0, 0.02, 3))
    return np.clip(_lines(rng, layout, asphalt, metres, along), 0, 255).astype(np.uint8)


def _lines(rng: np.random.Generator, layout: RoadLayout, asphalt: Array, metres: Array, along: float) -> Array:
    """Paint the lines onto the asphalt (H,W,3)."""
    rows, columns = asphalt.shape[:2]
    if layout.kind == "lane" and rng.random() < 0.8:
        return asphalt
    wear = np.clip(rng.uniform(0.55, 0.95) + 0.14 * noise(rng, (rows, columns), 0.6), 0.1, 1)[..., None]
    period = float(rng.choice([4.0, 6.0, 8.0, 12.0, 24.0]))
    dashes = (np.arange(rows) / along % period < period * rng.uniform(0.3, 0.5))[:, None]
    half = rng.uniform(0.05, 0.09)
    white, yellow = np.array([230.0, 230, 226]), np.array([222.0, 172, 48])
    middle = yellow if rng.random() < 0.35 else white
    painted = asphalt

    def paint(offset: float, colour: Array, *, broken: bool) -> None:
        nonlocal painted
        there = (np.abs(metres - offset) < half)[None] & (dashes if broken else np.ones((rows, 1), bool))
        painted = np.where(there[..., None], wear * colour + (1 - wear) * painted, painted)

    edges = rng.random() < (0.9 if layout.kind in ("highway", "country") else 0.5)
    if edges:
        paint(layout.near_edge - 0.05, white, broken=False)
        paint(layout.far_edge + 0.05, white if layout.oncoming else middle, broken=False)
    for offset, direction in layout.lanes():
        edge = offset - direction * layout.lane / 2
        if direction > 0 and edge > layout.middle + layout.median / 2 + 0.1:
            paint(edge, white, broken=True)
        if direction < 0 and edge < layout.middle - layout.median / 2 - 0.1:
            paint(edge, white, broken=True)
    if layout.oncoming and layout.median < 0.3:
        double = rng.random() < 0.4
        for shift in (-0.12, 0.12) if double else (0.0,):
            paint(layout.middle + shift, middle, broken=not double and rng.random() < 0.7)
    elif layout.oncoming:
        for shift in (-0.5, 0.5):
            paint(layout.middle + shift * layout.median, middle, broken=False)
    return painted


def add_ground(road: Road) -> None:
    """Add land everywhere, the road on it, kerbs, verges and pavements beside the road."""
    layout = road.layout
    width, high = layout.near_kerb - layout.far_kerb, layout.kerb
    road.add_ribbon((layout.far_kerb, layout.near_kerb), (0.0, 0.0), "road", (width, TILE))
    grass = "lawn" if layout.ground in ("asphalt", "paving", "concrete-ground") else layout.ground
    if layout.median > 2.0:
        half = layout.median / 2 - 0.7
        if half > 0.3:
            road.add_ribbon((layout.middle - half, layout.middle + half), (0.03, 0.03), grass, (6, 6))
    for sign, kerb in layout.kerbs():
        cursor = kerb
        if high:
            cursor = kerb + sign * 0.18
            road.add_ribbon((kerb, kerb), (0.0, high), "kerb", (0.36, 4.0), out=(-sign, 0.0))
            road.add_ribbon((kerb, cursor), (high, high), "kerb", (0.36, 4.0))
        for extent, material, tile in ((layout.verge, grass, 6.0), (layout.pavement, "pavement", 2.4)):
            if extent > 0:
                edge = cursor + sign * extent
                road.add_ribbon((cursor, edge), (high, high), material, (tile, tile))
                cursor = edge
        road.add_ribbon((cursor, cursor + sign * 0.3), (high, -LAND), grass, (6, 6), out=(sign, 1.0))
    add_land(road.builder, road.course, 1200, LAND, layout.ground)


def add_land(builder: MeshBuilder, course: Course, beyond: float, depth: float, material: str) -> None:
    """Add flat land, `depth` metres below the road, around the course and `beyond` metres further."""
    (x0, z0), (x1, z1) = course.points.min(0) - beyond, course.points.max(0) + beyond
    corners = np.array([(x0, depth, z0), (x0, depth, z1), (x1, depth, z1), (x1, depth, z0)])
    builder.polygon(corners, corners[:, [0, 2]] / 6.0, material, inside=(0.0, 1.0, 0.0))


def add_crossing(road: Road, along: float) -> None:
    """Add a zebra crossing over all lanes, 4 mm above the road."""
    layout, place = road.layout, road.place(along, 0.0, lift=0.004)
    low, high = sorted((layout.side * (layout.far_kerb + 0.4), layout.side * (layout.near_kerb - 0.4)))
    uv = [(0, 0), (0.2, 0), (0.2, 1), (0, 1)]
    for right in np.arange(low, high - 0.5, 1.0):
        corners = [(right, 0, -1.8), (right + 0.5, 0, -1.8), (right + 0.5, 0, 1.8), (right, 0, 1.8)]
        road.builder.polygon(place(corners), uv, "stripe", inside=place((right, -1.0, 0)))


def add_hills(road: Road, rng: np.random.Generator, height: float) -> None:
    """Add a ring of hills or mountains far around the course."""
    centre = road.course.points.mean(0)
    spread = float(np.abs(road.course.points - centre).max())
    angles = np.linspace(0, 2 * np.pi, 121)
    shapes = [noise(rng, (8, 120), 1.6, 2.0)[0] for _ in range(3)]
    radii, rows = (spread + 180, spread + 420, spread + 800), []
    for level, radius in enumerate(radii):
        profile = np.clip(1 + 0.5 * shapes[level], 0.15, 3) * height * (0.0, 0.45, 1.0)[level] - 0.5 * (level == 0)
        profile = np.append(profile, profile[0])
        x, z = centre[0] + radius * np.sin(angles), centre[1] + radius * np.cos(angles)
        rows.append(np.stack([x, -profile, z], 1))
    for low, high in pairwise(rows):
        behind = (low[:-1] + high[1:]) / 2 + [0, 50.0, 0]
        behind[:, [0, 2]] += (behind[:, [0, 2]] - centre) * 0.2
        for vertices, _ in ribbon([low, high], angles, 1.0):
            road.builder.triangles(vertices, vertices[..., [0, 2]] / 40, "hill", inside=behind)
