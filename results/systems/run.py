"""Train the systems of `more.json` for some minutes each and evaluate them.

    python results/systems/run.py [NAME ...]

Run it from the root of the repository, with kitti-mini where the recipes expect it. Runs go to `runs/`; existing ones
are reused.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

from hrdepth.cli import main as hrdepth
from hrdepth.io.files import atomic_path
from hrdepth.io.provenance import provenance

MINI = "mini-systems"
BATCH_NORM = '{"batch_norm": true}'
# Recipe and further options.
RUNS: dict[str, list[str]] = {
    "monodepth2": [MINI, "--network.name", "monodepth2"],
    "sfmlearner network": [MINI, "--network.name", "sfmlearner"],
    "sfmlearner network with batch norm": [MINI, "--network.name", "sfmlearner", "--network.options", BATCH_NORM],
    "dualnets": [MINI, "--network.name", "dualnets"],
    "sfmlearner": ["mini-sfmlearner"],
    "vid2depth": ["mini-vid2depth"],
    "struct2depth": ["moving-struct2depth"],
    "struct2depth on kitti-mini": ["mini-struct2depth"],
}
# Vid2Depth is slow to learn more than a constant.
MINUTES = {"vid2depth": 20, "sfmlearner network with batch norm": 4, "sfmlearner": 3, "monodepth2": 5}
SINGLES = ["--data.kind", "folder", "--data.root", "../shared/kitti-mini/singles"]
BOARD = ["--data.kind", "drive", "--data.root", "runs/moving-board", "--data.split", "runs/moving-board/val.txt"]


def call(*arguments: str) -> None:
    """Run a command in this process; stop where it fails."""
    if status := hrdepth(arguments):
        sys.exit(status)


def abs_rel(weights: Path, data: list[str], out: Path) -> float:
    """Evaluate a weights file."""
    call("evaluate", "--weights", str(weights), *data, "--out", str(out), "--runtime", "pytorch",
         "--overwrite", "true")  # fmt: skip
    return float(json.loads((out / "metrics.json").read_text())["metrics"]["abs_rel"])


def logged(folder: Path, column: str) -> list[tuple[int, float]]:
    """Return the steps and values of a column of a run's log."""
    with (folder / "metrics.csv").open() as file:
        return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row.get(column)]


def training_loss(folder: Path) -> dict[str, float]:
    """Return the mean loss of the first and of the last fifth of a run's steps."""
    losses = [loss for _, loss in logged(folder, "train/loss")]
    fifth = max(1, len(losses) // 5)
    return {"first_fifth": sum(losses[:fifth]) / fifth, "last_fifth": sum(losses[-fifth:]) / fifth}


def run(name: str) -> dict[str, object]:
    """Train one system, and evaluate it untrained and trained."""
    config, *more = RUNS[name]
    folder = Path("runs") / f"system-{name.replace(' ', '-')}"
    untrained = Path(f"{folder}-untrained")
    data = BOARD if name == "struct2depth" else SINGLES
    common = ["--config", config, *more]
    minutes = MINUTES.get(name, 2)
    if not folder.exists():
        call("train", *common, "--max_minutes", str(minutes), "--output", str(folder), "--workers", "0",
             "--log.every_steps", "1")  # fmt: skip
    if not untrained.exists():
        call("train", *common, "--epochs", "1", "--max_minutes", "0.001", "--optimiser.learning_rate", "1e-12",
             "--output", str(untrained), "--workers", "0")  # fmt: skip
    return {
        "config": config,
        "settings": more,
        "minutes": minutes,
        "steps": logged(folder, "train/loss")[-1][0] + 1,
        "training_loss": training_loss(folder),
        "validation_loss": {
            "untrained": logged(untrained, "val/loss")[-1][1],
            "trained": logged(folder, "val/loss")[-1][1],
        },
        "abs_rel": {
            "untrained": abs_rel(untrained / "last.safetensors", data, untrained / "evaluation"),
            "trained": abs_rel(folder / "last.safetensors", data, folder / "evaluation"),
        },
        **provenance(seed=0),
    }


def main() -> None:
    """Run what is named, or all, and add it to more.json."""
    if not Path("runs/moving-board").is_dir():
        subprocess.run([sys.executable, "examples/moving_board.py", "runs/moving-board"], check=True)
    if not Path("runs/mini-objects").is_dir():
        objects = Path(__file__).with_name("objects.py")
        subprocess.run([sys.executable, str(objects), "../shared/kitti-mini", "runs/mini-objects"], check=True)
    file = Path(__file__).with_name("more.json")
    for name in sys.argv[1:] or RUNS:
        found = run(name)
        results = json.loads(file.read_text()) if file.is_file() else {}
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps({**results, name: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
