"""Weights to hand on."""

from __future__ import annotations

from dataclasses import dataclass

from hrdepth.errors import InputError

__all__ = ["PackConfig"]


@dataclass(frozen=True)
class PackConfig:
    """Weights to pack.

    Attributes:
        weights: a weights file of this package.
        out: the file to write, ends in .safetensors; the card is written beside it, as .md.
        name: of the weights; null takes that of `out`.
        licence: of the weights, SPDX, such as CC-BY-NC-SA-3.0; null takes what the weights say.
        card: a YAML file of what is to be said: title, summary, data, terms, recipe, limits, notes; null takes what the
            weights say.
        results: a JSON file of metrics for the card: `results` by set and row, or metrics.json of `hrdepth evaluate`.
        pose: keep the pose network, which trajectories and further training need.
        dtype: of the kernels: `float16` or `float32`.
        images: an image or a folder, on which packed and given network are compared; null takes rendered streets.
        tolerance: the largest mean relative difference of 1/depth between the two.
        megabytes: the largest file (10^6 bytes); null for any.
        overwrite: replace `out` and its card.

    Raises:
        InputError: a bound is not positive.
    """

    weights: str
    out: str
    name: str | None = None
    licence: str | None = None
    card: str | None = None
    results: str | None = None
    pose: bool = False
    dtype: str = "float16"
    images: str | None = None
    tolerance: float = 0.01
    megabytes: float | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for bound, value in (("tolerance", self.tolerance), ("megabytes", self.megabytes)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{bound} {value:g} must be positive")
