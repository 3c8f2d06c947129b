"""Compare the simulation with `hrdepth train` in one and two processes, on this machine's two cores.

First the rates: seconds of a sample's loading, of a step and of an exchange of gradients, on one core alone and on both
at once (two hardware threads of one core do less each when both work). Then trainings, whose rate is read from their
metrics. Images are large and the network's input is small, so that loading counts. Nothing else may run meanwhile.
Writes check_training.json: python results/scaling/check_training.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import yaml
from measure import step
from simulate import Machine, samples_a_second
from torch import distributed, multiprocessing

from hrdepth.benchmark.workloads import made_drive
from hrdepth.config import LogConfig, NetworkConfig, ObjectiveConfig, TrainConfig
from hrdepth.config.setting_files import plain_settings
from hrdepth.data import mix, open_data
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.run_folder import read_metrics
from hrdepth.machine import tune_malloc
from hrdepth.training import build_training_objective

FRAMES, BATCH, SIZE, ROUNDS, SECONDS = 162, 4, (64, 192), 2, 6.0
CASES = [(1, 0), (1, 1), (2, 0), (2, 1)]  # processes, loading workers of each


def settings(folder: Path) -> TrainConfig:
    """Return the trainings' config, whose images are made once."""
    drive = made_drive(folder / "drive", FRAMES)
    few = made_drive(folder / "few", 4)
    return TrainConfig(
        [drive], [few], str(folder / "run"), network=NetworkConfig("lite_hrdepth"), size=SIZE, batch_size=BATCH,
        workers=0, epochs=1, device="cpu", objective=ObjectiveConfig(frames=[-1, 1]), scan="off", initial_depth=3.0,
        log=LogConfig(panels_every_steps=0, every_steps=1),
    )  # fmt: skip


def measure(number: int, busy: int, config: TrainConfig, file: str, queue: Any) -> None:
    """Measure one process's rates while `busy` processes do the same."""
    tune_malloc()
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=number, world_size=busy)
    data = mix(open_data(config.train, [-1, 1]), SIZE)
    train = step(config)
    gradients = [torch.zeros_like(p) for p in build_training_objective(config).parameters()]
    flat = torch.zeros(sum(g.numel() for g in gradients))

    def load() -> None:
        torch.utils.data.default_collate([data[item % len(data)] for item in range(BATCH)])

    found = {}
    for name, work in {"load": load, "step": train, "exchange": lambda: distributed.all_reduce(flat)}.items():
        work()
        distributed.barrier()
        taken, begun = [], time.perf_counter()
        # Exchanges of all processes belong together: a fixed number of them.
        while time.perf_counter() - begun < SECONDS if name != "exchange" else len(taken) < 20:
            before = time.perf_counter()
            work()
            taken.append(time.perf_counter() - before)
        found[name] = statistics.mean(taken)
    queue.put(found)
    distributed.barrier()
    distributed.destroy_process_group()


def rates(config: TrainConfig, busy: int, folder: Path) -> dict[str, float]:
    """Return the mean over the processes of seconds a batch's loading, step and exchange."""
    context = multiprocessing.get_context("spawn")
    queue, file = context.Queue(), str(folder / f"store-{time.monotonic_ns()}")
    processes = [context.Process(target=measure, args=(n, busy, config, file, queue)) for n in range(busy)]
    for process in processes:
        process.start()
    found = [queue.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    return {name: statistics.mean(one[name] for one in found) for name in found[0]}


def training(config: TrainConfig, ranks: int, workers: int, folder: Path) -> float:
    """Train; return samples a second of all processes, from the fifth step on."""
    run = folder / f"run-{time.monotonic_ns()}"
    config = replace(config, workers=workers, output=str(run))
    (folder / "train.yaml").write_text(yaml.safe_dump(plain_settings(config)), encoding="utf-8")
    command = ["-m", "hrdepth.cli", "train", "--config", str(folder / "train.yaml")]
    if ranks > 1:
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), *command]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    rows = [row for row in read_metrics(run) if row["train/loss"]]
    first, last = rows[4], rows[-1]
    seconds = 60 * (float(last["minutes"]) - float(first["minutes"]))
    return ranks * BATCH * (int(last["step"]) - int(first["step"])) / seconds


def main() -> None:
    """Measure, train, compare and write."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = settings(folder)
        measured: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        trained: dict[tuple[int, int], list[float]] = {case: [] for case in CASES}
        for _ in range(ROUNDS):
            for busy, values in measured.items():
                values.append(rates(config, busy, folder))
            for case, values in trained.items():
                values.append(training(config, *case, folder))
        cost = {busy: {key: statistics.mean(v[key] for v in values) for key in values[0]} for busy, values in
                measured.items()}  # fmt: skip
        for (ranks, workers), values in trained.items():
            one = cost[2 if ranks * (1 + workers) > 1 else 1]
            exchange = one["exchange"] if ranks > 1 else 0.0
            machine = Machine(ranks, ranks, 2, workers, one["load"] / BATCH, one["step"], 1, BATCH, exchange)
            simulated, rate = samples_a_second(machine), statistics.mean(values)
            error = simulated / rate - 1
            found[f"{ranks} processes, {workers} workers each"] = {
                "measured": values, "simulated": simulated, "error": error}  # fmt: skip
            print(f"{ranks} {workers}: {rate:7.3f} samples/s, simulated {simulated:7.3f} ({100 * error:+.1f} %)")
    about = {"unit": "samples a second of all processes", "network_size": SIZE, "batch": BATCH, "rates": measured}
    path = Path(__file__).with_name("check_training.json")
    write_json(path, provenance(seed=0, **about, load=os.getloadavg(), found=found))


if __name__ == "__main__":
    main()
