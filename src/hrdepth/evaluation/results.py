"""Results of an evaluation, for the terminal and on disk."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import GARG_COLUMNS, GARG_ROWS, METRICS, ImageResult
from hrdepth.evaluation.extras import EXTRA_HEADINGS, decimals
from hrdepth.io.files import atomic_path, output_folder, write_json
from hrdepth.io.tables import METRIC_HEADINGS, ResultTable

__all__ = ["HEADINGS", "LEVEL", "Evaluation", "bootstrap_intervals", "describe_protocol", "mean_over_images"]

HEADINGS = tuple(METRIC_HEADINGS.values())
LEVEL = 0.95  # of intervals
# Those that are no number: in a table, and in full.
SCALINGS = {
    "median": (
        "median scaling",
        "median: each image by median(true) / median(predicted) of valid pixels, before clamping",
    ),
    "affine": (
        "scale and shift",
        "affine: each image's disparity by the scale and shift with the least squares against 1 / true depth of valid "
        "pixels, before clamping",
    ),
}


@dataclass(frozen=True)
class Evaluation:
    """The results of a set of images.

    Attributes:
        rows: one per image, in the set's order.
        skipped: names of the images without valid true depth.
        protocol: of the comparison.
        ground_truth: its description.
        extras_protocol: description of the additional metrics; see `Extras.describe`.
        failed: images that could not be evaluated, and why; they are left out of the means.
    """

    rows: tuple[ImageResult, ...]
    skipped: tuple[str, ...]
    protocol: DepthProtocol
    ground_truth: str
    extras_protocol: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: tuple[str, ...] = ()

    @cached_property
    def mean(self) -> dict[str, float]:
        """The seven metrics, each the mean over images of per-image values."""
        return {name: float(np.mean([row.errors[name] for row in self.rows])) for name in METRICS}

    @cached_property
    def extras(self) -> dict[str, float]:
        """The additional metrics, each the mean over the images that have it; NaN if none has."""
        return {name: _mean(values) for name, values in self._per_image.items()}

    @cached_property
    def _per_image(self) -> dict[str, list[float]]:
        """The values of each additional metric by image; NaN for an image that does not have it."""
        names = dict.fromkeys(name for row in self.rows for name in row.extras)
        return {name: [row.extras.get(name, float("nan")) for row in self.rows] for name in names}

    def intervals(self, resamples: int, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals of all means; see `bootstrap_intervals`."""
        columns = {**{name: [row.errors[name] for row in self.rows] for name in METRICS}, **self._per_image}
        names = list(columns)
        found = bootstrap_intervals(np.array(list(columns.values())).T, resamples, seed=seed)
        return {name: (float(low), float(high)) for name, (low, high) in zip(names, found, strict=True)}

    @cached_property
    def truth_sha256(self) -> str | None:
        """Hash of the compared true depth of all images; None if results were read that do not have it."""
        found = [row.truth_sha256 for row in self.rows]
        return hashlib.sha256("".join(found).encode()).hexdigest() if all(found) else None

    @cached_property
    def ratio_median(self) -> float:
        """Median over images of the factor to metres."""
        return float(np.median([row.ratio for row in self.rows]))

    @cached_property
    def ratio_std(self) -> float:
        """Standard deviation over images of factor / median factor: 0 for a constant scale."""
        return float(np.std([row.ratio / self.ratio_median for row in self.rows]))

    def write(
        self,
        folder: str | Path,
        provenance: Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
        resamples: int = 0,
    ) -> list[Path]:
        """Write `per_image.csv` and `metrics.json` into `folder` and return their paths.

        Args:
            folder: for both.
            provenance: of the results.
            overwrite: allow a folder that is not empty.
            resamples: of the bootstrap; 0 for no intervals.

        Raises:
            InputError: the folder cannot be written, or is not empty and `overwrite` is false.
        """
        folder = output_folder(folder, overwrite=overwrite)
        per_image, metrics = folder / "per_image.csv", folder / "metrics.json"
        with atomic_path(per_image) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["name", *METRICS, "ratio", "valid_pixels", *self.extras])
            for index, row in enumerate(self.rows):
                values = [f"{value:.9g}" for value in (*(row.errors[name] for name in METRICS), row.ratio)]
                more = [f"{found[index]:.9g}" for found in self._per_image.values()]
                writer.writerow([row.name, *values, row.valid_pixels, *more])
        write_json(metrics, {**self._summary(resamples), "provenance": dict(provenance or {})})
        return [per_image, metrics]

    def table(self, resamples: int = 0) -> ResultTable:
        """Return a table of the means, with 95 % intervals from `resamples`; 0 for no intervals."""
        scaling = self.protocol.scaling
        how = SCALINGS[scaling][0] if isinstance(scaling, str) else f"depth x {scaling:g}"
        skipped = f", {len(self.skipped)} without true depth skipped" if self.skipped else ""
        skipped += f", {len(self.failed)} failed and left out" if self.failed else ""
        found = self.intervals(resamples) if resamples else {}
        rows = [(how, *(self._cell(name, found) for name in METRICS))]
        if f"lsq_{METRICS[0]}" in self.extras:
            rows.append(("least squares", *(self._cell(f"lsq_{name}", found) for name in METRICS)))
        return ResultTable(
            ("alignment", *HEADINGS),
            tuple(rows),
            f"Depth, mean over {len(self.rows)} images{skipped}",
            f"{self.ground_truth}\n{self.protocol.min_depth:g} to {self.protocol.max_depth:g} m, crop "
            f"{self.protocol.crop}{', with 95 % intervals' if found else ''}",
        )

    def extras_table(self, resamples: int = 0) -> ResultTable | None:
        """Return a table of the additional metrics, or None."""
        names = [name for name in EXTRA_HEADINGS if name in self.extras]
        found = self.intervals(resamples) if resamples else {}
        rows = []
        for name in names:
            count = int(np.isfinite(self._per_image[name]).sum())
            rows.append((EXTRA_HEADINGS[name], self._cell(name, found), str(count)))
        caption = (
            "edges: of the whole image, whatever the crop; near edges: within it" if "boundary_f1" in names else ""
        )
        return ResultTable(("measure", "mean", "images"), tuple(rows), caption=caption) if rows else None

    def _cell(self, name: str, intervals: Mapping[str, tuple[float, float]]) -> str:
        value = {**self.mean, **self.extras}[name]
        if not np.isfinite(value):
            return "–"
        low, high = intervals.get(name, (value, value))
        digits = decimals(name)
        return f"{value:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if intervals else "")

    def _summary(self, resamples: int) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self.extras:
            more["extras"] = dict(self.extras)
        if resamples:
            more["intervals"] = {"level": LEVEL, "resamples": resamples, **self.intervals(resamples)}
        return {
            "metrics": self.mean,
            **more,
            "images": len(self.rows),
            "skipped": {"count": len(self.skipped), "names": list(self.skipped)},
            **({"failed": {"count": len(self.failed), "names": list(self.failed)}} if self.failed else {}),
            "ratio": {"median": self.ratio_median, "std_over_median": self.ratio_std},
            "ground_truth": self.ground_truth,
            "truth_sha256": self.truth_sha256,
            "protocol": {**asdict(self.protocol), "in_words": describe_protocol(self.protocol)},
            **({"extras_protocol": dict(self.extras_protocol)} if self.extras_protocol else {}),
        }


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def describe_protocol(protocol: DepthProtocol) -> dict[str, str]:
    """Describe how depth is compared, step by step, in words and values."""
    rows, columns = ("{} to {}".format(*bounds) for bounds in (GARG_ROWS, GARG_COLUMNS))
    return {
        "resized": "scaled disparity (1/depth), bilinearly (align_corners=False), to the true depth's size",
        "range": f"true depth above {protocol.min_depth:g} m and below {protocol.max_depth:g} m; predictions "
        "clamped to that after scaling",
        "crop": f"Garg: rows {rows} of the height, columns {columns} of the width"
        if protocol.crop == "garg"
        else "none: the whole image",
        "scaling": SCALINGS[protocol.scaling][1]
        if isinstance(protocol.scaling, str)
        else f"fixed: depth x {protocol.scaling:g}",
        "post_processing": "blended with the mirrored image's disparity" if protocol.post_process else "none",
        "averaging": "mean over images of per-image values; images without valid true depth skipped",
        "units": "sq_rel and rmse in metres; delta1 to delta3 are shares within 1.25, 1.25^2, 1.25^3",
    }


