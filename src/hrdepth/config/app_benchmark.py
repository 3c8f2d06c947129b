"""How long a visitor of the page waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["BenchmarkAppConfig"]


@dataclass(frozen=True)
class BenchmarkAppConfig:
    """How long the page of `hrdepth app` takes: to load, to the first answer, and to the following ones.

    Attributes:
        weights: a weights file or the name of one; null, and no network, for the one on board.
        network: instead of weights, a network by its name, with random ones.
        options: of that network.
        size: (height, width) of the network's input that the page is loaded with.
        image_size: (height, width) of the image that is sent.
        pages: pages that are served, each in a process of its own: each gives one first answer.
        answers: of each page, the first included.
        runtime: a key of the runtimes; null takes the fastest that is there.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        out: a JSON file for the results; null prints only.
        overwrite: replace `out`.
    """

    weights: str | None = None
    network: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (192, 640)
    image_size: tuple[int, int] = (375, 1242)
    pages: int = 3
    answers: int = 6
    runtime: str | None = None
    device: str | None = None
    out: str | None = None
    overwrite: bool = False
