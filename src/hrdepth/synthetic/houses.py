"""House styles: their drawn facades and their solids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.textures import Colour, Texture, noise, plain, read_colours, rough, shade

__all__ = ["HouseStyle", "add_house", "house_styles", "house_textures"]

SCALE = 48  # pixels a metre
BAY, STOREY = 2.6, 2.9  # metres that a column of windows and a storey take

WALLS = read_colours("ded0b0 bc785c cecac2 d6b078 a05c4a b4c2be e2dcce c89686 a6ae96 c4b896 8e6254 d4bea8")
SHUTTERS = read_colours("486050 7a3e32 4a5874 604e3c 404042")


@dataclass(frozen=True)
class HouseStyle:
    """One kind of house: sizes in bays and storeys, and what is drawn on it."""

    index: int
    bays: int
    storeys: int
    depth: float
    brick: bool
    shop: bool
    shutters: bool
    wall: Colour
    trim: Colour
    roof: str
    roof_height: float
    flat: bool

    @property
    def width(self) -> float:
        """Metres along the street."""
        return self.bays * BAY

    @property
    def height(self) -> float:
        """Metres to the eaves."""
        return self.storeys * STOREY + 0.4


def house_styles(rng: np.random.Generator) -> list[HouseStyle]:
    """Return twelve styles, one a wall colour."""
    return [
        HouseStyle(
            index=i,
            bays=int(rng.integers(2, 6)),
            storeys=int(rng.choice([1, 2, 2, 2, 3, 3, 4])),
            depth=float(rng.uniform(7, 10)),
            brick=i in (1, 4, 7, 10),
            shop=i in (2, 3, 9),
            shutters=bool(rng.random() < 0.55) and i not in (2, 9),
            wall=wall,
            trim=SHUTTERS[int(rng.integers(len(SHUTTERS)))],
            roof=f"roof-{int(rng.integers(4))}",
            roof_height=float(rng.uniform(2.0, 3.6)),
            flat=i in (5, 9),
        )
        for i, wall in enumerate(WALLS)
    ]


def house_textures(rng: np.random.Generator, styles: list[HouseStyle]) -> dict[str, Texture]:
    """Draw front and side of every style, `front-I` and `side-I`, and plain wall `wall-I`."""
    textures = {}
    for style in styles:
        textures[f"front-{style.index}"] = _facade(rng, style, style.width, front=True)
        textures[f"side-{style.index}"] = _facade(rng, style, style.depth, front=False)
        textures[f"wall-{style.index}"] = _wall(rng, style, (128, 128)).astype(np.uint8)
    return textures


def _wall(rng: np.random.Generator, style: HouseStyle, size: tuple[int, int]) -> Array:
    """Brick or plaster, (H,W,3) in [0,255]."""
    base = plain(size, style.wall)
    if not style.brick:
        stains = 1 + 0.06 * noise(rng, size, 1.3) + 0.05 * noise(rng, size, 0.4, 4)
        return np.asarray(np.clip(base * stains[..., None], 0, 250))
    rows, columns = size
    y, x = np.mgrid[:rows, :columns]
    course, brick = 8, 20
    shifted = x + (y // course % 2) * brick // 2
    tones = rng.normal(0, 0.13, (rows // course + 1, columns // brick + 2))
    tone = 1 + tones[y // course, shifted // brick]
    joint = (y % course < 1) | (shifted % brick < 1)
    tone = np.where(joint, 1.22, tone) * (1 + 0.05 * noise(rng, size, 1.2))
    return np.asarray(np.clip(base * tone[..., None], 0, 250))


def _facade(rng: np.random.Generator, style: HouseStyle, width: float, *, front: bool) -> Texture:
    """Draw one wall with its windows; the front also has a door or a shop."""
    size = (round(style.height * SCALE), round(width * SCALE))
    image = Image.fromarray(_wall(rng, style, size).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    plinth = shade(style.wall, 0.55)
    draw.rectangle((0, size[0] - 0.4 * SCALE, size[1], size[0]), fill=plinth)
    bays = max(1, int(width / BAY))
    door = int(rng.integers(bays)) if front else -1
    for storey in range(style.storeys):
        foot = size[0] - (0.4 + storey * STOREY) * SCALE
        if storey and rng.random() < 0.5:
            draw.rectangle((0, foot - 3, size[1], foot + 3), fill=shade(style.wall, 0.8))
        if storey == 0 and front and style.shop:
            _draw_shop(draw, rng, size[1], foot, style.trim)
            continue
        for bay in range(bays):
            centre = (bay + 0.5) * size[1] / bays
            if storey == 0 and bay == door:
                _draw_door(draw, centre, size[0], style.trim)
            elif front or rng.random() < 0.55:
                _draw_window(draw, rng, centre, foot, style)
    draw.rectangle((0, 0, size[1], 0.16 * SCALE), fill=shade(style.wall, 0.62))
    return rough(rng, np.asarray(image, float), 0.045)


def _draw_window(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, centre: float, foot: float, style: HouseStyle
) -> None:
    """A framed window with panes, a sill, curtains, and shutters where the style has them."""
    half, low, high = 0.58 * SCALE, foot - 0.85 * SCALE, foot - 2.3 * SCALE
    x0, x1 = centre - half, centre + half
    if style.shutters:
        for side in (x0 - 0.5 * SCALE, x1 + 0.06 * SCALE):
            draw.rectangle((side, high, side + 0.44 * SCALE, low), fill=style.trim)
            for y in np.arange(high + 4, low, 6):
                draw.line((side + 3, y, side + 0.44 * SCALE - 3, y), fill=shade(style.trim, 0.7))
    draw.rectangle((x0 - 5, high - 5, x1 + 5, low + 4), fill=(236, 232, 222))
    glass = int(rng.integers(30, 62))
    draw.rectangle((x0, high, x1, low), fill=(glass, glass + 10, glass + 20))
    draw.polygon([(x0, high), (x0 + half, high), (x0, low - 8)], fill=(glass + 62, glass + 78, glass + 92))
    if rng.random() < 0.6:
        cloth = int(rng.integers(150, 215))
        draw.rectangle((x0, high, x0 + 0.26 * SCALE, low), fill=(cloth, cloth - 6, cloth - 18))
        draw.rectangle((x1 - 0.26 * SCALE, high, x1, low), fill=(cloth, cloth - 6, cloth - 18))
    bar = (232, 228, 218)
    draw.rectangle((centre - 3, high, centre + 3, low), fill=bar)
    draw.rectangle((x0, high + 0.45 * SCALE, x1, high + 0.45 * SCALE + 4), fill=bar)
    draw.rectangle((x0 - 10, low + 3, x1 + 10, low + 10), fill=(168, 162, 152))
    draw.rectangle((x0 - 8, low + 11, x1 + 8, low + 14), fill=shade(style.wall, 0.6))
    if rng.random() < 0.25:
        for x in np.arange(x0, x1, 7):
            y = low - 2 - rng.uniform(0, 8)
            blossom = ((208, 60, 62), (226, 168, 60), (84, 120, 56))[int(rng.integers(3))]
            draw.ellipse((x, y - 4, x + 8, y + 5), fill=blossom)


def _draw_door(draw: ImageDraw.ImageDraw, centre: float, bottom: int, trim: Colour) -> None:
    """A panelled door with a light above and a step below."""
    half, foot, top = 0.52 * SCALE, bottom - 0.2 * SCALE, bottom - 2.65 * SCALE
    draw.rectangle((centre - half - 6, top - 6, centre + half + 6, foot), fill=(214, 208, 196))
    draw.rectangle((centre - half, top + 0.42 * SCALE, centre + half, foot), fill=trim)
    draw.rectangle((centre - half, top, centre + half, top + 0.36 * SCALE), fill=(70, 84, 96))
    darker = shade(trim, 0.7)
    for x in (centre - half + 6, centre + 4):
        for y in (top + 0.55 * SCALE, top + 1.4 * SCALE):
            draw.rectangle((x, y, x + half - 10, y + 0.7 * SCALE), fill=darker)
    draw.ellipse(
        (centre + half - 10, foot - 1.1 * SCALE, centre + half - 4, foot - 1.1 * SCALE + 6), fill=(220, 200, 120)
    )
    draw.rectangle((centre - half - 14, foot, centre + half + 14, bottom), fill=(150, 146, 140))


def _draw_shop(draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, foot: float, trim: Colour) -> None:
    """Shop windows with goods, a door between them, a striped awning and a sign with lettering."""
    top, edge = foot - 2.1 * SCALE, 0.35 * SCALE
    draw.rectangle((edge, top, width - edge, foot), fill=(48, 56, 62))
    for x in np.arange(edge + 8, width - edge - 16, 22):
        height, tone = rng.uniform(0.3, 1.2) * SCALE, rng.integers(70, 220, 3)
        draw.rectangle((x, foot - height, x + 16, foot - 4), fill=tuple(int(c) for c in tone))
    for x in np.arange(edge, width, 1.7 * SCALE):
        draw.rectangle((x - 4, top, x + 4, foot), fill=(226, 222, 212))
    for i, x in enumerate(np.arange(edge, width - edge, 0.3 * SCALE)):
        colour = trim if i % 2 else (236, 230, 216)
        draw.rectangle((x, top - 4, min(x + 0.3 * SCALE, width - edge), top + 0.35 * SCALE), fill=colour)
    draw.rectangle((edge, top - 0.65 * SCALE, width - edge, top - 6), fill=shade(trim, 0.8))
    for x in np.arange(0.3 * width, 0.7 * width, 0.26 * SCALE):
        stroke = rng.uniform(0.1, 0.34) * SCALE
        draw.rectangle((x, top - 10 - stroke, x + 7, top - 12), fill=(240, 232, 206))
        draw.rectangle((x, top - 24, x + 0.17 * SCALE, top - 20), fill=(240, 232, 206))


def add_house(builder: MeshBuilder, rng: np.random.Generator, place: Placement, style: HouseStyle) -> None:
    """Add a house whose front stands at local right = 0, facing left, centred on local forward = 0."""
    half, eaves = style.width / 2, style.height
    materials = (f"front-{style.index}", f"side-{style.index}", f"wall-{style.index}")
    builder.box(place, (0, 0, -half), (style.depth, eaves, half), materials)
    if style.flat:
        builder.box(place, (-0.15, eaves, -half - 0.1), (style.depth, eaves + 0.5, half + 0.1), materials[2], texel=2.5)
        return
    _add_gable_roof(builder, place, style)
    for _ in range(int(rng.integers(1, 3))):
        forward = rng.uniform(-0.8, 0.8) * half
        low, high = style.depth * 0.55, eaves + style.roof_height
        builder.box(place, (low, eaves, forward - 0.3), (low + 0.6, high + 0.7, forward + 0.3), "stone", texel=2.0)
    if rng.random() < 0.6:
        for forward in np.arange(-half + BAY / 2, half, BAY * 2):
            top = eaves + 0.6 * style.roof_height
            faces = ("dormer", f"wall-{style.index}", style.roof)
            builder.box(place, (0.7, eaves, forward - 0.6), (3, top, forward + 0.6), faces)


def _add_gable_roof(builder: MeshBuilder, place: Placement, style: HouseStyle) -> None:
    """A ridge along the street, eaves that stand out, and the wall's triangles below it."""
    half, eaves, depth, over = style.width / 2, style.height, style.depth, 0.35
    ridge, drop = eaves + style.roof_height, over * style.roof_height / (style.depth / 2)
    slope = np.hypot(depth / 2 + over, style.roof_height + drop) / 2.5
    length = (style.width + 2 * over) / 2.5
    uv = [(0, slope), (length, slope), (length, 0), (0, 0)]
    for low in (-over, depth + over):
        corners = [
            (low, eaves - drop, -half - over),
            (low, eaves - drop, half + over),
            (depth / 2, ridge, half + over),
            (depth / 2, ridge, -half - over),
        ]
        builder.polygon(place(corners), uv, style.roof, inside=place((depth / 2, 0, 0)))
        under = [tuple(np.subtract(corner, (0, 0.06, 0))) for corner in corners]
        builder.polygon(place(under), uv, "stone", inside=place((depth / 2, 3 * ridge, 0)))
    for forward in (-half, half):
        corners = [(0, eaves, forward), (depth, eaves, forward), (depth / 2, ridge, forward)]
        wall = [(0, 2.0), (depth / 2.5, 2.0), (depth / 5, 2.0 - style.roof_height / 2.5)]
        builder.polygon(place(corners), wall, f"wall-{style.index}", inside=place((depth / 2, 0, 0)))
