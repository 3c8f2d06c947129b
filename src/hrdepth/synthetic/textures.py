"""Seeded bitmaps for the ground, plants and small things of the street, and a palette of plain colours."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hrdepth.synthetic.mesh import Array

__all__ = [
    "CLOTHES",
    "HAIR",
    "PAINTS",
    "PALETTE",
    "SKINS",
    "Texture",
    "cell_uv",
    "ground_textures",
    "lawn",
    "noise",
    "palette_texture",
    "plant_textures",
    "read_colours",
    "rough",
    "shade",
    "slabs",
    "small_textures",
]

Texture = NDArray[np.uint8]
Colour = tuple[int, int, int]


def read_colours(text: str) -> tuple[Colour, ...]:
    """Return the RGB colours of a text, six hexadecimal digits each."""
    return tuple((red, green, blue) for red, green, blue in map(bytes.fromhex, text.split()))


def shade(colour: Colour, factor: float) -> Colour:
    """Return a colour times a factor below 1."""
    red, green, blue = colour
    return (int(red * factor), int(green * factor), int(blue * factor))


PALETTE = "palette"  # the material's name
CELLS, CELL = 12, 32  # cells along an edge, pixels along a cell's edge
MARGIN = 4  # pixels of a cell that no texture coordinate reaches, so that neighbours do not bleed in

SKINS = ("skin-0", "skin-1", "skin-2", "skin-3")
HAIR = ("hair-0", "hair-1", "hair-2", "hair-3")
CLOTHES = tuple(f"cloth-{i}" for i in range(24))
PAINTS = tuple(f"paint-{i}" for i in range(20))
_FIXED = """
    skin-0:e2b294 skin-1:c68e6c skin-2:8e5c40 skin-3:5c3c2c hair-0:221c1a hair-1:583c28 hair-2:b08c58 hair-3:a8a6a2
    tyre:1e1e20 rim:96989c glass:26303a pane:5c6e7e black:1c1c1e dark:3a3c40 grey:7a7c7e light:b6b8b8 white:eaeae6
    red-lamp:ce1c1a amber-lamp:f0a028 green-lamp:28c46e headlamp:f6f4e8 plate:eee8ce zinc:9ca2a6 rust:7e543c
    wood:8e6a48 old-wood:706050 concrete:a4a098 dark-concrete:767470 brick:965442 green-metal:2e5842
    blue-metal:284e88 yellow:e6ba28 orange:e26a1e sign-red:c61c22 sign-blue:1c52a8 sign-green:14683e soil:685440
    twig:54463a birch:cecac0 straw:b2a468
"""
_PAINTED = read_colours(
    """
    ececea e8e8e4 c4c6ca acb0b4 2c2e32 202024 54585e 70747a a01a1e ba2c24 223e7c 3a68a0 162848 2a543e 7a705a c6b896
    d69628 d86022 602c34 78a8be
    """
)
_COLOURS = {name: read_colours(colour)[0] for name, colour in (entry.split(":") for entry in _FIXED.split())}
_INDEX = {name: index for index, name in enumerate((*_COLOURS, *CLOTHES, *PAINTS))}
_COLOURS |= dict(zip(PAINTS, _PAINTED, strict=True))


def noise(rng: np.random.Generator, shape: tuple[int, int], slope: float = 1.0, finest: float = 3.0) -> Array:
    """Return (H,W) noise of mean 0 and standard deviation 1 that continues across opposite edges.

    Args:
        rng: where the randomness comes from.
        shape: (H,W).
        slope: amplitude falls with frequency to this power: 0 is white, 2 is cloudy.
        finest: wavelength in pixels below which there is nothing, so that nothing flickers far away.
    """
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * _gain(shape, slope, finest)
    result = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(result / result.std())


@lru_cache(maxsize=16)
def _gain(shape: tuple[int, int], slope: float, finest: float) -> Array:
    """Return the amplitude of each frequency; a street has dozens of textures of a few sizes."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    frequency[0, 0] = np.inf
    return np.asarray(frequency**-slope * np.exp(-((frequency * finest) ** 2)))


