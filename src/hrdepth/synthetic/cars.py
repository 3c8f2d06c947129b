"""Parked cars: a drawn side, a drawn strip over front, roof and rear, and four wheels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement
from hrdepth.synthetic.textures import Colour, Texture, plain, read_colours, rough, shade

__all__ = ["CAR_COLOURS", "CAR_SHAPES", "CarShape", "add_car", "car_textures"]

SCALE = 100  # pixels a metre
CAR_COLOURS = read_colours("a82224 2c4e8c c4c6ca 34363c e8e6e0 36624a cea03c 708092")
GLASS: Colour = (36, 46, 58)
LOW = 0.26  # metres between ground and body
WHEEL = 0.32  # metres, radius


@dataclass(frozen=True)
class CarShape:
    """A silhouette from the side, (metres from the rear, metres above the ground), rear foot to front foot.

    `parts` names what the strip shows between each point and the next.
    """

    name: str
    profile: tuple[tuple[float, float], ...]
    parts: tuple[str, ...]
    windows: tuple[tuple[tuple[float, float], ...], ...]
    wheels: tuple[float, float]
    width: float

    @property
    def length(self) -> float:
        """Metres from bumper to bumper."""
        return max(x for x, _ in self.profile)

    @property
    def height(self) -> float:
        """Metres above the ground."""
        return max(y for _, y in self.profile)


CAR_SHAPES = (
    CarShape(
        "hatchback",
        ((0, LOW), (0, 0.92), (0.45, 1.47), (2.2, 1.5), (3.05, 0.98), (3.95, 0.8), (4.0, LOW)),
        ("rear", "glass", "roof", "glass", "bonnet", "front"),
        (
            ((0.55, 1.38), (1.35, 1.42), (1.35, 0.96), (0.3, 0.96)),
            ((1.45, 1.42), (2.1, 1.42), (2.8, 0.98), (1.45, 0.96)),
        ),
        (0.72, 3.25),
        1.72,
    ),
    CarShape(
        "saloon",
        ((0, LOW), (0, 0.86), (0.62, 0.96), (1.25, 1.42), (2.55, 1.44), (3.35, 0.94), (4.5, 0.76), (4.55, LOW)),
        ("rear", "bonnet", "glass", "roof", "glass", "bonnet", "front"),
        (
            ((1.32, 1.35), (1.92, 1.37), (1.92, 0.93), (0.85, 0.93)),
            ((2.02, 1.37), (2.48, 1.37), (3.1, 0.94), (2.02, 0.93)),
        ),
        (0.9, 3.7),
        1.78,
    ),
    CarShape(
        "van",
        ((0, LOW), (0, 1.1), (0.05, 1.95), (3.3, 2.0), (4.1, 1.1), (4.75, 0.95), (4.8, LOW)),
        ("rear", "glass", "roof", "glass", "bonnet", "front"),
        (((0.3, 1.8), (1.6, 1.82), (1.6, 1.2), (0.3, 1.2)), ((2.5, 1.82), (3.25, 1.82), (3.8, 1.16), (2.5, 1.14))),
        (0.95, 3.9),
        1.9,
    ),
)


def car_textures(rng: np.random.Generator) -> dict[str, Texture]:
    """Draw `SHAPE-side-I` and `SHAPE-strip-I` for every shape and colour, and the wheel."""
    # Nothing shows the underbody; but without its draws, a seed would give other images.
    textures = {"wheel": _wheel(rng), "underbody": rough(rng, plain((32, 32), (34, 34, 36)), 0.2)}
    for shape in CAR_SHAPES:
        for i, colour in enumerate(CAR_COLOURS):
            textures[f"{shape.name}-side-{i}"] = _side(rng, shape, colour)
            textures[f"{shape.name}-strip-{i}"] = _strip(rng, shape, colour)
    return textures


def _side(rng: np.random.Generator, shape: CarShape, colour: Colour) -> Texture:
    """The car from its left, front to the right; the image covers length and height exactly."""
    width, height = round(shape.length * SCALE), round(shape.height * SCALE)
    light = np.linspace(1.12, 0.72, height)[:, None, None]
    image = Image.fromarray(np.clip(plain((height, width), colour) * light, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * SCALE, height - y * SCALE

    for window in shape.windows:
        draw.polygon([at(*p) for p in window], fill=GLASS, outline=(20, 20, 22), width=3)
        (x0, y0), (x1, _), (_, y2), _ = window
        draw.polygon(
            [at(x0 + 0.1, y0 - 0.06), at((x0 + x1) / 2, y0 - 0.06), at(x0 + 0.15, y2 + 0.06)], fill=(96, 116, 136)
        )
    post = (shape.windows[0][1][0] + shape.windows[1][0][0]) / 2
    seam = shade(colour, 0.55)
    for x in (post, shape.windows[1][2][0], shape.windows[0][3][0] + 0.35):
        draw.line([at(x, 0.9), at(x, 0.36)], fill=seam, width=3)
    for x in (post - 0.32, post + 0.62):
        draw.line([at(x, 0.84), at(x + 0.2, 0.84)], fill=(30, 30, 32), width=5)
    draw.line([at(0.1, 0.62), at(shape.length - 0.1, 0.62)], fill=seam, width=3)
    draw.rectangle((*at(0, 0.4), *at(shape.length, 0)), fill=shade(colour, 0.35))
    draw.rectangle((*at(0, 0.85), *at(0.16, 0.68)), fill=(196, 24, 26))
    draw.rectangle((*at(shape.length - 0.26, 0.76), *at(shape.length, 0.62)), fill=(238, 236, 214))
    for x in shape.wheels:
        draw.ellipse((*at(x - 0.42, WHEEL + 0.42), *at(x + 0.42, WHEEL - 0.42)), fill=(22, 22, 24))
    return rough(rng, np.asarray(image, float), 0.04)


def _lengths(shape: CarShape) -> Array:
    """Metres of the strip's parts."""
    return np.asarray(np.linalg.norm(np.diff(np.array(shape.profile), axis=0), axis=1))


