"""Make weights files small, check them, and add a card: `hrdepth pack`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from hrdepth.config import PackConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import atomic_path, output_file, write_text
from hrdepth.io.media import frames
from hrdepth.io.provenance import provenance
from hrdepth.weights.card import card_text
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint
from hrdepth.weights.find import DEFAULT, FOLDER, locate_weights
from hrdepth.weights.share import describe, write_checkpoint

__all__ = ["PackReport", "pack"]

# The package's rendered streets, and how many images are compared at most.
STREETS = Path(__file__).parents[1] / "app" / "examples"
COMPARED = 8


@dataclass(frozen=True)
class PackReport:
    """What was written.

    Attributes:
        path: of the weights.
        card: of their card.
        size: bytes.
        licence: SPDX or None.
        relative: mean relative difference of 1/depth to the network that was given.
        largest: largest difference of the disparity.
        images: number of images compared.
    """

    path: Path
    card: Path
    size: int
    licence: str | None
    relative: float
    largest: float
    images: int

    def __str__(self) -> str:
        licence = self.licence or "not stated (--licence)"
        return (
            f"{self.path}: {self.size / 1e6:.2f} MB, licence {licence}, card {self.card}; "
            f"1/depth differs by {self.relative:.3%} on average, disparity by {self.largest:.1e} at most "
            f"({self.images} images)"
        )


def pack(config: PackConfig) -> PackReport:
    """Write weights with their name, licence and card, and the card beside them, if the check passes.

    Raises:
        InputError: a file is missing or damaged, the packed network differs by more than the tolerance, or the file is
            too large.
    """
    assert config.out is not None
    out = Path(config.out)
    if out.suffix != ".safetensors":
        raise InputError(f"{out} must end in .safetensors")
    card = out.with_suffix(".md")
    for path in (out, card):
        output_file(path, overwrite=config.overwrite)
    source = locate_weights(config.weights)
    given = read_checkpoint(source)
    chosen = dataclasses.replace(
        describe(given, config.name or out.stem, config.licence, config.card, config.results),
        pose_network=given.pose_network if config.pose else None,
        provenance={
            **given.provenance,
            "packed": provenance(source=source.name, sha256=given.file_sha256, dtype=config.dtype),
        },
    )
    if config.pose and given.pose_network is None:
        raise InputError(f"the weights file {source} contains no pose network; omit --pose")
    with atomic_path(out) as staged:
        write_checkpoint(staged, chosen, config.dtype)
        packed = read_checkpoint(staged)
        relative, largest, count = _compare(given, packed, config.images)
        size = staged.stat().st_size
        if not relative <= config.tolerance:
            raise InputError(
                f"as {config.dtype} the network differs from {source} by {relative:.2%} of 1/depth on average, more "
                f"than the tolerance {config.tolerance:.2%}; pack it with --dtype float32, or raise --tolerance"
            )
        if config.megabytes is not None and size > config.megabytes * 1e6:
            raise InputError(
                f"the packed weights take {size / 1e6:.2f} MB, more than --megabytes {config.megabytes:g}; use a "
                "smaller network, or raise the limit"
            )
        write_text(card, card_text(packed, _loaded(out)))
    return PackReport(out, card, size, packed.licence, relative, largest, count)


def _loaded(out: Path) -> str:
    """Return the source for `from_pretrained` as Python code: the name of bundled weights, else the path."""
    is_bundled = out.resolve().parent == FOLDER.resolve()
    if is_bundled and out.stem == DEFAULT:
        return ""
    return f'"{out.stem if is_bundled else out.name}"'


def _compare(given: Checkpoint, packed: Checkpoint, images: str | None) -> tuple[float, float, int]:
    """Return the mean relative difference of 1/depth, the largest of disparity, and the number of images."""
    one, other = (Predictor(checkpoint.network, given.size, device="cpu") for checkpoint in (given, packed))
    relative, largest = [], [0.0]
    for frame in islice(frames(images or STREETS), COMPARED):
        image = Image.fromarray(frame.image)
        before, after = one.scaled_disparity(image), other.scaled_disparity(image)
        difference = np.abs(after - before)
        relative.append(float((difference / before).mean()))
        largest.append(float(difference.max()) / (1 / one.scale.min_depth - 1 / one.scale.max_depth))
    return float(np.mean(relative)), max(largest), len(relative)