def rough(rng: np.random.Generator, image: Array, amount: float, slope: float = 0.8) -> Texture:
    """Multiply `image` (H,W,3) in [0,255] by noise of strength `amount` and return it as bytes."""
    factor = 1 + amount * noise(rng, (image.shape[0], image.shape[1]), slope)
    return np.clip(image * factor[..., None], 0, 255).astype(np.uint8)


def plain(size: tuple[int, int], colour: Colour) -> Array:
    """Return (H,W,3) of one colour."""
    return np.broadcast_to(np.array(colour, float), (*size, 3)).copy()


def ground_textures(
    rng: np.random.Generator, *, width: float, length: float, lines: dict[str, float]
) -> dict[str, Texture]:
    """Draw what lies on the ground: road, pavement, kerb, lawn.

    Args:
        rng: where the randomness comes from.
        width: of the road with its parking strips, metres, across the texture's columns.
        length: of road that one copy covers, metres, along its rows; a multiple of 6.
        lines: where things are across the road, metres from its left edge: `left` and `right` edge of the
            carriageway and the `middle` line.
    """
    return {
        "road": _road(rng, width, length, lines),
        "pavement": slabs(rng, (384, 384), 64, (168, 160, 150)),
        "kerb": slabs(rng, (32, 384), 96, (178, 176, 170)),
        "lawn": lawn(rng),
    }


