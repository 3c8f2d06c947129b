"""What a benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass, field

from hrdepth.config.training import TrainConfig

__all__ = ["BenchmarkLoadConfig"]


@dataclass(frozen=True)
class BenchmarkLoadConfig:
    """How fast samples are loaded, without and with a cache.

    Attributes:
        config: the training config whose samples are loaded.
        cache: a folder that `hrdepth prepare` made, to be measured beside the sources; null takes the config's own.
        workers: numbers of processes that load, one measurement each; 0 loads in the main one.
        seconds: that each measurement takes.
        out: a JSON file for the results; null prints only.
        overwrite: replace `out`.
    """

    config: TrainConfig
    cache: str | None = None
    workers: list[int] = field(default_factory=lambda: [0, 1, 2])
    seconds: float = 20.0
    out: str | None = None
    overwrite: bool = False
