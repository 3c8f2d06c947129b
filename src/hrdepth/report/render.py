"""What the page is made of: images and points as text, and the template."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import require
from hrdepth.evaluation import METRICS
from hrdepth.evaluation.results import HEADINGS
from hrdepth.io.images import read_image
from hrdepth.io.pointcloud import point_cloud

__all__ = ["Cloud", "data_url", "encode_cloud", "render_page"]

FAR_MEDIANS = 4.0
"""The cloud ends at so many times the median depth: sky and skyline would make the rest tiny."""
STEPS = 65535

WIDTH = 1100
"""Images on the page are at most so wide."""


def data_url(source: NDArray[np.uint8] | Path) -> str:
    """Return an image, uint8 (H,W,3) or a file, as a JPEG within a URL."""
    image = read_image(source) if isinstance(source, Path) else Image.fromarray(source)
    if image.width > WIDTH:
        image = image.resize((WIDTH, max(1, round(image.height * WIDTH / image.width))), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


@dataclass(frozen=True)
class Cloud:
    """Points as the viewer reads them.

    Attributes:
        count: of points.
        positions: base64 of uint16 (N,3): x right, y down, z forward, from `low` to `high` in 65535 steps.
        colours: base64 of uint8 (N,3).
        low: the smallest x, y, z.
        high: the largest.
        unit: of them.
        assumed: the focal length is a guess.
    """

    count: int
    positions: str
    colours: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    unit: str
    assumed: bool


def encode_cloud(
    depth: NDArray[np.float32],
    image: NDArray[np.uint8],
    intrinsics: NDArray[np.float64],
    max_points: int,
    unit: str,
    *,
    assumed: bool,
) -> Cloud:
    """Lift an image and write its points as text.

    Args:
        depth: (H,W) along the camera's axis.
        image: uint8 (H,W,3).
        intrinsics: (3,3) in pixels of the image.
        max_points: points, at most.
        unit: of depth.
        assumed: the focal length is a guess.

    Raises:
        InputError: no point is left.
    """
    cloud = point_cloud(depth, image, intrinsics, far=FAR_MEDIANS * float(np.median(depth)), most=max_points)
    low, high = cloud.points.min(axis=0), cloud.points.max(axis=0)
    span = np.maximum(high - low, np.finfo(np.float32).tiny)
    steps = np.rint((cloud.points - low) / span * STEPS).astype("<u2")
    return Cloud(
        len(cloud),
        base64.b64encode(steps.tobytes()).decode(),
        base64.b64encode(np.ascontiguousarray(cloud.colours).tobytes()).decode(),
        tuple(float(value) for value in low),
        tuple(float(value) for value in high),
        unit,
        assumed,
    )


def render_page(**parts: Any) -> str:
    """Fill the template.

    Raises:
        InputError: jinja2 is missing.
    """
    jinja2 = require("jinja2", "report", "a report needs")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["thousands"] = lambda value: f"{value:,}".replace(",", " ")
    metrics = list(zip(METRICS, HEADINGS, strict=True))
    return str(environment.get_template("report.html").render(metrics=metrics, **parts))
