"""Towers, blocks and halls; houses are those of `houses`."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from hrdepth.synthetic.mesh import MeshBuilder, Placement
from hrdepth.synthetic.shapes import Sculptor
from hrdepth.synthetic.textures import Colour, Texture, noise, read_colours, rough, shade

__all__ = ["add_hall", "add_tower", "building_textures"]

PITCH = 3.2  # metres of a storey and of a bay on a tower
_WALLS = read_colours("c4beb2 969698 707a84 b28a6e d6d2ca 5c646e a0604e")


def building_textures(rng: np.random.Generator) -> dict[str, Texture]:
    """Draw `tower-I`, four bays by four storeys each, `hall-I`, ribbed or plain walls, and `shops`."""
    textures = {f"tower-{i}": _tower(rng, _WALLS[int(rng.integers(len(_WALLS)))]) for i in range(5)}
    textures |= {f"hall-{i}": _hall(rng) for i in range(3)}
    textures["shops"] = _shops(rng)
    return textures


def _tower(rng: np.random.Generator, wall: Colour) -> Texture:
    """Windows in a grid: single, in bands, or a curtain of glass with balconies now and then."""
    size, cell = 320, 80
    image = Image.new("RGB", (size, size), wall)
    draw = ImageDraw.Draw(image)
    kind, wide, tall = int(rng.integers(3)), rng.uniform(0.4, 0.8), rng.uniform(0.4, 0.7)
    tint = rng.normal(0, 8, 3) + rng.uniform(-12, 40)
    for row in range(4):
        for column in range(4):
            glass = np.clip(rng.uniform(28, 92) + tint * 0.5, 12, 200)
            colour = tuple(int(c) for c in glass + np.array([0, 8, 18]))
            x, y = column * cell, row * cell
            if kind == 0:
                box = (x + cell * (1 - wide) / 2, y + cell * 0.2, x + cell * (1 + wide) / 2, y + cell * (0.2 + tall))
            elif kind == 1:
                box = (x, y + cell * 0.2, x + cell - 3, y + cell * (0.2 + tall))
            else:
                box = (x + 2, y + 3, x + cell - 3, y + cell - 8)
            draw.rectangle(box, fill=colour)
            if rng.random() < 0.5:
                tone = int(rng.integers(120, 210))
                blind = box[1] + rng.uniform(0.1, 0.6) * (box[3] - box[1])
                draw.rectangle((*box[:3], blind), fill=(tone, tone, tone - 10))
            if kind == 0 and rng.random() < 0.4:
                sill = shade(wall, 0.75)
                draw.rectangle((x + 6, y + cell * 0.72, x + cell - 6, y + cell * 0.95), fill=sill)
        draw.rectangle((0, row * cell + cell - 4, size, row * cell + cell), fill=shade(wall, 0.8))
    return rough(rng, np.asarray(image, float), 0.06)


def _hall(rng: np.random.Generator) -> Texture:
    """Sheet metal with ribs, or stained concrete panels."""
    colour = np.array(_WALLS[int(rng.integers(len(_WALLS)))], float) * rng.uniform(0.8, 1.15)
    columns, rows = np.meshgrid(np.arange(256), np.arange(256))
    ribs, joints = columns % 16 < 8, (columns % 128 < 2) | (rows % 128 < 2)
    tone = np.where(ribs, 1.0, 0.86) if rng.random() < 0.6 else np.where(joints, 0.7, 1.0)
    tone = tone * (1 + 0.08 * noise(rng, (256, 256), 1.4))
    return rough(rng, colour * tone[..., None], 0.05)


def _shops(rng: np.random.Generator) -> Texture:
    """A row of shop windows with signs above, one storey high."""
    image = Image.new("RGB", (640, 160), (70, 72, 76))
    draw = ImageDraw.Draw(image)
    for x in range(0, 640, 160):
        colour = tuple(int(c) for c in rng.integers(30, 230, 3))
        draw.rectangle((x, 0, x + 156, 38), fill=colour)
        for letter in np.arange(x + 20, x + rng.uniform(70, 140), 13):
            draw.rectangle((letter, 12, letter + 8, 28), fill=(240, 238, 230))
        for pane in range(3):
            tone = int(rng.integers(30, 110))
            draw.rectangle((x + 4 + pane * 51, 46, x + 50 + pane * 51, 148), fill=(tone, tone + 6, tone + 12))
            goods = tuple(int(c) for c in rng.integers(60, 220, 3))
            draw.rectangle((x + 12 + pane * 51, rng.uniform(80, 130), x + 40 + pane * 51, 146), fill=goods)
    return rough(rng, np.asarray(image, float), 0.06)


def add_tower(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, width: float, depth: float, storeys: int
) -> None:
    """Add a block whose front stands at local right = 0, facing left, centred on local forward = 0."""
    half, high, material = width / 2, storeys * PITCH + 0.8, f"tower-{int(rng.integers(5))}"
    make = Sculptor(builder, place)
    ground = 4.0 if rng.random() < 0.6 else 0.0
    builder.box(place, (0, ground, -half), (depth, high, half), material, texel=4 * PITCH)
    if ground:
        builder.box(place, (0.15, 0, -half + 0.15), (depth, ground, half - 0.15), "shops", texel=4.0)
        awning = (-rng.uniform(0.1, 1.4), ground - 0.25, -half)
        make.box(awning, (0.3, ground, half), str(rng.choice(["grey", "concrete", "dark"])))
    make.box((-0.12, high, -half - 0.12), (depth + 0.1, high + 0.5, half + 0.12), "concrete")
    if rng.random() < 0.5:
        make.box((depth * 0.3, high, -half * 0.4), (depth * 0.6, high + 3, half * 0.3), "grey")
    if rng.random() < 0.35 and storeys < 14:
        for level in range(1, storeys):
            for forward in np.arange(-half + 1.5, half - 2.0, 2 * PITCH):
                up = ground + level * PITCH if ground else level * PITCH
                make.box((-1.1, up, forward), (0.05, up + 0.15, forward + 2.6), "concrete")
                make.box((-1.1, up + 0.15, forward), (-1.05, up + 1.0, forward + 2.6), "light")


def add_hall(
    builder: MeshBuilder, rng: np.random.Generator, place: Placement, width: float, depth: float, height: float
) -> None:
    """Add a store or works hall with blank walls, gates and a flat or gabled roof."""
    half = width / 2
    material, texel = f"hall-{int(rng.integers(3))}", float(rng.uniform(3, 6))
    builder.box(place, (0, 0, -half), (depth, height, half), material, texel=texel)
    make = Sculptor(builder, place)
    colour = str(rng.choice(["grey", "blue-metal", "sign-red", "dark"]))
    make.box((-0.08, height - 0.1, -half - 0.08), (depth, height + 0.35, half + 0.08), colour)
    for forward in np.arange(-half + 2.5, half - 3.5, rng.uniform(6, 11)):
        if rng.random() < 0.6:
            colour = str(rng.choice(["light", "zinc", "blue-metal"]))
            make.box((-0.04, 0, forward), (0.1, min(4.2, height - 1), forward + 3.6), colour)
        elif rng.random() < 0.5:
            make.box((-0.03, height * 0.55, forward), (0.1, height * 0.75, forward + 3.0), "glass")
    if rng.random() < 0.3:
        make.rod((depth * 0.5, height, 0), (depth * 0.5, height + rng.uniform(4, 16), 0), 0.7, "concrete", segments=12)
