"""`hrdepth evaluate`: a network, or predictions of another program, against measured depth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from hrdepth.config import DepthProtocol, EvaluateConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.evaluate import evaluate_disparities, evaluate_network, protocol_for
from hrdepth.evaluation.extras import Extras
from hrdepth.evaluation.results import Evaluation
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import output_folder
from hrdepth.io.provenance import provenance
from hrdepth.truth import GroundTruthSet, build_ground_truth, depth_protocol
from hrdepth.weights.find import locate_weights

__all__ = ["evaluate"]

Measure = Callable[[EvaluateConfig, Path, GroundTruthSet, DepthProtocol, Extras], Evaluation]


def evaluate(config: EvaluateConfig, measure: Measure | None = None) -> Evaluation:
    """Evaluate, print the table, and write metrics.json and per_image.csv into `config.out`, if given.

    Args:
        config: of the command.
        measure: evaluates a network elsewhere, such as on a cluster; None evaluates here.

    Raises:
        InputError: both weights and disparities are given, or neither with no bundled network, or as
            `evaluate_network` and `evaluate_disparities`.
    """
    if config.weights is not None and config.disparities is not None:
        raise InputError(
            "give either --weights, a network to evaluate, or --disparities, another program's predictions"
        )
    protocol = depth_protocol(config.data.kind, config.protocol)
    weights = locate_weights(config.weights) if config.disparities is None else None
    if config.out is not None:
        output_folder(config.out, overwrite=config.overwrite)
    if config.bootstrap < 0:
        raise InputError(f"bootstrap {config.bootstrap}: give the number of resamples, such as 1000, or 0 for none")
    ground_truths = build_ground_truth(config.data)
    parts: dict[str, Any] = {"align": config.align == "lsq", "edges": config.edges or "dense", "points": config.points}
    parts |= dict.fromkeys((*ground_truths.metrics, "near_edges"), True)
    extras = Extras(**parts, points_threshold=config.points_threshold)
    shared: dict[str, Any] = {"workers": config.workers, "processes": config.processes, "extras": extras}
    about: dict[str, Any]
    if weights is not None:
        predictor = Predictor.from_file(weights, **config.keywords())
        protocol = protocol_for(predictor.scale, protocol)
        focal = predictor.canonical_focal
        if measure is not None:
            evaluation = measure(config, weights, ground_truths, protocol, extras)
        else:
            evaluation = evaluate_network(
                predictor.scaled_disparity, ground_truths, protocol, canonical_focal=focal, **shared
            )
        about = {"weights": weights.name, "weights_sha256": predictor.source_sha256}
        about |= {"size": list(predictor.size), "canonical_focal": focal}
        about |= {"runtime": predictor.runtime, "precision": predictor.precision}
    else:
        assert config.disparities is not None
        evaluation = evaluate_disparities(config.disparities, ground_truths, protocol, progress=True, **shared)
        about = {"disparities": Path(config.disparities).name}
    written: list[Path] = []
    if config.out is not None:  # before anything is printed, which may fail
        written = evaluation.write(config.out, provenance(**about), overwrite=True, resamples=config.bootstrap)
    evaluation.table(config.bootstrap).show(config.format)
    more = evaluation.extras_table(config.bootstrap)
    if more is not None:
        if config.format != "text":
            print()  # else Markdown would join the second table with the first one's caption
        more.show(config.format)
    if config.format == "text":
        console = Console()
        if protocol.scaling == "median":
            console.print(
                f"median factor to metres {evaluation.ratio_median:.3f}, "
                f"standard deviation {evaluation.ratio_std:.3f} of it"
            )
        for path in written:
            console.print(str(path), markup=False)
    return evaluation
