"""Compare another version's latency and throughput with this one's: interleaved processes, the same weights and images.

    python results/benchmarks/before_after.py ../before/src --images ../shared/kitti-mini/raw --out before-after.md

Latency: median milliseconds from an image in memory to its depth, once the first ten are predicted. Throughput:
`hrdepth predict` of a folder, the whole process. Every image goes to the network at 640x192 in both versions.
Measure on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from hrdepth.benchmark.report import machine
from hrdepth.io.provenance import provenance_lines
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

LATENCY = """
import os, statistics, sys, time
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as `hrdepth predict` sets it
import numpy as np
from PIL import Image
from hrdepth import Predictor

weights, runtime, *names = sys.argv[1:]
predict = Predictor.from_file(weights, size=(192, 640), device="cpu", runtime=runtime)
images = [np.array(Image.open(name).convert("RGB")) for name in names]
taken = []
for index in range(50):
    begin = time.perf_counter()
    predict(images[index % len(images)]).depth
    taken.append(time.perf_counter() - begin)
print(1e3 * statistics.median(taken[10:]))
"""
PREDICT = "import sys; from hrdepth.cli import main; sys.exit(main(sys.argv[1:]))"
RUNTIMES = ("onnxruntime", "openvino", "pytorch")


def main() -> None:
    """Measure both versions and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the src folder of the other version")
    parser.add_argument("--images", type=Path, required=True, help="a folder that holds images, at any depth")
    parser.add_argument("--count", type=int, default=40, help="images of the folder to predict")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a Markdown file")
    arguments = parser.parse_args()
    versions = {"before": arguments.before.resolve(), "now": Path(__file__).parents[2] / "src"}
    weights = str(locate_weights("street"))
    found: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        for index, image in enumerate(sorted(arguments.images.rglob("*.jpg"))[: arguments.count]):
            shutil.copyfile(image, folder / f"{index:04d}.jpg")
        images = [str(path) for path in sorted(folder.iterdir())[:4]]
        for number in range(arguments.rounds):
            for runtime in RUNTIMES:
                for version, source in versions.items():
                    print(f"round {number + 1} of {arguments.rounds}: {runtime}, {version}", flush=True)
                    latency = float(_run(source, "-c", LATENCY, weights, runtime, *images))
                    options = ["--runtime", runtime, "--size", "[192, 640]", "--device", "cpu", "--weights", weights]
                    out = Path(name) / f"{version}-{runtime}-{number}"
                    begin = time.perf_counter()
                    _run(source, "-c", PREDICT, "predict", str(folder), "--out", str(out), *options)
                    seconds = time.perf_counter() - begin
                    found.setdefault((version, runtime, "latency"), []).append(latency)
                    found.setdefault((version, runtime, "folder"), []).append(seconds)
    rows = []
    for what, unit in (("latency", "ms"), ("folder", "s")):
        for runtime in RUNTIMES:
            pairs = [found[version, runtime, what] for version in versions]
            ratio = median(now / before for before, now in zip(*pairs, strict=True))
            values = (f"{median(values):.4g} ({min(values):.4g} to {max(values):.4g})" for values in pairs)
            rows.append((f"{what}, {runtime}, {unit}", *values, f"{ratio:.2f}"))
    title = f"street at 640x192; folder: {arguments.count} images from start to end; {arguments.rounds} rounds"
    table = ResultTable(("measured", "before", "now", "now / before"), tuple(rows), title)
    table.show("markdown")
    if arguments.out is not None:
        processor = f"processor: {machine()['processor']}, {os.cpu_count()} cores"
        table.write(arguments.out, comment=[*provenance_lines(), processor])


def _run(source: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
