"""Work for long: is memory flat?

    python tests/attacks/load.py --frames 10000 --steps 2000 --images 20000 --out load.json

Frames of a video are predicted, steps of a training are made, images are evaluated, all tiny. Memory is that which no
file backs, of the command and its children; its median over the second quarter of the time is compared with that over
the last one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

import fake_datasets  # noqa: E402
from attacks.commands import CORE, write_inputs  # noqa: E402
from attacks.forked import run  # noqa: E402
from attacks.kills import import_everything  # noqa: E402

SMALL = (32, 64)
GROWTH = 0.05  # of memory, up to which it counts as flat


def megabytes(process: int) -> float:
    """Return the memory of a process and its children that no file backs."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended
        return 0.0
    own = re.search(r"RssAnon:\s+(\d+)", status)
    return (float(own[1]) / 1000 if own else 0.0) + sum(megabytes(int(child)) for child in children)


def watch(arguments: list[str], folder: Path) -> dict[str, Any]:
    """Run a command; return its status, time, and memory over time."""
    samples: list[float] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.5):
            samples.append(megabytes(os.getpid()) - before)

    before = megabytes(os.getpid())
    thread, began = threading.Thread(target=sample), time.monotonic()
    thread.start()
    result = run(arguments, folder, seconds=3600 * 4)
    ended.set()
    thread.join()
    part = max(1, len(samples) // 4)
    second, last = np.median(samples[part : 2 * part] or [0]), np.median(samples[-part:] or [0])
    return {
        "status": result.status,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "processor_minutes": round(result.cpu / 60, 2),
        "megabytes_second_quarter": round(float(second), 1),
        "megabytes_last_quarter": round(float(last), 1),
        "megabytes_peak": round(max(samples, default=0.0), 1),
        "flat": bool(result.status == 0 and last <= second * (1 + GROWTH) + 2),
        **({"output": result.output[-1000:]} if result.status else {}),
    }


def predict(frames: int, folder: Path) -> dict[str, Any]:
    """Predict the frames of a video, smoothed, with a video of depth."""
    from hrdepth.io.video_writer import VideoWriter

    wide = fake_datasets.texture(3, SMALL, margin=SMALL[1])
    with VideoWriter(folder / "in" / "long.mp4", 25) as video:
        for number in range(frames):
            shift = number % SMALL[1]
            video.write(np.ascontiguousarray(wide[:, shift : shift + SMALL[1]]))
    line = f"predict ../in/long.mp4 {CORE} --out out --depth-video true --smooth exponential"
    return {"frames": frames, **watch(line.split(), _working(folder))}


def evaluate(images: int, folder: Path) -> dict[str, Any]:
    """Evaluate images, of which many are one file."""
    root = folder / "in" / "many"
    (root / "image").mkdir(parents=True)
    (root / "depth").mkdir()
    for number in range(min(images, 50)):
        fake_datasets.image(number % 20, number, SMALL).save(root / "image" / f"{number:06d}.png")
        depth = np.linspace(40, 4 + number, SMALL[0])[:, None].repeat(SMALL[1], axis=1)
        Image.fromarray((depth * 256).astype(np.uint16)).save(root / "depth" / f"{number:06d}.png")
    for number in range(50, images):
        for kind in ("image", "depth"):
            (root / kind / f"{number:06d}.png").hardlink_to(root / kind / f"{number % 50:06d}.png")
    line = f"evaluate {CORE} --data.kind folder --data.root ../in/many --protocol.crop none --out out"
    return {"images": images, **watch(line.split(), _working(folder))}


def train(steps: int, folder: Path) -> dict[str, Any]:
    """Train, with panels, validation and checkpoints."""
    batches = 3  # an epoch, of two samples each
    drives = fake_datasets.drive(folder / "in" / "small", frames=2 + 2 * batches)
    settings = (folder / "in" / "train.yaml").read_text().replace("in/drives", f"in/{drives.name}")
    (folder / "in" / "long.yaml").write_text(settings)
    line = (
        f"train --config ../in/long.yaml --output out --size [64,64] --epochs {-(-steps // batches)} --scan off "
        "--checkpoint_minutes 10 --log.panels_every_steps 200"
    )
    return {"steps": steps, **watch(line.split(), _working(folder))}


def _working(folder: Path) -> Path:
    (folder / "trial" / "out").mkdir(parents=True)
    return folder / "trial"


def main() -> int:
    """Run from the command line; the status says whether memory grew or a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="a JSON file for what was found")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    works: list[tuple[str, Callable[[int, Path], dict[str, Any]], int]] = [
        ("predict", predict, options.frames), ("evaluate", evaluate, options.images), ("train", train, options.steps),
    ]  # fmt: skip
    works = [work for work in works if work[2]]
    import_everything(core=not options.steps)
    for name, work, count in works:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_inputs(folder / "in", torch=name == "train")
            found[name] = work(count, folder)
        print(name, json.dumps(found[name]), flush=True)
    if options.out is not None:
        from hrdepth.io.files import write_json
        from hrdepth.io.provenance import provenance

        write_json(options.out, provenance(**found))
    return int(not all(row["flat"] for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
