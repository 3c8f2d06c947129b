"""A training on one page."""

from __future__ import annotations

from dataclasses import dataclass, field

from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.evaluation import ProtocolSettings

__all__ = ["ReportConfig"]


@dataclass(frozen=True)
class ReportConfig:
    """A report of a training.

    Attributes:
        run: the folder that `hrdepth train` left.
        out: the page; null for report.html in that folder.
        weights: a weights file, or another network by its name; null for the run's best, or its last.
        data: images and their true depth to evaluate on; null takes the validation frames where they have true depth.
        results: a folder that `hrdepth evaluate --out` wrote; null evaluates `data`, or takes what lies in the run.
        protocol: how depth is compared.
        bootstrap: resamples for 95 % intervals of every metric; 0 for none.
        points: of the point cloud, at most; each takes 12 bytes of the page.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace an earlier page.
    """

    run: str
    out: str | None = None
    weights: str | None = None
    data: GroundTruthConfig | None = None
    results: str | None = None
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    bootstrap: int = 1000
    points: int = 120_000
    device: str | None = None
    overwrite: bool = False