def mean_over_images(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means (M) of values (N images, M metrics), each over the images that have it; NaN where none has."""
    counts = np.isfinite(values).sum(axis=0)
    return np.where(counts, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)


def bootstrap_intervals(
    values: NDArray[np.float64], resamples: int, *, seed: int = 0, level: float = LEVEL
) -> NDArray[np.float64]:
    """Return intervals of the means by the percentile bootstrap over images.

    Args:
        values: (N images, M metrics); NaN if an image does not have the metric.
        resamples: number of sets of N images, drawn with replacement.
        seed: of the draw; the same images are drawn for all metrics.
        level: the share of the resampled means inside.

    Returns:
        (M,2): lower and upper end; NaN if no image has the metric.

    Raises:
        InputError: fewer than one resample or image, or a level outside (0,1).

    Note:
        Images of one drive are similar, so intervals over few drives are too narrow.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if resamples < 1 or values.ndim != 2 or not len(values):
        raise InputError(f"the bootstrap needs at least one resample and one image, not {resamples} and {len(values)}")
    if not 0 < level < 1:
        raise InputError(f"the level {level:g} must lie between 0 and 1")
    count = len(values)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = (drawn @ np.where(known, values, 0.0)) / (drawn @ known)  # (resamples,M)
    ends = [50 * (1 - level), 50 * (1 + level)]
    intervals = np.full((values.shape[1], 2), np.nan)
    some = np.isfinite(means).any(axis=0)
    intervals[some] = np.nanpercentile(means[:, some], ends, axis=0).T
    return intervals
