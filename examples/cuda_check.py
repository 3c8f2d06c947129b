"""The steps of cuda_check.sh: commands whose end, time and output are recorded; one that fails ends no other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hrdepth.benchmark.workloads import made_drive
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance

BUDGET = 460.0
"""Seconds in all: what is left for a step is what the ones before it did not take."""
TRAINING = 300.0
BESIDE = 75.0
"""Seconds beside the training: what it needs to start and end, the labels and the prediction."""


def steps(dry: bool, data: Path, out: Path, training: float = TRAINING) -> dict[str, tuple[float, list[str]]]:
    """Return each step's name, most seconds, and arguments of Python; `training` is how many seconds it trains."""
    device, hrdepth = "cpu" if dry else "cuda", ["-m", "hrdepth.cli"]
    runtimes = (
        ["pytorch:float32"] if dry else ["pytorch:float32", "pytorch:bfloat16", "tensorrt:float32", "tensorrt:bfloat16"]
    )
    size, batch = ([64, 96], 2) if dry else ([192, 640], 12)
    quick = ["--rounds", "1"] if dry else ["--rounds", "3"]
    small = ["--network.name", "lite_hrdepth", "--pose_network.name", "posecnn"] if dry else []
    train = ["train", "--data", str(data), "--output", str(out / "run"), "--device", device, "--size", json.dumps(size),
             "--batch-size", str(batch), "--workers", "1" if dry else "8", "--max-minutes",
             f"{(1 if dry else training) / 60:.3f}"]  # fmt: skip
    train += [] if dry else ["--precision", "bf16-mixed", "--channels-last", "true"]
    marked = ["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-m", "cuda", "tests/contracts/test_cuda.py",
              "tests/training/test_train.py"]  # fmt: skip
    if find_spec("xdist") is None:
        marked.remove("-n0")
    return {
        "tests": (90, marked),
        "benchmark train": (60, [*hrdepth, "benchmark", "train", "--device", device, "--sizes", json.dumps([size]),
                                 "--batch-sizes", json.dumps([batch]), *quick, *small, "--objective.options", "{}",
                                 "--precision", "32-true" if dry else "bf16-mixed", "--out", str(out / "train.json")]),
        "benchmark predict": (60, [*hrdepth, "benchmark", "predict", "--network", "lite_hrdepth", "--device", device,
                                   "--runtimes", json.dumps(runtimes), "--sizes", json.dumps([size]), *quick,
                                   "--out", str(out / "predict.json")]),
        "training": (training + 30, [*hrdepth, *train]),
        "labels": (30, [*hrdepth, "prepare", "labels", "--teacher", str(out / "run" / "last.safetensors"), "--data",
                        str(data), "--out", str(out / "labels"), "--device", device]),
        "prediction": (30, [*hrdepth, "predict", str(data / "drive" / "left"), "--weights",
                            str(out / "run" / "last.safetensors"), "--device", device, "--batch", "8", "--out",
                            str(out / "depth")]),
    }  # fmt: skip


def card() -> dict[str, Any]:
    """Return what the machine computes on."""
    import torch

    if not torch.cuda.is_available():
        return {"card": None, "torch": torch.__version__}
    return {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}


def main(what: str, out: Path) -> int:
    """Run the steps, write OUT/cuda.json and return how many failed."""
    dry, started = what == "dry", time.monotonic()
    machine = card()
    if not dry and machine["card"] is None:
        print("no CUDA device is here; `dry` runs the steps on a CPU")
        return 1
    given = os.environ.get("DATA")
    data = Path(given) if given else out / "data"
    if given is None and not data.exists():
        count = 12 if dry else 200
        made_drive(data, count)
        for file, numbers in (("train.txt", range(1, count - 4)), ("val.txt", range(count - 4, count - 1))):
            (data / file).write_text("".join(f"drive {number} l\n" for number in numbers), encoding="utf-8")
    record: dict[str, Any] = {"dry": dry, **machine, "steps": {}}
    for name in steps(dry, data, out):
        begun = time.monotonic()
        left = (3600.0 if dry else BUDGET) - (begun - started)
        most, arguments = steps(dry, data, out, min(TRAINING, max(1.0, left - BESIDE)))[name]
        log = out / f"{name.replace(' ', '_')}.log"
        status = run([sys.executable, *arguments], log, max(1.0, left if dry else min(most, left)))
        seconds = round(time.monotonic() - begun, 1)
        tail = log.read_text(encoding="utf-8", errors="replace").strip().replace(str(out), "OUT").splitlines()[-3:]
        record["steps"][name] = {"status": status, "seconds": seconds, "last_lines": tail}
        print(f"{name}: {'took too long' if status is None else f'status {status}'}, {seconds} s")
        write_json(out / "cuda.json", provenance(seed=0, **record, **_results(out)))
    # pytest gives 5 where all tests are skipped, as in a dry run.
    return sum(step["status"] not in ((0, 5) if dry else (0,)) for step in record["steps"].values())


def run(command: list[str], log: Path, most: float) -> int | None:
    """Run a command, with its output in a file; return its status, or None if it and its processes took too long."""
    with log.open("w", encoding="utf-8") as stream:
        running = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return running.wait(most)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            return None


def _results(out: Path) -> dict[str, Any]:
    """Return what the benchmarks and the training wrote."""
    found: dict[str, Any] = {}
    for name in ("train", "predict"):
        if (out / f"{name}.json").is_file():
            found[f"benchmark_{name}"] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    if (metrics := out / "run" / "metrics.csv").is_file():
        found["training_log"] = metrics.read_text(encoding="utf-8").splitlines()[-5:]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