def _strip(rng: np.random.Generator, shape: CarShape, colour: Colour) -> Texture:
    """What lies across the car from rear foot over the roof to front foot, top to bottom in the image."""
    across = round(shape.width * SCALE)
    pieces = []
    for part, length in zip(shape.parts, _lengths(shape), strict=True):
        rows = max(4, round(length * SCALE))
        image = Image.new("RGB", (across, rows), colour if part != "glass" else shade(colour, 0.8))
        _draw_part(ImageDraw.Draw(image), part, across, rows, colour)
        pieces.append(np.asarray(image, float))
    return rough(rng, np.concatenate(pieces), 0.05)


def _draw_part(draw: ImageDraw.ImageDraw, part: str, w: int, h: int, colour: Colour) -> None:
    seam = shade(colour, 0.6)
    if part == "glass":
        draw.rectangle((10, 3, w - 10, h - 4), fill=GLASS)
        draw.polygon([(24, 5), (w * 0.45, 5), (w * 0.25, h - 6), (24, h - 6)], fill=(88, 108, 128))
    elif part == "rear":  # foot at row 0 is far from the viewer's top: the strip runs upwards here
        draw.rectangle((0, 0, w, h * 0.3), fill=shade(colour, 0.4))
        draw.rectangle((w * 0.34, h * 0.42, w * 0.66, h * 0.6), fill=(236, 232, 210), outline=(20, 20, 20))
        for x in (4, w * 0.8):
            draw.rectangle((x, h * 0.62, x + w * 0.18, h * 0.92), fill=(200, 26, 28))
    elif part == "front":
        draw.rectangle((0, h * 0.7, w, h), fill=shade(colour, 0.4))
        draw.rectangle((w * 0.28, h * 0.1, w * 0.72, h * 0.36), fill=(26, 26, 28))
        draw.rectangle((w * 0.34, h * 0.5, w * 0.66, h * 0.68), fill=(236, 232, 210), outline=(20, 20, 20))
        for x in (4, w * 0.78):
            draw.rectangle((x, h * 0.06, x + w * 0.2, h * 0.34), fill=(240, 238, 220), outline=(60, 60, 60), width=3)
    else:
        gleam = tuple(min(250, part + more) for part, more in zip(colour, (28, 30, 34), strict=True))
        draw.line((w * 0.12, 0, w * 0.16, h), fill=seam, width=3)
        draw.line((w * 0.88, 0, w * 0.84, h), fill=seam, width=3)
        draw.polygon([(w * 0.3, 0), (w * 0.42, 0), (w * 0.5, h), (w * 0.38, h)], fill=gleam)


