"""Pages and images of results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hrdepth.config.bounds import MOST_DPI, check_counts, check_resamples
from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.evaluation import DepthProtocol
from hrdepth.config.inference import DeviceConfig

__all__ = ["CompareConfig", "ReportConfig"]


@dataclass(frozen=True)
class ReportConfig(DeviceConfig):
    """A report of a training.

    Attributes:
        run: the folder that `hrdepth train` left.
        out: the page; null for report.html in that folder.
        weights: a weights file, or another network by its name; null for the run's best, or its last.
        data: images and their true depth to evaluate on; null takes the validation frames where they have true depth.
        results: a folder that `hrdepth evaluate --out` wrote; null evaluates `data`, or takes what lies in the run, if
            it is of these weights and neither `data` nor `protocol` is given.
        protocol: how depth is compared.
        bootstrap: resamples for 95 % intervals of every metric; 0 for none.
        points: the most points of the point cloud; each takes 12 bytes of the page.
        overwrite: replace an earlier page.
    """

    run: str
    out: str | None = None
    weights: str | None = None
    data: GroundTruthConfig | None = None
    results: str | None = None
    protocol: DepthProtocol = field(default_factory=DepthProtocol)
    bootstrap: int = 1000
    points: int = 120_000
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_resamples(self.bootstrap)
        check_counts(self, 0, "points", most=10**8)


@dataclass(frozen=True)
class CompareConfig(DeviceConfig):
    """A comparison of networks, in images.

    Attributes:
        weights: weights files of this package, one or several.
        data: images and their true depth.
        out: the folder to write into.
        labels: what the networks are called; null takes the files' names (and their folders', where they are the same).
        images: which images of the data stand in the comparison, by their place in it; null takes `count`, evenly.
        count: how many images stand in the comparison, if `images` is null.
        runs: folders of trainings, or one, for learning curves; may be empty.
        protocol: how depth is compared.
        features: draw the feature maps at the first level, before and after fusion (paper, Figure 5).
        formats: formats of the figures; `svg` and `pdf` are vector graphics.
        dpi: dots an inch of `png` figures, and of images within the others.
        overwrite: replace results in `out`.
    """

    weights: list[str]
    data: GroundTruthConfig
    out: str
    labels: list[str] | None = None
    images: list[int] | None = None
    count: int = 4
    runs: list[str] | str = field(default_factory=list)
    protocol: DepthProtocol = field(default_factory=DepthProtocol)
    features: bool = True
    formats: list[Literal["svg", "pdf", "png"]] = field(default_factory=lambda: ["svg"])
    dpi: int = 150
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_counts(self, 1, "count")
        check_counts(self, 1, "dpi", most=MOST_DPI)
