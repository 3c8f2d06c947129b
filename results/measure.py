"""How the numbers in a results folder were made: a run's weights against LiDAR, beside three baselines.

    python results/measure.py runs/mini-hrdepth results/mini-hrdepth --mini ../shared/kitti-mini
    python results/measure.py RUN OUT --mini ../shared/kitti-mini --sets singles    # for choosing between networks

Writes metrics.json, learning-curve.svg and a copy of the run's config and log.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.data.kitti import KittiOdometry, KittiRaw
from hrdepth.evaluation.evaluate import constant_depth_baseline, evaluate_network, mean_prediction_baseline
from hrdepth.evaluation.results import Evaluation, bootstrap_intervals, describe_protocol
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import write_json
from hrdepth.io.plotting import save, style
from hrdepth.io.provenance import provenance
from hrdepth.networks import build_network
from hrdepth.report.curves import learning_curves, read_log
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint

# Every so many training images enter the mean prediction.
MEAN_STEP = 5
BLOCKS = {"drive 0052": 5, "singles": 1}  # images
SETS = {
    "drive 0052": lambda mini: GroundTruthConfig(
        "kitti_lidar", str(mini / "raw"), str(mini / "splits" / "raw_test.txt")
    ),
    "singles": lambda mini: GroundTruthConfig("folder", str(mini / "singles")),
}


def main() -> None:
    """Measure one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--mini", type=Path, required=True, help="the folder kitti-mini")
    parser.add_argument("--weights", default="best.safetensors", help="which of the run's weights")
    parser.add_argument(
        "--sets", nargs="+", default=list(SETS), choices=SETS, help="drive 0052 is read for cards alone"
    )
    arguments = parser.parse_args()
    run, out, mini = arguments.run, arguments.out, arguments.mini

    checkpoint = read_checkpoint(run / arguments.weights)
    predictor = Predictor.from_file(run / arguments.weights)
    untrained = run / "untrained.safetensors"
    save_checkpoint(
        untrained, build_network(checkpoint.network_config), checkpoint.network_config, size=checkpoint.size
    )
    mean_disparity, images = mean_prediction(predictor, mini)
    with_mirror = Predictor.from_file(run / arguments.weights, flip=True)
    mean_with_mirror, _ = mean_prediction(with_mirror, mini)
    protocol = depth_protocol("kitti_lidar", DepthProtocol())
    rows, differences = {}, {}
    for name in arguments.sets:
        truths = build_ground_truth(SETS[name](mini))
        fixed = None
        if checkpoint.scale.metres_per_unit:
            fixed = replace(protocol, scaling=checkpoint.scale.metres_per_unit)
        found = {
            "network": evaluate_network(predictor.scaled_disparity, truths, protocol),
            **(
                {"network, its own metres": evaluate_network(predictor.scaled_disparity, truths, fixed)}
                if fixed
                else {}
            ),
            "mean training prediction": mean_prediction_baseline(mean_disparity, truths, protocol),
            "network, flip post-processing": evaluate_network(with_mirror.scaled_disparity, truths, protocol),
            "mean training prediction, flip post-processing": mean_prediction_baseline(
                mean_with_mirror, truths, protocol
            ),
            "constant depth": constant_depth_baseline(truths, protocol),
            "untrained network": evaluate_network(Predictor.from_file(untrained).scaled_disparity, truths, protocol),
        }
        rows[name] = {"images": len(truths), **{what: row.mean for what, row in found.items()}}
        differences[name] = {
            what: paired_difference(found["network"], found[what], BLOCKS[name])
            for what in ("mean training prediction", "constant depth", "untrained network")
        }
    out.mkdir(parents=True, exist_ok=True)
    curve = learning_curve(run, out)
    write_json(
        out / "metrics.json",
        {
            "results": rows,
            "network minus": differences,
            "protocol": describe_protocol(protocol),
            "mean_training_prediction": f"mean scaled disparity over {images} training images",
            "training": {**curve, **checkpoint.provenance},
            "run": json.loads((run / "run.json").read_text(encoding="utf-8")),
            "provenance": provenance(weights=arguments.weights),
        },
    )
    shutil.copy(run / "config.yaml", out / "config.yaml")
    shutil.copy(run / "metrics.csv", out / "training-log.csv")
    for name, row in rows.items():
        for what, mean in row.items():
            if isinstance(mean, dict):
                print(f"{name:12s} {what:46s}", " ".join(f"{value:.3f}" for value in mean.values()))
        for what, row in differences[name].items():
            print(f"{name:12s} network minus {what:32s}", row["abs_rel"], row["rmse"])


def paired_difference(network: Evaluation, other: Evaluation, block: int) -> dict[str, list[float]]:
    """Return by metric the mean difference, network minus other, and the ends of its 95 % interval.

    Frames that follow each other are alike, so that blocks of them are drawn, not frames.
    """
    metrics = list(network.mean)
    pairs = zip(network.rows, other.rows, strict=True)
    values = np.array([[ours.errors[key] - theirs.errors[key] for key in metrics] for ours, theirs in pairs])
    blocks = np.array([values[start : start + block].mean(0) for start in range(0, len(values), block)])
    intervals = bootstrap_intervals(blocks, 10_000)
    return {
        key: [round(float(number), 4) for number in (blocks[:, index].mean(), *intervals[index])]
        for index, key in enumerate(metrics)
    }


def mean_prediction(predictor: Predictor, mini: Path) -> tuple[np.ndarray, int]:
    """Average the scaled disparity over the training images."""
    readers = [
        KittiRaw(str(mini / "raw"), str(mini / "splits" / "raw_train.txt")),
        KittiOdometry(str(mini / "odometry"), str(mini / "splits" / "odometry_train.txt")),
    ]
    files = [reader.image(line, 0) for reader in readers for line in reader.targets[::MEAN_STEP]]
    total = sum(predictor.scaled_disparity(file).astype(np.float64) for file in files)
    return total / len(files), len(files)


def learning_curve(run: Path, out: Path) -> dict[str, float]:
    """Draw training and validation loss over steps; return speed and duration."""
    with style():
        save(learning_curves([run]), out, "learning-curve", ["svg"])
    return {
        "seconds_per_sample_median": float(1 / np.median(read_log(run, "samples_per_second")[1])),
        "minutes": float(read_log(run, "minutes")[1][-1]),
        "validation_loss_by_epoch": read_log(run, "val/loss")[1].tolist(),
    }


if __name__ == "__main__":
    main()
