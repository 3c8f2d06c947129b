"""`hrdepth report`: a training on one self-contained page; `hrdepth compare`: figures of several networks.

run       a run's folder in words
results   true depth, and metrics with intervals, beside the paper's row
frames    an image with truth and prediction; best, median and worst frame
curves    learning curves and errors
features  feature maps (paper, Figure 5)
compare   `hrdepth compare`
render    images and points as text, and the template
page/     template, style and viewer
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hrdepth.config import DepthProtocol, ReportConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.evaluate import evaluate_network, protocol_for
from hrdepth.evaluation.results import Evaluation
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes.source import SUFFIXES
from hrdepth.io.files import file_sha256, output_file, write_text
from hrdepth.io.provenance import provenance
from hrdepth.paper import corresponding_row
from hrdepth.report.curves import curves_chart, frames_chart
from hrdepth.report.frames import Shown, chosen_frames, plain_frames
from hrdepth.report.render import data_url, render_page
from hrdepth.report.run_metrics import ResultSet, are_results_of, find_truth, read_results, result_set
from hrdepth.report.run_summary import RunFolder
from hrdepth.truth import GroundTruthSet, depth_protocol

__all__ = ["report"]

log = logging.getLogger(__name__)


def report(config: ReportConfig, beside: Mapping[str, Evaluation] | None = None) -> Path:
    """Write the page and return its path.

    Args:
        config: which run, and what to show of it.
        beside: other evaluations on the same frames, such as a constant depth, for rows of their own.

    Raises:
        InputError: jinja2 is missing, the folder is no run's, its weights are missing or damaged, the data cannot be
            read, or the page exists and `overwrite` is false.
    """
    run = RunFolder.read(config.run)
    page = output_file(config.out or run.folder / "report.html", overwrite=config.overwrite)
    if config.bootstrap < 0 or config.points < 1:
        raise InputError(f"bootstrap {config.bootstrap} and points {config.points} must be numbers from 0 and from 1")
    weights = run.weights(config.weights)
    truths, about_data = find_truth(config.data, run.settings)
    given = None if config.results is None else read_results(Path(config.results))
    predictor = Predictor.from_file(weights, device=config.device, trust=config.trust)  # takes longer than the others
    evaluation, results = given or _evaluated(config, run, weights, predictor, truths)
    if evaluation is not None:
        results.insert(0, result_set(evaluation, config.bootstrap, beside or {}))
    frames = _frames(predictor, truths, evaluation, run)
    parts: dict[str, Any] = {
        "run": run,
        "weights": {"name": weights.name, "sha256": file_sha256(weights), "parameters": _parameters(weights)},
        "settings": yaml.safe_dump(run.shown_settings, sort_keys=False, allow_unicode=True),
        "results": results,
        "paper": corresponding_row(run.settings),
        "truth": about_data,
        "frames": frames,
        "cloud": next((shown.cloud(config.points) for shown in frames if shown.label in ("median", "image 2")), None),
        "curves": curves_chart(run.folder),
        "spread": frames_chart(evaluation, frames) if evaluation is not None else None,
        "panels": [(path.stem.lstrip("0") or "0", data_url(path)) for path in run.panels],
        "about": provenance(),
    }
    write_text(page, render_page(**parts))
    return page


def _evaluated(
    config: ReportConfig, run: RunFolder, weights: Path, predictor: Predictor, truths: GroundTruthSet | None
) -> tuple[Evaluation | None, list[ResultSet]]:
    """Return results per image, found in the run or measured, and other results of the run."""
    if config.data is None and config.protocol == DepthProtocol():  # else other numbers are wanted
        for folder in run.result_folders:
            if not are_results_of(folder, weights):
                log.warning("results in %s may not be of %s and are left out; --results shows them", folder, weights)
                continue
            evaluation, others = read_results(folder)
            if evaluation is not None or others:
                return evaluation, others
    if truths is None:
        return None, []
    kind = "drive" if config.data is None else config.data.kind  # what is found by itself is compared as KITTI is
    protocol = protocol_for(predictor.scale, depth_protocol(kind, config.protocol))
    focal = predictor.canonical_focal
    return evaluate_network(predictor.scaled_disparity, truths, protocol, canonical_focal=focal), []


def _frames(
    predictor: Predictor, truths: GroundTruthSet | None, evaluation: Evaluation | None, run: RunFolder
) -> list[Shown]:
    if truths is not None and evaluation is not None:
        shown = chosen_frames(predictor, truths, evaluation)
        if shown:
            return shown
    return plain_frames(predictor, run.validation)


def _parameters(weights: Path) -> int | None:
    """Return the number of a network's parameters; None for an exported file, which does not state it."""
    if weights.suffix in SUFFIXES:
        return None
    from hrdepth.weights.checkpoint import read_checkpoint

    return sum(parameter.numel() for parameter in read_checkpoint(weights).network.parameters())
