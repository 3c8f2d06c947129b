"""Images of results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.evaluation import ProtocolSettings
from hrdepth.errors import InputError

__all__ = ["CompareConfig"]


@dataclass(frozen=True)
class CompareConfig:
    """A comparison of networks, in images.

    Attributes:
        weights: weights files of this package, one or several.
        data: images and their true depth.
        out: the folder to write into.
        labels: what the networks are called; null takes the files' names (and their folders', where they are the same).
        images: which images of the data stand in the comparison, by their place in it; null takes `count`, evenly.
        count: how many.
        runs: folders of trainings, or one, for learning curves; may be empty.
        protocol: how depth is compared.
        features: draw the feature maps at the first level, before and after fusion (paper, Figure 5).
        formats: `svg` and `pdf` are vector graphics.
        dpi: of `png`, and of images within the others.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace results in `out`.
    """

    weights: list[str]
    data: GroundTruthConfig
    out: str
    labels: list[str] | None = None
    images: list[int] | None = None
    count: int = 4
    runs: list[str] | str = field(default_factory=list)
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    features: bool = True
    formats: list[Literal["svg", "pdf", "png"]] = field(default_factory=lambda: ["svg"])
    dpi: int = 150
    device: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"count {self.count}: give the number of images, 1 or more")
