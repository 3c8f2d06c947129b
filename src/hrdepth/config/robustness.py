"""Settings of evaluation on corrupted images, and of tables over several results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hrdepth.config.data import GroundTruthConfig
from hrdepth.config.evaluation import ProtocolSettings

__all__ = ["CorruptionsConfig", "TabulateConfig"]


@dataclass(frozen=True)
class CorruptionsConfig:
    """An evaluation on corrupted images, in KITTI-C's manner.

    Attributes:
        data: the frames and their depth.
        weights: a weights file of this package, or one that `hrdepth export` wrote.
        base: what mCE compares with: weights of a network `monodepth2`, or corruptions.json of an earlier evaluation of
            them on the same frames; null gives no mCE.
        protocol: how depth is compared; what is not given follows the data's own protocol.
        kinds: corruptions by KITTI-C's names, such as `[fog, snow]`; null for all that the library has.
        severities: of 1 to 5.
        out: a folder for corruptions.json and table.md, and until they are written for what is measured already: the
            same command goes on from there. Null prints only.
        size: (height, width) that the network works at; null for that of its training.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        runtime: see `hrdepth evaluate`.
        precision: likewise.
        threads: cores to compute with; null for all.
        format: of the printed table: `text`, `markdown` or `latex`.
        overwrite: replace results in `out`, finished ones or those of another command.
    """

    data: GroundTruthConfig
    weights: str
    base: str | None = None
    protocol: ProtocolSettings = field(default_factory=ProtocolSettings)
    kinds: list[str] | None = None
    severities: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])
    out: str | None = None
    size: tuple[int, int] | None = None
    device: str | None = None
    runtime: str | None = None
    precision: str | None = None
    threads: int | None = None
    format: Literal["text", "markdown", "latex"] = "text"
    overwrite: bool = False


@dataclass(frozen=True)
class TabulateConfig:
    """A table over the results of several evaluations.

    Attributes:
        results: a row each: a folder that `hrdepth evaluate --out` wrote, or NAME=FOLDER,FOLDER,... with one folder a
            seed.
        metrics: columns: `seven`, `lsq`, `log10`, `edges`, `points`, or single ones by their names in metrics.json,
            such as `[abs_rel, edges]`. All but the seven are measured where `hrdepth evaluate` was asked to.
        out: a file for the table, .md or .tex; null prints only.
        format: of the printed table: `text`, `markdown` or `latex`.
        overwrite: replace `out`.
    """

    results: list[str]
    metrics: list[str] = field(default_factory=lambda: ["seven"])
    out: str | None = None
    format: Literal["text", "markdown", "latex"] = "text"
    overwrite: bool = False
