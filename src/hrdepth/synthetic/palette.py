"""One texture of many small cells, a named colour each, for whatever needs no drawing of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrdepth.synthetic.textures import Array, Colour, Texture, noise

__all__ = ["CLOTHES", "HAIR", "PAINTS", "PALETTE", "SKINS", "cell_uv", "palette_texture"]

PALETTE = "palette"  # the material's name
CELLS, CELL = 12, 32  # cells along an edge, pixels along a cell's edge
MARGIN = 4  # pixels of a cell that no texture coordinate reaches, so that neighbours do not bleed in

SKINS = ("skin-0", "skin-1", "skin-2", "skin-3")
HAIR = ("hair-0", "hair-1", "hair-2", "hair-3")
CLOTHES = tuple(f"cloth-{i}" for i in range(24))
PAINTS = tuple(f"paint-{i}" for i in range(20))
_FIXED: dict[str, Colour] = {
    "skin-0": (226, 178, 148),
    "skin-1": (198, 142, 108),
    "skin-2": (142, 92, 64),
    "skin-3": (92, 60, 44),
    "hair-0": (34, 28, 26),
    "hair-1": (88, 60, 40),
    "hair-2": (176, 140, 88),
    "hair-3": (168, 166, 162),
    "tyre": (30, 30, 32),
    "rim": (150, 152, 156),
    "glass": (38, 48, 58),
    "pane": (92, 110, 126),
    "black": (28, 28, 30),
    "dark": (58, 60, 64),
    "grey": (122, 124, 126),
    "light": (182, 184, 184),
    "white": (234, 234, 230),
    "red-lamp": (206, 28, 26),
    "amber-lamp": (240, 160, 40),
    "green-lamp": (40, 196, 110),
    "headlamp": (246, 244, 232),
    "plate": (238, 232, 206),
    "zinc": (156, 162, 166),
    "rust": (126, 84, 60),
    "wood": (142, 106, 72),
    "old-wood": (112, 96, 80),
    "concrete": (164, 160, 152),
    "dark-concrete": (118, 116, 112),
    "brick": (150, 84, 66),
    "green-metal": (46, 88, 66),
    "blue-metal": (40, 78, 136),
    "yellow": (230, 186, 40),
    "orange": (226, 106, 30),
    "sign-red": (198, 28, 34),
    "sign-blue": (28, 82, 168),
    "sign-green": (20, 104, 62),
    "soil": (104, 84, 64),
    "twig": (84, 70, 58),
    "birch": (206, 202, 192),
    "straw": (178, 164, 104),
}
_PAINTED: tuple[Colour, ...] = (
    (236, 236, 234),
    (232, 232, 228),
    (196, 198, 202),
    (172, 176, 180),
    (44, 46, 50),
    (32, 32, 36),
    (84, 88, 94),
    (112, 116, 122),
    (160, 26, 30),
    (186, 44, 36),
    (34, 62, 124),
    (58, 104, 160),
    (22, 40, 72),
    (42, 84, 62),
    (122, 112, 90),
    (198, 184, 150),
    (214, 150, 40),
    (216, 96, 34),
    (96, 44, 52),
    (120, 168, 190),
)
_NAMES = (*_FIXED, *CLOTHES, *PAINTS)
_INDEX = {name: index for index, name in enumerate(_NAMES)}


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
        number = int(name.rsplit("-", 1)[1]) if name in PAINTS else -1
        fixed = _PAINTED[number] if number >= 0 else _FIXED[name]
        colour = np.clip(np.array(fixed, float) * rng.uniform(0.88, 1.12) + rng.normal(0, 5, 3), 8, 246)
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
