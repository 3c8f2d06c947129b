"""From parts to the page: images as text, and the template."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.evaluation import METRICS
from hrdepth.evaluation.results import HEADINGS
from hrdepth.io.images import read_image

__all__ = ["data_url", "render"]

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


def render(**parts: Any) -> str:
    """Fill the template.

    Raises:
        InputError: jinja2 is missing.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise InputError("a report needs jinja2; install it with pip install 'hrdepth[report]'") from error
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: "–" if value is None else f"{value:.3f}"
    environment.filters["thousands"] = lambda value: f"{value:,}".replace(",", " ")
    metrics = list(zip(METRICS, HEADINGS, strict=True))
    return environment.get_template("report.html").render(metrics=metrics, **parts)