def _wheel(rng: np.random.Generator) -> Texture:
    """A tyre with a spoked rim, (128,128,3)."""
    image = Image.new("RGB", (128, 128), (30, 30, 32))
    draw = ImageDraw.Draw(image)
    draw.ellipse((26, 26, 102, 102), fill=(172, 174, 178))
    for angle in np.linspace(0, 2 * np.pi, 6)[:-1]:
        spot = np.array([64, 64]) + 24 * np.array([np.cos(angle), np.sin(angle)])
        draw.ellipse((*(spot - 9), *(spot + 9)), fill=(64, 66, 70))
    draw.ellipse((56, 56, 72, 72), fill=(96, 98, 102))
    return rough(rng, np.asarray(image, float), 0.08)


def add_car(builder: MeshBuilder, place: Placement, shape: CarShape, colour: int) -> None:
    """Add a car that looks along local forward, centred on the local origin."""
    half, back = shape.width / 2, shape.length / 2
    outline = np.array(shape.profile)
    inside = place((0, 0.7, 0))
    for right in (-half, half):
        corners = np.stack([np.full(len(outline), right), outline[:, 1], outline[:, 0] - back], 1)
        uv = np.stack([outline[:, 0] / shape.length, 1 - outline[:, 1] / shape.height], 1)
        builder.polygon(place(corners), uv, f"{shape.name}-side-{colour}", inside=inside)
    run = np.concatenate([[0.0], np.cumsum(_lengths(shape))])
    run /= run[-1]
    for i in range(len(outline) - 1):
        (x0, y0), (x1, y1) = outline[i], outline[i + 1]
        corners = np.array(
            [(-half, y0, x0 - back), (half, y0, x0 - back), (half, y1, x1 - back), (-half, y1, x1 - back)]
        )
        uv = np.array([(0, run[i]), (1, run[i]), (1, run[i + 1]), (0, run[i + 1])])
        builder.polygon(place(corners), uv, f"{shape.name}-strip-{colour}", inside=inside)
    for x in shape.wheels:
        for side in (-1.0, 1.0):
            _add_wheel(builder, place, side, half, x - back)


def _add_wheel(builder: MeshBuilder, place: Placement, side: float, half: float, forward: float) -> None:
    """A disc 2 cm outside the body and its tread below it."""
    angles = np.linspace(0, 2 * np.pi, 17)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    right = side * (half + 0.02)
    disc = np.stack([np.full(17, right), WHEEL + WHEEL * ring[:, 1], forward + WHEEL * ring[:, 0]], 1)
    inside = place((side * (half - 0.1), WHEEL, forward))
    builder.polygon(place(disc[:-1]), 0.5 + 0.5 * ring[:-1], "wheel", inside=inside)
    inner = disc - np.array([side * 0.22, 0, 0])
    for i in range(16):
        corners = [disc[i], disc[i + 1], inner[i + 1], inner[i]]
        builder.polygon(place(corners), [(0, 0), (0.1, 0), (0.1, 0.1), (0, 0.1)], "wheel", inside=inside)
