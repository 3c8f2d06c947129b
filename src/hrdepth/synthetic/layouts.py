"""Kinds of road of a varied drive: lanes, kerbs, what stands beside them, and the course they follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hrdepth.synthetic.mesh import Array, MeshBuilder, Placement, grid_triangles, ribbon
from hrdepth.synthetic.textures import PALETTE, cell_uv
from hrdepth.synthetic.trajectory import Course

__all__ = ["KINDS", "Road", "RoadLayout", "draw_layout", "plan_course"]

KINDS = ("street", "avenue", "suburb", "lane", "country", "highway", "industrial")
_SHARES = (0.22, 0.2, 0.14, 0.1, 0.12, 0.14, 0.08)


@dataclass(frozen=True)
class RoadLayout:
    """A road's cross-section in metres; offsets grow towards "near", the kerb on the camera's side of the traffic."""

    kind: str  # one of `KINDS`
    side: int  # 1 where traffic keeps to the right, -1 where it keeps to the left
    lane: float  # width of a lane; the camera drives along the middle of one
    inner: int  # lanes of the same direction between the camera and the oncoming traffic
    outer: int  # lanes between the camera and the near kerb
    oncoming: int  # lanes of the other direction; 0 for one way
    median: float  # between the directions; 0 is a painted line
    parking: float  # strip of parked cars at each side, 0 for none
    shoulder: float  # paved strip outside the outermost lanes
    verge: float  # grass between kerb and pavement
    pavement: float  # width, 0 for none
    kerb: float  # its height
    speed: float  # metres a frame
    bend: float  # least radius of a curve
    reach: float  # metres of road before and after the drive
    ground: str  # material beyond the pavements

    @property
    def near_edge(self) -> float:
        """Where the outermost lane on the camera's side ends, metres from the course."""
        return (self.outer + 0.5) * self.lane

    @property
    def far_edge(self) -> float:
        """Where the outermost lane on the other side ends, negative."""
        return -((self.inner + 0.5 + self.oncoming) * self.lane + self.median)

    @property
    def middle(self) -> float:
        """Where the directions part, negative."""
        return -((self.inner + 0.5) * self.lane + self.median / 2)

    @property
    def near_kerb(self) -> float:
        """Where the paved road ends on the camera's side."""
        return self.near_edge + self.parking + self.shoulder

    @property
    def far_kerb(self) -> float:
        """Where it ends on the other side, negative."""
        return self.far_edge - self.parking - self.shoulder

    @property
    def border(self) -> float:
        """How far the land beyond is from the kerb: verge and pavement."""
        return self.verge + self.pavement

    def kerbs(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return (sign, offset) of the near and the far kerb; outwards is `sign` times up."""
        return ((1.0, self.near_kerb), (-1.0, self.far_kerb))

    def lanes(self) -> list[tuple[float, int]]:
        """Return (offset, direction) of each lane's middle; direction 1 is the camera's."""
        own = [(self.lane * i, 1) for i in range(-self.inner, self.outer + 1)]
        start = -(self.inner + 1) * self.lane - self.median
        return own + [(start - self.lane * i, -1) for i in range(self.oncoming)]


@dataclass(frozen=True)
class Road:
    """A layout along a course; what is added to the road collects in `builder`."""

    layout: RoadLayout
    course: Course
    builder: MeshBuilder = field(default_factory=MeshBuilder)

    def place(self, along: float, offset: float, turn: float = 0.0, lift: float = 0.0) -> Placement:
        """Return a frame at course coordinates; local forward follows the course, turned by `turn`."""
        heading = float(self.course.heading(along)) + turn
        return Placement(self.course.place(along, self.layout.side * offset), heading, lift)

    def beside(self, along: float, offset: float, lift: float = 0.0) -> Placement:
        """Return a frame beside the road whose local -right looks at the road."""
        layout = self.layout
        turn = np.pi if layout.side * (offset - (layout.near_kerb + layout.far_kerb) / 2) < 0 else 0.0
        return self.place(along, offset, turn, lift)

    def add_ribbon(
        self,
        across: tuple[float, float],
        up: tuple[float, float],
        material: str,
        tile: tuple[float, float],
        out: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Add a ribbon along the course between two offsets at two heights.

        Args:
            across: offsets of the two edges.
            up: heights of the two edges.
            material: name of its texture.
            tile: metres (across, along) that one copy of the texture covers.
            out: (offset, up) of where its face looks.
        """
        along, side = self.course.distances, self.layout.side
        edges = [self.course.line(along, side * o, u) for o, u in zip(across, up, strict=True)]
        low, high = (self.course.line(along, side * (o - out[0]), u - out[1]) for o, u in zip(across, up, strict=True))
        middle = (low + high) / 2
        inside = (middle[:-1] + middle[1:]) / 2
        reach = float(np.hypot(across[1] - across[0], up[1] - up[0])) / tile[0]
        for vertices, uv in ribbon(edges, (along - along[0]) / tile[1], reach):
            self.builder.triangles(vertices, uv, material, inside=inside)

    def sweep(
        self,
        section: Sequence[tuple[float, float]],
        span: tuple[float, float],
        colour: str,
        *,
        tile: float | None = None,
    ) -> None:
        """Add a solid of constant cross-section along the course.

        Args:
            section: convex outline of (offset, up) in metres.
            span: first and last metre along the course.
            colour: of the palette; a texture's name where `tile` is given.
            tile: metres that one copy of the texture covers.
        """
        distances = self.course.distances
        inner = distances[(distances > span[0] + 0.3) & (distances < span[1] - 0.3)]
        along = np.concatenate([[span[0]], inner[::2], [span[1]]])
        outline = np.array([*section, section[0]], float)
        rings = self.course.line(along[:, None], self.layout.side * outline[None, :, 0], outline[None, :, 1])
        centres = rings[:, :-1].mean(1)
        around = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
        u, v = np.meshgrid(along - along[0], around, indexing="ij")
        count = len(outline) - 1
        inside = np.tile(np.repeat((centres[:-1] + centres[1:]) / 2, count, axis=0), (2, 1))
        if tile is None:
            material, texture = PALETTE, cell_uv(colour, grid_triangles(np.stack([u * 0.37 % 1, v / around[-1]], -1)))
            face = cell_uv(colour, np.full((count, 2), 0.5))
        else:
            material, texture = colour, grid_triangles(np.stack([u, v], -1) / tile)
            face = outline[:-1] / tile
        self.builder.triangles(grid_triangles(rings), texture, material, inside=inside)
        for end, behind in ((0, 2), (-1, -3)):
            middle = centres.mean(0) if len(along) < 4 else centres[behind]
            self.builder.polygon(rings[end, :-1], face, material, inside=middle)


def draw_layout(rng: np.random.Generator) -> RoadLayout:
    """Draw a kind of road and its measures."""
    kind = str(rng.choice(KINDS, p=_SHARES))
    city = kind in ("street", "avenue", "industrial")
    lane = float({"highway": rng.uniform(3.4, 3.8), "lane": rng.uniform(2.6, 3.1)}.get(kind, rng.uniform(2.9, 3.6)))
    inner, outer, oncoming, median = 0, 0, 1, 0.0
    if kind == "avenue":
        lanes = int(rng.integers(2, 4))
        outer = int(rng.integers(lanes))
        inner, oncoming = lanes - 1 - outer, lanes
        median = float(rng.choice([0.0, 0.5, rng.uniform(2.5, 6)]))
    elif kind == "highway":
        lanes = int(rng.integers(2, 5))
        outer = int(rng.integers(lanes))
        inner, oncoming, median = lanes - 1 - outer, lanes, float(rng.uniform(1.5, 8))
    elif kind == "street" and rng.random() < 0.25:
        oncoming = 0
    parking = float(rng.uniform(2.0, 2.4)) if kind in ("street", "suburb") and rng.random() < 0.6 else 0.0
    parking = parking or (2.3 if kind == "avenue" and rng.random() < 0.3 else 0.0)
    shoulder = {"highway": rng.uniform(1.5, 3.2), "country": rng.uniform(0.2, 0.8), "lane": rng.uniform(0.1, 0.6)}
    verge = {"avenue": 1.5, "suburb": 2.2, "street": 0.6}.get(kind, 0.0) * rng.choice([0, 1, 1.4])
    pavement = rng.uniform(1.4, 4.5) if city else rng.uniform(1.3, 2.2) if kind == "suburb" else 0.0
    grounds = {
        "country": ["lawn", "dry-grass", "field", "soil"],
        "highway": ["lawn", "dry-grass", "soil"],
        "industrial": ["asphalt", "soil", "concrete-ground"],
        "avenue": ["asphalt", "paving", "lawn", "concrete-ground"],
        "lane": ["lawn", "field"],
    }
    return RoadLayout(
        kind=kind,
        side=-1 if rng.random() < 0.25 else 1,
        lane=lane,
        inner=inner,
        outer=outer,
        oncoming=oncoming,
        median=median,
        parking=parking,
        shoulder=float(shoulder.get(kind, rng.uniform(0.0, 0.5))),
        verge=float(verge),
        pavement=float(pavement),
        kerb=float(rng.uniform(0.08, 0.16)) if city or kind == "suburb" else 0.0,
        speed=float(
            {"highway": rng.uniform(0.8, 1.8), "country": rng.uniform(0.7, 1.5)}.get(kind, rng.uniform(0.3, 1.0))
        ),
        bend=float({"highway": 450, "avenue": 160, "lane": 55, "street": 90, "country": 120}.get(kind, 110)),
        reach=320.0 if kind in ("highway", "country", "avenue") else 200.0,
        ground=str(rng.choice(grounds.get(kind, ["lawn", "paving", "lawn", "dry-grass"]))),
    )


def plan_course(rng: np.random.Generator, layout: RoadLayout, frames: int) -> tuple[Course, Array]:
    """Plan a road with gentle bends.

    Returns:
        The course, sampled each metre, and where along it each frame is taken, (frames,) from 0 on.
    """
    steps = layout.speed * np.cumprod(np.exp(rng.normal(0, 0.02, frames)).clip(0.97, 1.03))
    stops = np.concatenate([[0.0], np.cumsum(np.clip(steps, 0.2, 2.0))[:-1]])
    total = int(np.ceil(stops[-1] + 2 * layout.reach))
    turns: list[float] = []
    heading = 0.0
    while len(turns) < total:
        turns += [0.0] * int(rng.integers(20, 140))
        away = -np.sign(heading) if abs(heading) > 0.3 else rng.choice([-1.0, 1.0])
        curve = float(away / (layout.bend * rng.uniform(1.0, 4.0)))
        length = int(min(rng.uniform(0.15, 0.7) / abs(curve), 120))
        ease = np.minimum(np.minimum(np.arange(length), np.arange(length)[::-1]) / 8, 1)
        turns += list(curve * ease)
        heading += float((curve * ease).sum())
    turn = np.array(turns[:total])
    headings = np.concatenate([[0.0], np.cumsum(turn)])
    middle = headings[:-1] + turn / 2
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(np.stack([np.sin(middle), np.cos(middle)], 1), 0)])
    return Course(np.asarray(points, float), np.asarray(headings, float), np.arange(total + 1.0) - layout.reach), stops
