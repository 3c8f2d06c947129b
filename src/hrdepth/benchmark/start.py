"""`hrdepth benchmark start`: processes from start to end, beside the time of importing NumPy and ONNX Runtime."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

from hrdepth.benchmark.measurement import Measurement, check_benchmark, interleave, report_results
from hrdepth.config import BenchmarkStartConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes import unavailable
from hrdepth.io.images import read_image
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

__all__ = ["benchmark_start"]

STREET = Path(__file__).parents[1] / "app" / "examples" / "street-1.jpg"
IMPORTS = "import numpy, PIL, onnxruntime"
OPENVINO = "predict, openvino"
LAUNCH = """
import os, sys, time
null = os.open(os.devnull, os.O_WRONLY)
silent = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
begin = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, code, used = os.wait4(process, 0)
seconds = time.perf_counter() - begin
print(os.waitstatus_to_exitcode(code), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""Starts a process from a small one: a system counts the memory of the process that starts another as the other's."""


def benchmark_start(config: BenchmarkStartConfig) -> list[Measurement]:
    """Measure processes one after the other, print a table and write JSON.

    Returns:
        Seconds of each, in the order of the table.

    Raises:
        InputError: settings that cannot work, or a process fails.
    """
    runtimes = config.runtimes or [name for name in ("onnxruntime", "openvino") if unavailable(name) is None]
    for name in runtimes:
        if reason := unavailable(name):
            raise InputError(f"the runtime '{name}' is not available: {reason}")
    check_benchmark(config, rounds=1, image_size=1)
    weights = locate_weights(config.weights).resolve()  # the processes run in another folder
    height, width = config.image_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = folder / "street.jpg"
        read_image(STREET).resize((width, height)).save(image, quality=95)
        commands = _commands(image, weights, runtimes, folder)
        runs = {what: partial(_measure, command, folder) for what, command in commands.items()}
        samples = interleave(runs, config.rounds, "rounds")
    if OPENVINO in samples:  # in its first run it compiles what it reads afterwards
        first, *others = samples.pop(OPENVINO)
        samples |= {f"{OPENVINO}, first run": [first], **({OPENVINO: others} if others else {})}
    measurements, rows = [], []
    for what, values in samples.items():
        wall, used, peak = zip(*values, strict=True)
        one = Measurement.of(what, wall, "s")
        measurements.append(one)
        rows.append((what, f"{one.median:.2f}", f"{one.spread:.2f}", f"{median(used):.2f}", f"{median(peak):.0f}",
                     str(one.samples)))  # fmt: skip
    table = ResultTable(
        ("process", "seconds", "spread", "processor seconds", "MiB", "runs"),
        tuple(rows),
        f"from start to end; an image of {width}x{height}, {weights.name}",
    )
    report_results(config, table, measurements=measurements, samples=samples)
    return measurements


def _commands(image: Path, weights: Path, runtimes: list[str], folder: Path) -> dict[str, list[str]]:
    hrdepth = [sys.executable, "-m", "hrdepth.cli"]
    predict = [*hrdepth, "predict", str(image), "--weights", str(weights), "--overwrite", "--device", "cpu"]
    found = {
        IMPORTS: [sys.executable, "-c", IMPORTS],
        "import hrdepth": [sys.executable, "-c", "import hrdepth"],
        "hrdepth --help": [*hrdepth, "--help"],
        "predict, an image that does not exist": [*hrdepth, "predict", str(folder / "none.jpg")],
    }
    for runtime in runtimes:
        found[f"predict, {runtime}"] = [*predict, "--runtime", runtime, "--out", str(folder / runtime)]
    return found


def _measure(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Run a command; return its seconds, processor seconds and peak of memory in MiB (NaN where unknown)."""
    environment = {**os.environ, "HRDEPTH_CACHE": str(folder / "cache")}
    if hasattr(os, "posix_spawn"):
        launched = [sys.executable, "-I", "-S", "-c", LAUNCH, *command]
        found = subprocess.run(launched, env=environment, cwd=folder, stdout=subprocess.PIPE, check=True).stdout
        status, seconds, used, peak = map(float, found.split())
        peak /= 2**20 if sys.platform == "darwin" else 2**10
    else:
        begin = time.perf_counter()
        status = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False).returncode
        seconds, used, peak = time.perf_counter() - begin, float("nan"), float("nan")
    if status not in (0, 2) or (status == 2 and "none.jpg" not in command[-1]):
        raise InputError(f"{' '.join(command[2:5])} ended with status {status:g}; run it by hand to see why")
    return seconds, used, peak
