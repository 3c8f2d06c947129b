"""The whole workflow on a synthetic street: render, predict, train, evaluate, report.

Run by `make demo`. Writes demo/report.html.
"""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from hrdepth.config import DepthProtocol, GroundTruthConfig, ReportConfig
from hrdepth.config.setting_files import find_config, read_train_config
from hrdepth.errors import InputError
from hrdepth.evaluation import Evaluation
from hrdepth.evaluation.evaluate import constant_depth_baseline, evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.io.images import read_image
from hrdepth.io.visualize import colorize_disparity, side_by_side
from hrdepth.networks import build_network
from hrdepth.report import report
from hrdepth.synthetic import render_drive
from hrdepth.training import train
from hrdepth.truth import GroundTruth, GroundTruthSet, build_ground_truth
from hrdepth.weights.checkpoint import save_checkpoint
from hrdepth.weights.find import bundled

FRAMES, VALIDATION, SEED = 110, 20, 3


def main() -> None:
    """Run the demo from end to end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, help="train for so long; the config's by default")
    minutes = arguments.parse_args().minutes
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = read_train_config(Path(find_config("demo")))
    if minutes is not None:
        config = replace(config, max_minutes=minutes)
    drive = Path(config.train[0].root)

    print(f"1/5 rendering {FRAMES} stereo frames of a synthetic street into {drive}")
    try:
        render_drive(drive, frames=FRAMES, size=config.size, seed=SEED, validation=VALIDATION)
    except InputError as error:
        sys.exit(f"{error}; or remove {drive}")

    print("2/5 predicting with the bundled network, which was not trained on this street")
    data = GroundTruthConfig("drive", root=str(drive), split=str(drive / "val.txt"))
    truths = build_ground_truth(data)
    protocol = DepthProtocol(crop="none")
    supplied = Predictor.from_pretrained() if bundled() else None
    rows: dict[str, Evaluation] = {}
    if supplied is None:
        print("  this installation comes without weights; the next steps train some")
    else:
        rows["bundled network"] = evaluate_network(supplied.scaled_disparity, truths, protocol)
        print_errors(rows)
        draw_frames(drive.parent / "bundled.png", {"bundled network": supplied}, truths)

    print(f"3/5 training {config.network.name} for at most {config.max_minutes:g} minutes")
    clear_run(Path(config.output))
    weights = train(config)

    print("4/5 evaluating against exact depth on frames that were not trained on")
    untrained = Path(config.output) / "untrained.safetensors"
    save_checkpoint(untrained, build_network(config.network), config.network, size=config.size)
    trained = Predictor.from_file(weights)
    rows |= {
        "trained here": evaluate_network(trained.scaled_disparity, truths, protocol),
        "trained here, its own metres": evaluate_network(
            trained.scaled_disparity, truths, DepthProtocol(crop="none", scaling=config.metres_per_unit or "median")
        ),
        "untrained network": evaluate_network(Predictor.from_file(untrained).scaled_disparity, truths, protocol),
        "constant depth": constant_depth_baseline(truths, protocol),
    }
    print_errors(rows)
    networks = {"trained here": trained} | ({"bundled network": supplied} if supplied else {})
    draw_frames(drive.parent / "trained.png", networks, truths)

    print("5/5 writing demo/report.html")
    page = drive.parent / "report.html"
    settings = ReportConfig(config.output, out=str(page), data=data, protocol=protocol, overwrite=True)
    report(settings, beside={name: row for name, row in rows.items() if name != "trained here"})
    print(f"done: open {page}; the weights are {weights}")
    abs_rel = {name: row.mean["abs_rel"] for name, row in rows.items()}
    if abs_rel["trained here"] > 0.8 * min(abs_rel["untrained network"], abs_rel["constant depth"]):
        sys.exit("the trained network does not clearly beat the untrained one and a constant depth: train longer")


def clear_run(run: Path) -> None:
    """Remove the demo's own earlier run, file by file."""
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def print_errors(rows: dict[str, Evaluation]) -> None:
    """Print Abs Rel and the share of pixels within a factor of 1.25."""
    for name, evaluation in rows.items():
        print(f"  {name:28s} Abs Rel {evaluation.mean['abs_rel']:.3f}   δ<1.25 {evaluation.mean['delta1']:.3f}")


def draw_frames(path: Path, predictors: dict[str, Predictor], truths: GroundTruthSet) -> None:
    """Draw three frames below each other."""
    frames = list(truths)
    Image.fromarray(
        np.concatenate([panel(predictors, frame) for frame in frames[len(frames) // 6 :: len(frames) // 3]])
    ).save(path)
    print(f"  look at {path}")


def panel(predictors: dict[str, Predictor], truth: GroundTruth) -> np.ndarray:
    """Image, predicted and exact disparity side by side, in one colour range."""
    assert truth.image is not None  # a drive has its images
    depth = truth.depth
    exact = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    high = float(np.percentile(exact, 95))
    views = [np.array(read_image(truth.image))]
    for predictor in predictors.values():
        disparity = predictor(truth.image).scaled_disparity
        scaled = disparity * np.median(exact[depth > 0] / disparity[depth > 0])
        views.append(colorize_disparity(scaled, 0, high))
    views.append(colorize_disparity(exact, 0, high))
    return side_by_side(views, ["image", *predictors, "exact"])


if __name__ == "__main__":
    main()
