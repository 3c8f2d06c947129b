"""What an evaluation found, on the terminal and on disk."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from hrdepth.config import DepthProtocol
from hrdepth.evaluation.depth import GARG_COLUMNS, GARG_ROWS, METRICS
from hrdepth.files import atomic_path, output_folder, write_json

__all__ = ["Evaluation", "Row", "describe_protocol"]

HEADINGS = ("Abs Rel", "Sq Rel", "RMSE", "RMSE log", "δ < 1.25", "δ < 1.25²", "δ < 1.25³")


@dataclass(frozen=True)
class Row:
    """One picture's result; see `evaluation.depth.ImageResult`."""

    name: str
    errors: Mapping[str, float]
    ratio: float
    valid_pixels: int


@dataclass(frozen=True)
class Evaluation:
    """The results of a set of pictures.

    Attributes:
        rows: one a picture, in the set's order.
        skipped: names of the pictures without valid true depth.
        protocol: how depth was compared.
        ground_truth: what it was compared with, in words.
    """

    rows: tuple[Row, ...]
    skipped: tuple[str, ...]
    protocol: DepthProtocol
    ground_truth: str

    @cached_property
    def mean(self) -> dict[str, float]:
        """The seven metrics, each the mean over pictures of per-picture values."""
        return {name: float(np.mean([row.errors[name] for row in self.rows])) for name in METRICS}

    @cached_property
    def ratio_median(self) -> float:
        """Median over pictures of the factor to metres."""
        return float(np.median([row.ratio for row in self.rows]))

    @cached_property
    def ratio_std(self) -> float:
        """Standard deviation over pictures of factor / median factor: 0 is a steady scale."""
        return float(np.std([row.ratio / self.ratio_median for row in self.rows]))

    def write(
        self, folder: str | Path, provenance: Mapping[str, Any] | None = None, *, overwrite: bool = False
    ) -> list[Path]:
        """Write `per_image.csv` and `metrics.json` into `folder` and return their paths.

        Raises:
            InputError: the folder cannot be written, or holds something and `overwrite` is false.
        """
        folder = output_folder(folder, overwrite=overwrite)
        per_image, metrics = folder / "per_image.csv", folder / "metrics.json"
        with atomic_path(per_image) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["name", *METRICS, "ratio", "valid_pixels"])
            for row in self.rows:
                values = [f"{value:.9g}" for value in (*(row.errors[name] for name in METRICS), row.ratio)]
                writer.writerow([row.name, *values, row.valid_pixels])
        write_json(metrics, {**self._summary(), "provenance": dict(provenance or {})})
        return [per_image, metrics]

    def table(self) -> Table:
        """Return the mean as a table for the terminal."""
        low, high = self.protocol.min_depth, self.protocol.max_depth
        scaling = self.protocol.scaling
        how = f"{scaling} scaling" if isinstance(scaling, str) else f"depth x {scaling:g}"
        skipped = f", {len(self.skipped)} without true depth skipped" if self.skipped else ""
        table = Table(
            title=f"Depth, mean over {len(self.rows)} pictures{skipped}",
            caption=f"{self.ground_truth}\n{low:g} to {high:g} m, crop {self.protocol.crop}, {how}",
        )
        for heading in HEADINGS:
            table.add_column(heading, justify="right")
        table.add_row(*(f"{self.mean[name]:.3f}" for name in METRICS))
        return table

    def _summary(self) -> dict[str, Any]:
        return {
            "metrics": self.mean,
            "images": len(self.rows),
            "skipped": {"count": len(self.skipped), "names": list(self.skipped)},
            "ratio": {"median": self.ratio_median, "std_over_median": self.ratio_std},
            "ground_truth": self.ground_truth,
            "protocol": {**asdict(self.protocol), "in_words": describe_protocol(self.protocol)},
        }


def describe_protocol(protocol: DepthProtocol) -> dict[str, str]:
    """Return how depth is compared, step by step, in words and values."""
    rows, columns = ("{} to {}".format(*bounds) for bounds in (GARG_ROWS, GARG_COLUMNS))
    return {
        "resized": "scaled disparity (1/depth), bilinearly (align_corners=False), to the true depth's size",
        "range": f"true depth above {protocol.min_depth:g} m and below {protocol.max_depth:g} m; predictions "
        "clamped to that after scaling",
        "crop": f"Garg: rows {rows} of the height, columns {columns} of the width"
        if protocol.crop == "garg"
        else "none: the whole picture",
        "scaling": "median: each picture by median(true) / median(predicted) of valid pixels, before clamping"
        if isinstance(protocol.scaling, str)
        else f"fixed: depth x {protocol.scaling:g}",
        "post_processing": "blended with the mirrored picture's disparity" if protocol.post_process else "none",
        "averaging": "mean over pictures of per-picture values; pictures without valid true depth skipped",
        "units": "sq_rel and rmse in metres; delta1 to delta3 are shares within 1.25, 1.25^2, 1.25^3",
    }
