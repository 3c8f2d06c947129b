"""What is prepared before training."""

from __future__ import annotations

from dataclasses import dataclass

from hrdepth.config.training import TrainConfig

__all__ = ["PrepareConfig"]


@dataclass(frozen=True)
class PrepareConfig:
    """A cache of decoded and resized pictures.

    Attributes:
        config: the training config whose pictures are wanted.
        cache: the folder to make or to complete; null takes the config's own `cache`.
        verify: compare what the folder holds with its checksums and sources instead; needs no config.
        threads: that decode and resize; null takes one a core.
    """

    config: TrainConfig | None = None
    cache: str | None = None
    verify: bool = False
    threads: int | None = None
