"""True depth for a run, and its metrics: read from `hrdepth evaluate`, or of an evaluation in memory."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.errors import MALFORMED, InputError
from hrdepth.evaluation import METRICS
from hrdepth.evaluation.depth import ImageResult
from hrdepth.evaluation.results import Evaluation
from hrdepth.io.files import file_sha256, read_json
from hrdepth.truth import GROUND_TRUTHS, GroundTruthSet, build_ground_truth

__all__ = ["ResultRow", "ResultSet", "are_results_of", "find_truth", "read_results", "result_set"]


@dataclass(frozen=True)
class ResultRow:
    """Metrics of one network or guess.

    Attributes:
        name: of the row.
        metrics: by name.
        intervals: 95 %, by name; empty where they are not known.
    """

    name: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class ResultSet:
    """Rows that were measured on the same images.

    Attributes:
        title: which images.
        rows: one or several.
        caption: how depth was compared.
    """

    title: str
    rows: tuple[ResultRow, ...]
    caption: str = ""


def find_truth(given: GroundTruthConfig | None, settings: Mapping[str, Any]) -> tuple[GroundTruthSet | None, str]:
    """Return images with true depth, and a note on them.

    Args:
        given: the true depth to read; None for the first set of the validation that has true depth.
        settings: of the training.

    Raises:
        InputError: what is given is not there.
    """
    if given is not None:
        truths = build_ground_truth(given)
        return truths, truths.description
    kinds = {truth.dataset: kind for kind, truth in GROUND_TRUTHS.items() if truth.dataset}
    for part in settings["validation"]:
        if (kind := kinds.get(part["dataset"])) is None:
            continue
        try:
            truths = build_ground_truth(GroundTruthConfig(kind, root=part["root"], split=part.get("split")))
            truths[0]  # a layout without depth is noticed here
        except (InputError, IndexError):
            continue
        return truths, f"{truths.description}. These are validation frames: they chose the best weights"
    return None, "no true depth was given, and none lies beside the validation frames"


def result_set(evaluation: Evaluation, resamples: int, beside: Mapping[str, Evaluation]) -> ResultSet:
    """Put an evaluation, and others on the same images, into rows."""
    rows = {"this run": evaluation, **beside}
    protocol = evaluation.protocol
    words = {"median": "each prediction scaled by its median", "affine": "each prediction aligned by scale and shift"}
    scaling = words.get(str(protocol.scaling), f"depth x {protocol.scaling}")
    return ResultSet(
        f"{len(evaluation.rows)} images: {evaluation.ground_truth}",
        tuple(ResultRow(name, one.mean, one.intervals(resamples) if resamples else {}) for name, one in rows.items()),
        f"Mean over images, {protocol.min_depth:g} to {protocol.max_depth:g} m, crop {protocol.crop}, {scaling}"
        + (f"; 95 % intervals by {resamples} bootstrap resamples of the images." if resamples else "."),
    )


def are_results_of(folder: Path, weights: Path) -> bool:
    """Return whether metrics.json in `folder` was measured with these weights.

    Earlier versions stored the weights' name alone: then they must lie in the run, and may not be newer.
    """
    path = folder / "metrics.json"
    try:
        content = read_json(path)
        about = content["provenance"]
        if {"metrics", "results"}.isdisjoint(content):  # such as that of `hrdepth odometry`
            return False
        if "weights_sha256" in about:
            return bool(about["weights_sha256"] == file_sha256(weights))
        inside = weights.parent in (folder, folder.parent)
        return bool(inside and about["weights"] == weights.name and weights.stat().st_mtime <= path.stat().st_mtime)
    except (*MALFORMED, OSError):
        return False


def read_results(folder: Path) -> tuple[Evaluation | None, list[ResultSet]]:
    """Read a folder of results.

    Args:
        folder: with metrics.json and, where `hrdepth evaluate` wrote it, per_image.csv.

    Returns:
        The evaluation, where results of each image are there; and sets of rows that have means alone.

    Raises:
        InputError: there is no metrics.json, or a file is damaged.
    """
    path = folder / "metrics.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no metrics.json; name a folder that hrdepth evaluate --out wrote")
    try:
        content = read_json(path)
        if "results" in content:  # several sets with several rows each
            return None, [_several(name, rows) for name, rows in content["results"].items()]
        if (folder / "per_image.csv").is_file():
            return _evaluation(content, folder / "per_image.csv"), []
        title = f"{content['images']} images: {content['ground_truth']}"
        return None, [ResultSet(title, (ResultRow("this run", _metrics(content["metrics"])),))]
    except (*MALFORMED, OSError) as error:
        raise InputError(f"the results in {folder} are damaged ({error}); evaluate again") from error


def _several(name: str, rows: Mapping[str, Any]) -> ResultSet:
    found = tuple(ResultRow(row, _metrics(values)) for row, values in rows.items() if isinstance(values, dict))
    count = rows.get("images", rows.get("pictures"))  # as earlier versions called it
    return ResultSet(name if count is None else f"{count} images: {name}", found)


def _metrics(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(values[name]) for name in METRICS}


def _evaluation(content: Mapping[str, Any], per_image: Path) -> Evaluation:
    with per_image.open(encoding="utf-8", newline="") as stream:
        rows = tuple(
            ImageResult(_metrics(line), float(line["ratio"]), int(line["valid_pixels"]), line["name"])
            for line in csv.DictReader(stream)
        )
    if not rows:
        raise ValueError(f"{per_image.name} is empty")
    known = {one.name for one in fields(DepthProtocol)}
    protocol = DepthProtocol(**{name: value for name, value in content["protocol"].items() if name in known})
    failed = tuple(content.get("failed", {"names": ()})["names"])
    return Evaluation(rows, tuple(content["skipped"]["names"]), protocol, content["ground_truth"], failed=failed)
