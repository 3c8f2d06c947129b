"""One texture of many small cells, a named colour each, for whatever needs no drawing of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrdepth.synthetic.textures import Array, Texture, noise, read_colours

__all__ = ["CLOTHES", "HAIR", "PAINTS", "PALETTE", "SKINS", "cell_uv", "palette_texture"]

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
