"""`hrdepth evaluate`: a network, or predictions made elsewhere, against measured depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from hrdepth.config import EvaluateConfig
from hrdepth.data.ground_truth import build_ground_truth
from hrdepth.errors import InputError
from hrdepth.evaluation.results import Evaluation
from hrdepth.evaluation.run import evaluate_disparities, evaluate_network
from hrdepth.files import output_folder
from hrdepth.predictor import Predictor
from hrdepth.provenance import provenance

__all__ = ["evaluate"]


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Evaluate, print the table, and write metrics.json and per_image.csv where `config.out` says so.

    Raises:
        InputError: neither or both of weights and disparities are given, or as `evaluate_network` and
            `evaluate_disparities`.
    """
    if (config.weights is None) == (config.disparities is None):
        raise InputError("give either --weights, a network to evaluate, or --disparities, predictions made elsewhere")
    if config.out is not None:
        output_folder(config.out, overwrite=config.overwrite)
    ground_truths = build_ground_truth(config.data)
    about: dict[str, Any]
    if config.weights is not None:
        predictor = Predictor.from_file(config.weights, size=config.size, device=config.device)
        focal = predictor.canonical_focal
        evaluation = evaluate_network(predictor.scaled_disparity, ground_truths, config.protocol, canonical_focal=focal)
        about = {"weights": Path(config.weights).name, "size": list(predictor.size), "canonical_focal": focal}
    else:
        assert config.disparities is not None
        evaluation = evaluate_disparities(config.disparities, ground_truths, config.protocol, progress=True)
        about = {"disparities": Path(config.disparities).name}
    console = Console()
    console.print(evaluation.table())
    if config.protocol.scaling == "median":
        console.print(
            f"median factor to metres {evaluation.ratio_median:.3f}, "
            f"standard deviation {evaluation.ratio_std:.3f} of it"
        )
    if config.out is not None:
        for path in evaluation.write(config.out, provenance(**about), overwrite=True):
            console.print(str(path))
    return evaluation
