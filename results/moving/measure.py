"""Compare the remedies for a car ahead at the camera's speed.

    hrdepth render moving/with --frames 120 --size [64,192] --seed 1 --stereo false --car-ahead 9
    hrdepth render moving/without --frames 120 --size [64,192] --seed 1 --stereo false
    python results/moving/measure.py moving results/moving

The drives are the same except for the car. A pose network is first trained on the drive without the car, with the
bundled depth network frozen. Both are then fine-tuned with each objective and evaluated on the car and on the other
pixels: share of holes, mean absolute relative error of depth (median scaling outside the car), and ratio of the car's
predicted to its true distance. The teacher was trained on the drive without the car. Writes metrics.json after each;
resumes when called again. Takes an hour on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hrdepth.config import DatasetConfig, LogConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from hrdepth.data import build_mix
from hrdepth.geometry import disparity_to_depth
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance
from hrdepth.training import train
from hrdepth.training.holes import find_holes
from hrdepth.weights.checkpoint import load_network, read_checkpoint
from hrdepth.weights.find import locate_weights

VARIANTS = {
    "no car": ("without", {"auto_mask": True}),
    "no auto-mask": ("with", {"auto_mask": False}),
    "auto-mask": ("with", {"auto_mask": True}),
    "auto-mask and consistency": ("with", {"auto_mask": True, "consistency": 0.5}),
    "auto-mask and teacher": ("with", {"self_supervision": 1.0, "weight": 1.0}),
}


def main() -> None:
    """Train and evaluate each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", type=Path, help="the folder of both drives")
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", default="street", help="the weights that every variant starts from")
    parser.add_argument("--pose-epochs", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--precision", default="32-true", help="bf16-mixed where the processor has AMX, or on a GPU")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = with_pose(arguments)
    results = {"before": judge(start, arguments.drives, build_size(arguments.drives / "with"))}
    about = {name: getattr(arguments, name) for name in ("start", "pose_epochs", "epochs", "precision")}
    for name in arguments.variants:
        root, options = VARIANTS[name]
        config = settings(start, arguments.drives / root, name, options, arguments)
        results[name] = judge(trained(config), arguments.drives, config.size)
        print(name, results[name], flush=True)
        # After each, so that an interrupted run leaves its results.
        record = {"variants": results, **about, "provenance": provenance(seed=0)}
        write_json(arguments.out / "metrics.json", record)


def with_pose(arguments: argparse.Namespace) -> Path:
    """Train a pose network for the bundled network, unless it is there already."""
    root, options = VARIANTS["no car"]
    config = settings(locate_weights(arguments.start), arguments.drives / root, "pose", options, arguments)
    return trained(replace(config, epochs=arguments.pose_epochs, freeze_depth_steps=10**6))


def trained(config: TrainConfig) -> Path:
    """Train, or resume a training."""
    started = (Path(config.output) / "last.ckpt").is_file()
    return train(replace(config, resume="last") if started else config)


def settings(
    start: Path, root: Path, name: str, options: dict[str, object], arguments: argparse.Namespace
) -> TrainConfig:
    """Return the settings of a variant's run."""
    part = DatasetConfig("folder", str(root))
    objective = ObjectiveConfig(options={**options, "compile": True})
    if "self_supervision" in options:
        teacher = arguments.drives / "runs" / "no-car" / "best.safetensors"
        objective = ObjectiveConfig(
            "distillation", options={**options, "view_synthesis": {"compile": True}, "teacher": str(teacher)}
        )
    found = read_checkpoint(start)
    return TrainConfig(
        train=[part],
        validation=[part],
        output=str(arguments.drives / "runs" / name.replace(" ", "-")),
        network=found.network_config,
        init=str(start),
        canonical_focal=found.scale.canonical_focal,
        objective=objective,
        optimiser=OptimiserConfig(2e-4, schedule="cosine", warmup_steps=20),
        log=LogConfig(panels_every_steps=0),
        size=build_size(root),
        batch_size=6,
        epochs=arguments.epochs,
        precision=arguments.precision,
        workers=0,
    )


def build_size(root: Path) -> tuple[int, int]:
    """Return (height, width) of the drive's images."""
    depth = np.load(next(root.glob("*/depth/*.npy")))
    return depth.shape[0], depth.shape[1]


def judge(weights: Path, drives: Path, size: tuple[int, int]) -> dict[str, float]:
    """Evaluate every fourth frame of the drive with the car."""
    network = load_network(weights).eval()
    mix = build_mix([DatasetConfig("folder", str(drives / "with"))], [], size)
    counts: dict[str, list[float]] = {
        "holes_car": [],
        "holes_elsewhere": [],
        "abs_rel_car": [],
        "abs_rel_elsewhere": [],
        "distance_car": [],
    }
    for item in range(0, len(mix), 4):
        line = mix.datasets[0].reader.targets[item]
        true, bare = (
            np.load(drives / part / line.folder / "depth" / f"{line.frame:06d}.npy") for part in ("with", "without")
        )
        with torch.no_grad():
            disparity = network(mix[item]["target"][None])[0]
            depth = disparity_to_depth(disparity, network.min_depth, network.max_depth)
            holes = find_holes(depth)[0, 0].numpy()
        car, known = true != bare, (true > 0) & (true < 80)
        on_car, off_car = car & known, ~car & known
        predicted = depth[0, 0].numpy()
        metres = np.clip(predicted * np.median(true[off_car] / predicted[off_car]), 0.001, 80)
        ratio = metres / np.maximum(true, 1e-3)
        for key, values in {
            "holes_car": holes[on_car], "holes_elsewhere": holes[off_car], "distance_car": ratio[on_car],
            "abs_rel_car": np.abs(ratio - 1)[on_car], "abs_rel_elsewhere": np.abs(ratio - 1)[off_car],
        }.items():  # fmt: skip
            counts[key].append(float(values.mean()))
    return {key: round(float(np.mean(values)), 4) for key, values in counts.items()}


if __name__ == "__main__":
    main()