def _road(rng: np.random.Generator, width: float, length: float, lines: dict[str, float]) -> Texture:
    """Asphalt with markings, tracks, patches, cracks and lids, between paved parking strips."""
    rows, columns = 2048, 768
    across, along = columns / width, rows / length  # pixels a metre
    metres = np.arange(columns) / across
    tone = (
        88 + 8 * noise(rng, (rows, columns), 1.3) + np.tile(7 * noise(rng, (512, columns), 0.2, 2.5), (rows // 512, 1))
    )
    for lane in ((lines["left"] + lines["middle"]) / 2, (lines["right"] + lines["middle"]) / 2):
        for track in (lane - 0.75, lane + 0.75):
            tone = tone - 9 * np.exp(-(((metres - track) / 0.22) ** 2))[None]
    image = Image.fromarray(np.clip(tone, 0, 255).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        x, y = rng.uniform(lines["left"] * across, lines["right"] * across), rng.uniform(0, rows)
        w, h, tar = rng.uniform(0.5, 1.4) * across, rng.uniform(0.8, 3) * along, int(rng.integers(62, 84))
        draw.rectangle((x, y, min(x + w, lines["right"] * across), y + h), fill=(tar, tar, tar + 2))
    for _ in range(26):
        start = np.array([rng.uniform(0, columns), rng.uniform(0, rows)])
        bends = np.cumsum(rng.normal(0, 18, (14, 2)) + rng.normal(0, 14, 2), 0)
        draw.line([tuple(p) for p in start + bends], fill=(52, 52, 54), width=2)
    for y in rng.uniform(0, rows, 4):
        x = rng.choice([lines["middle"] + 0.9, lines["middle"] - 1.4]) * across
        draw.ellipse((x, y, x + 0.62 * across, y + 0.62 * along), fill=(70, 64, 58), outline=(40, 38, 36), width=4)
    asphalt = np.asarray(image, float)
    stones = np.tile(np.asarray(slabs(rng, (512, columns), 16, (124, 112, 104)), float), (rows // 512, 1, 1))
    parking = (metres < lines["left"]) | (metres > lines["right"])
    asphalt[:, parking] = stones[:, parking]
    wear = np.tile(0.86 + 0.12 * noise(rng, (512, columns), 0.6), (rows // 512, 1)).clip(0.35, 1)[..., None]
    paint = np.zeros((rows, columns), bool)
    for side in ("left", "right"):
        paint |= (np.abs(metres - lines[side]) < 0.07)[None]
    dashes = (np.arange(rows) / along) % 6 < 3
    paint |= dashes[:, None] & (np.abs(metres - lines["middle"]) < 0.08)[None]
    painted = np.where(paint[..., None], wear * 232 + (1 - wear) * asphalt, asphalt)
    return np.clip(painted, 0, 255).astype(np.uint8)


def slabs(rng: np.random.Generator, size: tuple[int, int], slab: int, colour: Colour) -> Texture:
    """Stones of `slab` pixels in staggered rows, each of its own tone."""
    rows, columns = size
    y, x = np.mgrid[:rows, :columns]
    row = y // slab
    shifted = (x + (row % 2) * (slab // 2)) % columns
    tones = rng.normal(0, 0.07, (rows // slab + 1, columns // slab + 1))
    tone = 1 + tones[row, shifted // slab]
    joint = np.minimum(y % slab, shifted % slab) < max(1, slab // 20)
    tone = np.where(joint, tone * 0.68, tone)
    return rough(rng, plain(size, colour) * tone[..., None], 0.06)


def lawn(rng: np.random.Generator) -> Texture:
    """Draw grass of two greens."""
    size = (512, 512)
    patches = np.clip(0.5 + 0.3 * noise(rng, size, 1.4), 0, 1)[..., None]
    colour = patches * plain(size, (112, 132, 62)) + (1 - patches) * plain(size, (74, 104, 48))
    return rough(rng, colour, 0.16, 0.3)


def plant_textures(rng: np.random.Generator) -> dict[str, Texture]:
    """Draw foliage of several greens, hedges, bark and flower beds."""
    names = ("leaves-0", "leaves-1", "leaves-2", "leaves-3", "needles", "hedge")
    greens = read_colours("547a2e 6c8a34 3e6432 968434 2e5234 42662c")
    textures = {name: _foliage(rng, colour) for name, colour in zip(names, greens, strict=True)}
    stripes = plain((128, 128), (104, 82, 62)) * (1 + 0.2 * noise(rng, (1, 128), 0.4))[..., None]
    textures["bark"] = rough(rng, stripes, 0.14)
    return textures


def _foliage(rng: np.random.Generator, colour: Colour) -> Texture:
    """Clumps of light leaves over dark gaps."""
    size = (256, 256)
    clumps = 0.5 * noise(rng, size, 0.9, 5) + 0.7 * noise(rng, size, 0.1, 7)
    tone = np.clip(0.85 + 0.32 * clumps, 0.28, 1.6)
    tint = np.stack([1 + 0.1 * noise(rng, size, 1.2), np.ones(size), 1 + 0.12 * noise(rng, size, 1.2)], -1)
    return np.clip(plain(size, colour) * tone[..., None] * tint, 0, 255).astype(np.uint8)


def small_textures(rng: np.random.Generator) -> dict[str, Texture]:
    """Draw roof tiles, garden walls, fences, metal and traffic signs."""
    textures = {
        f"roof-{i}": _tiles(rng, colour) for i, colour in enumerate(read_colours("964a34 704236 54545c a8623e"))
    }
    textures["stone"] = slabs(rng, (128, 256), 32, (156, 144, 124))
    boards = plain((128, 128), (150, 116, 80)) * np.where(np.arange(128) % 16 < 2, 0.35, 1)[None, :, None]
    textures["fence"] = rough(rng, boards, 0.12)
    textures["metal"] = rough(rng, plain((64, 64), (120, 124, 126)), 0.14)
    textures["lamp"] = rough(rng, plain((32, 32), (236, 230, 206)), 0.05)
    textures["bin"] = rough(rng, plain((64, 64), (58, 74, 66)), 0.2)
    textures["sign-back"] = rough(rng, plain((64, 64), (146, 148, 150)), 0.08)
    return textures | {f"sign-{i}": rough(rng, sign, 0.03) for i, sign in enumerate(_signs())}


def _tiles(rng: np.random.Generator, colour: Colour) -> Texture:
    """Rows of roof tiles, each row darker towards its upper edge."""
    rows, columns, tile = 256, 256, 32
    y, x = np.mgrid[:rows, :columns]
    stagger = (x + (y // tile % 2) * tile // 2) % columns
    tones = 1 + rng.normal(0, 0.11, (rows // tile, columns // tile))[y // tile, stagger // tile]
    tone = tones * (0.7 + 0.4 * (y % tile) / tile) * np.where(stagger % tile < 2, 0.72, 1)
    return rough(rng, plain((rows, columns), colour) * tone[..., None], 0.08)


def _signs() -> list[Array]:
    """Faces of three traffic signs, (96,96,3): speed limit, parking, give way on a white board."""
    faces = []
    for kind in range(3):
        image = Image.new("RGB", (96, 96), (246, 246, 244) if kind != 1 else (32, 82, 168))
        draw = ImageDraw.Draw(image)
        if kind == 0:
            draw.ellipse((3, 3, 92, 92), outline=(200, 30, 34), width=14)
            draw.line([(30, 30), (44, 30), (44, 48), (32, 48), (44, 48), (44, 66), (30, 66)], (20, 20, 20), 6)
            draw.rectangle((54, 30, 68, 66), outline=(20, 20, 20), width=6)
        elif kind == 1:
            draw.rectangle((4, 4, 91, 91), outline=(240, 240, 240), width=3)
            draw.rectangle((34, 18, 44, 78), fill=(240, 240, 240))
            draw.ellipse((36, 18, 70, 52), outline=(240, 240, 240), width=10)
        else:
            draw.polygon([(6, 10), (90, 10), (48, 84)], fill=(204, 32, 36))
            draw.polygon([(24, 20), (72, 20), (48, 62)], fill=(246, 246, 244))
        faces.append(np.asarray(image, float))
    return faces


def cell_uv(name: str, uv: Array) -> Array:
    """Map texture coordinates (...,2) in [0,1] into the cell of a colour.

    Raises:
        KeyError: the palette has no such colour.
    """
    row, column = divmod(_INDEX[name], CELLS)
    inner = MARGIN / CELL + (1 - 2 * MARGIN / CELL) * np.clip(uv, 0, 1)
    return np.asarray((inner + np.array([column, row])) / CELLS)


def palette_texture(rng: np.random.Generator) -> Texture:
    """Draw the palette, (H,W,3): fixed colours vary a little with `rng`, clothes and paints widely."""
    size = CELLS * CELL
    image = np.zeros((size, size, 3))
    for name, index in _INDEX.items():
        row, column = divmod(index, CELLS)
        block = _cell(rng, name)
        image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = block
    grain = 1 + 0.05 * noise(rng, (size, size), 0.6)
    return np.clip(image * grain[..., None], 0, 255).astype(np.uint8)


def _cell(rng: np.random.Generator, name: str) -> Array:
    """One cell, (CELL,CELL,3): a colour, and on some clothes stripes or checks."""
    if name.startswith("cloth"):
        colour = _cloth(rng)
    else:
        colour = np.clip(np.array(_COLOURS[name], float) * rng.uniform(0.88, 1.12) + rng.normal(0, 5, 3), 8, 246)
    block: NDArray[np.float64] = np.tile(colour, (CELL, CELL, 1))
    if name.startswith("cloth") and rng.random() < 0.35:
        second, period = _cloth(rng), int(rng.choice([6, 8, 12]))
        rows, columns = np.mgrid[:CELL, :CELL]
        stripes = rows % period < period // 2
        if rng.random() < 0.4:
            stripes &= columns % period < period // 2
        block = np.where(stripes[..., None], second, block)
    return block


def _cloth(rng: np.random.Generator) -> Array:
    """A colour of clothes: often dark or grey, now and then bright."""
    if rng.random() < 0.55:
        return np.asarray(np.clip(rng.uniform(22, 120) + rng.normal(0, 10, 3), 12, 240))
    if rng.random() < 0.3:
        return np.asarray(np.clip(rng.uniform(170, 235) + rng.normal(0, 8, 3), 12, 245))
    return np.asarray(0.5 * rng.uniform(40, 210) + 0.5 * rng.uniform(20, 235, 3))
