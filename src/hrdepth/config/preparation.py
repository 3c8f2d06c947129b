"""What is prepared before training."""

from __future__ import annotations

from dataclasses import dataclass, field

from hrdepth.config.training import TrainConfig
from hrdepth.errors import InputError

__all__ = ["PrepareConfig", "PrepareHintsConfig"]


@dataclass(frozen=True)
class PrepareConfig:
    """A cache of decoded and resized images.

    Attributes:
        config: the training config whose images are wanted.
        cache: the folder to make or to complete; null takes the config's own `cache`.
        verify: compare what the folder holds with its checksums and sources instead; needs no config.
        threads: that decode and resize; null takes one a core.
    """

    config: TrainConfig | None = None
    cache: str | None = None
    verify: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class PrepareHintsConfig:
    """Depth hints from several views, by geometry alone.

    Attributes:
        config: the training config whose target images get hints, of its size; those of validation too.
        out: the folder to make or to complete.
        weights: a weights file, a name or `hf://OWNER/REPO`, whose network tells the scale of recordings of one eye; it
            fixes the hints' units. Null takes the one on board.
        every: of a recording of one eye, every so manieth frame gets a hint; all are used.
        offsets: how far the neighbours lie that a frame is compared with, in frames.
        planes: depths that are tried.
        nearest: of them, network units.

    Raises:
        InputError: numbers that cannot work.
    """

    config: TrainConfig
    out: str
    weights: str | None = None
    every: int = 2
    offsets: list[int] = field(default_factory=lambda: [-4, -1, 2, 4])
    planes: int = 88
    nearest: float = 0.65

    def __post_init__(self) -> None:
        if self.every < 1:
            raise InputError(f"every {self.every} must be at least 1")
        if not self.offsets or 0 in self.offsets:
            raise InputError(f"offsets {self.offsets}: give some, none of them 0, such as [-4, -1, 2, 4]")
        if self.planes < 8:
            raise InputError(f"planes {self.planes} are too few to tell depths apart; 88 suit")
        if not self.nearest > 0:
            raise InputError(f"nearest {self.nearest:g} must be positive, in network units")
