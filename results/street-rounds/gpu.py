r"""Train a round on a machine with a GPU that sees nothing but one folder, for minutes.

    python results/street-rounds/gpu.py pack street-round-4 runs/street-round-3/last.safetensors --out gpu-round
    python results/street-rounds/gpu.py train gpu-round --minutes 5 --out DIRECTORY     # there

`pack` writes frames of the recipe's data sets, spread over all of them, into a folder of a given size, with their depth
(16-bit PNG) where it is rendered, and a weights file that is both the start and the teacher. `train` needs that folder
and this package, and writes the weights, float16, and the log; a training here can start from them (`--init`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import yaml

from hrdepth.config import DatasetConfig
from hrdepth.config.setting_files import find_config, read_train_config
from hrdepth.data import build_reader
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.io.images import read_image, write_depth_png
from hrdepth.weights.find import locate_weights

WEIGHTS = "start.safetensors"
RENDERED_QUEUES = 4


def pack(recipe: str, weights: str, out: Path, megabytes: float) -> None:
    """Write the folder: DRIVES/left, depth and camera.yaml, below `rendered` and `real`."""
    config = read_train_config(Path(find_config(recipe)))
    out.mkdir(parents=True)
    shutil.copy(locate_weights(weights), out / WEIGHTS)
    queues = list(chain(*(spread(part) for part in config.train)))
    written = (out / WEIGHTS).stat().st_size
    for number, (reader, line) in enumerate(found for found in chain(*zip_longest(*queues)) if found):
        written += write(reader, line, out, number)
        if written > megabytes * 1e6:
            break
    settings = {
        "size": list(config.size),
        "sizes": [list(size) for size in config.sizes or []],
        "network": {"name": config.network.name, "options": config.network.options},
        "canonical_focal": config.canonical_focal,
        "metres_per_unit": config.metres_per_unit,
    }
    (out / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    print(f"{out}: {number + 1} frames, {written / 1e6:.0f} MB")


def spread(part: DatasetConfig) -> list[list[tuple[FrameReader, SplitLine]]]:
    """Return a data set's frames, shuffled, in one queue; in several with depth, so that half of all frames have it."""
    reader = build_reader(part)
    order = np.random.default_rng(0).permutation(len(reader.targets))
    frames = [(reader, reader.targets[index]) for index in order]
    queues = RENDERED_QUEUES if reader.has_depth() else 1
    return [frames[first::queues] for first in range(queues)]


def write(reader: FrameReader, line: SplitLine, out: Path, number: int) -> int:
    """Write one frame as a drive of its own; return the bytes."""
    depth, path = reader.depth(line), reader.image(line, 0)
    assert path is not None
    image, camera = read_image(path), reader.camera(line)
    drive = out / ("real" if depth is None else "rendered") / f"frame_{number:05d}"
    (drive / "left").mkdir(parents=True)
    image.save(drive / "left" / "000000.jpg", quality=92)
    scale = np.array([image.width / camera.size[1], image.height / camera.size[0]])
    (fx, cx), (fy, cy) = (np.asarray(camera.intrinsics)[axis, [axis, 2]] * scale[axis] for axis in (0, 1))
    entries = {"width": image.width, "height": image.height, "fx": fx, "fy": fy, "cx": cx, "cy": cy}
    (drive / "camera.yaml").write_text("".join(f"{key}: {float(value):g}\n" for key, value in entries.items()))
    if depth is not None:
        (drive / "depth").mkdir()
        write_depth_png(drive / "depth" / "000000.png", np.where(np.isfinite(depth), depth, 0))
        (drive / "manifest.json").write_text('{"render": {}}')
    return sum(file.stat().st_size for file in drive.rglob("*") if file.is_file())


def train(folder: Path, out: Path, minutes: float, batch_size: int, workers: int) -> None:
    """Train from the folder, and write weights and log into `out`."""
    given = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
    teacher = {"teacher": str(folder / WEIGHTS), "teacher_aspect": True, "teacher_mirrored": True}
    learnt = {"norm": "log-l1", "scales": [0], "block": 16}
    run = Path("runs") / "gpu-round"
    parts = [{"dataset": "folder", "root": str(folder / name), "options": {"every_frame": True}, "weight": 4}
             for name in ("rendered", "real")]  # fmt: skip
    config = given | {
        "output": str(run), "init": str(folder / WEIGHTS), "train": parts,
        "validation": [parts[0] | {"weight": 1}],
        "objective": {"name": "supervised", "frames": [], "options": {
            "scale": 0.05, "sky": 0.4, "other_weight": 2.0,
            "other": {"name": "distillation", "options": teacher | learnt}}},
        "augment": {"zoom": 1.35, "crop": True, "jitter": 0.8, "grey": 0.15, "blur": 0.1, "noise": 0.02},
        "batch_size": batch_size, "epochs": 8, "max_minutes": minutes, "precision": "bf16-mixed", "average": 0.99,
        "channels_last": True, "workers": workers,
        "optimiser": {"learning_rate": 4.0e-4, "schedule": "cosine", "warmup_steps": 50, "weight_decay": 0.01,
                      "gradient_clip": 10},
    }  # fmt: skip
    Path("gpu-round.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    program = [sys.executable, "-m", "hrdepth.cli"]
    subprocess.run([*program, "train", "--config", "gpu-round.yaml"], check=True)
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*program, "pack", str(run / "last.safetensors"), "--out", str(out / "last.safetensors")], check=True
    )
    shutil.copy(run / "metrics.csv", out)


def main() -> None:
    """Pack or train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("recipe")
    packing.add_argument("weights")
    packing.add_argument("--megabytes", type=float, default=55)
    training = commands.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("--minutes", type=float, default=5)
    training.add_argument("--batch-size", type=int, default=16)
    training.add_argument("--workers", type=int, default=12)
    for command in (packing, training):
        command.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "pack":
        pack(given.recipe, given.weights, given.out, given.megabytes)
    else:
        train(given.folder, given.out, given.minutes, given.batch_size, given.workers)


if __name__ == "__main__":
    main()
