"""`hrdepth compare`: all figures of some networks on some images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from hrdepth.config import CompareConfig
from hrdepth.data.sample import image_tensor
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import output_folder, write_json
from hrdepth.io.plotting import save, style
from hrdepth.io.provenance import provenance
from hrdepth.report.comparison import error_by_distance, error_histogram, side_by_side
from hrdepth.report.curves import learning_curves
from hrdepth.report.features import draw_features, first_level_maps
from hrdepth.report.samples import Sample, predict_sample
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.weights.checkpoint import load_network

__all__ = ["compare"]


def compare(config: CompareConfig) -> list[Path]:
    """Write comparison.*, distance.*, histogram.*, features.*, curves.* and compare.json; return the files.

    Raises:
        InputError: no weights, labels that do not fit, images that are not there, or what reading them raises.
    """
    labels = _labels(config.weights, config.labels)
    truths = build_ground_truth(config.data)
    chosen = _chosen(config, len(truths))
    predictors = {
        name: Predictor.from_file(path, device=config.device) for name, path in zip(labels, config.weights, strict=True)
    }
    folder = output_folder(config.out, overwrite=config.overwrite)
    rows: dict[str, list[Sample]] = {}
    protocol = depth_protocol(config.data.kind, config.protocol)
    for name, predictor in predictors.items():
        bar = track(chosen, name, console=Console(stderr=True))
        rows[name] = [predict_sample(predictor, truths[at], protocol) for at in bar]
    written = []
    with style():
        figures = {
            "comparison": side_by_side(rows),
            "distance": error_by_distance(rows),
            "histogram": error_histogram(rows),
        }
        if config.features and (maps := _features(predictors, config.weights, rows)):
            figures["features"] = draw_features(rows[labels[0]][0].image, maps)
        if config.runs:
            runs = [config.runs] if isinstance(config.runs, str) else config.runs
            figures["curves"] = learning_curves(runs)
        for name, figure in figures.items():
            written += save(figure, folder, name, config.formats, config.dpi)
    result = {
        "pictures": {name: {sample.name: sample.errors for sample in samples} for name, samples in rows.items()},
        "data": truths.description,
        "provenance": provenance(weights=[Path(path).name for path in config.weights]),
    }
    write_json(folder / "compare.json", result)
    return [*written, folder / "compare.json"]


def _features(
    predictors: dict[str, Predictor], weights: Sequence[str], rows: dict[str, list[Sample]]
) -> dict[str, dict[str, np.ndarray]]:
    """Return the maps of the networks that have a fusion at the first level."""
    maps = {}
    for (name, predictor), path in zip(predictors.items(), weights, strict=True):
        batch = image_tensor(Image.fromarray(rows[name][0].image), predictor.size)[None]  # (1,3,H,W)
        try:
            maps[name] = first_level_maps(load_network(path), batch)
        except InputError as error:
            Console(stderr=True).print(f"left out of the feature maps: {error}")
    return maps


def _labels(weights: Sequence[str], labels: Sequence[str] | None) -> list[str]:
    if not weights:
        raise InputError("give at least one weights file to compare")
    if labels is not None and len(labels) != len(weights):
        raise InputError(f"{len(labels)} labels for {len(weights)} weights files; give one each")
    found = list(labels) if labels is not None else [Path(path).stem for path in weights]
    if labels is None and len(set(found)) < len(found):
        found = [f"{Path(path).parent.name}/{Path(path).stem}" for path in weights]
    if len(set(found)) < len(found):
        raise InputError("two networks have the same name; give --labels")
    return found


def _chosen(config: CompareConfig, length: int) -> list[int]:
    if config.images is None:
        return sorted({round(at) for at in np.linspace(0, length - 1, min(config.count, length))})
    wrong = [at for at in config.images if not 0 <= at < length]
    if wrong or not config.images:
        raise InputError(f"images {wrong}: the data has those from 0 to {length - 1}")
    return config.images
