"""`hrdepth benchmark train` and `load`: a training step, its parts and memory; and samples a second of loading."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from functools import partial
from itertools import chain, product
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode

from hrdepth.benchmark.measurement import Measurement, check_benchmark, interleave, report_measurements
from hrdepth.benchmark.roofline import MATRIX
from hrdepth.benchmark.workers import start_workers
from hrdepth.benchmark.workloads import WorkloadTimer, backward, load_batches, made_drive
from hrdepth.compute import choose_device
from hrdepth.config import BenchmarkLoadConfig, BenchmarkTrainConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.machine import peak_memory
from hrdepth.training import build_training_objective

__all__ = ["benchmark_load", "benchmark_train"]

PARTS = ("depth network", "pose network", "losses", "optimiser", "loading")
MATRICES = ("matrices", "matrices bfloat16")
FRAMES_A_SAMPLE = 3  # enough for several steps an epoch
ROUNDS, PIECES = 3, 4  # of loading: interleaved, so that device noise affects all equally; each round has pieces


def benchmark_train(config: BenchmarkTrainConfig) -> None:
    """Measure, print a table and write JSON.

    Unit and step are interleaved, each in a process of its own, so that neither changes the other's settings and
    device noise affects both. The parts follow in one process, one after the other; they need not add up to the step,
    since loading overlaps.

    Raises:
        InputError: settings that cannot work.
    """
    check_benchmark(config, sizes=1, batch_sizes=1, rounds=1, steps=1)
    measurements = []
    with tempfile.TemporaryDirectory() as name:
        for size, batch_size in product(config.sizes, config.batch_sizes):
            folder = Path(name, f"{size[0]}x{size[1]}-{batch_size}")
            data = made_drive(folder, FRAMES_A_SAMPLE * batch_size + 2)
            run = TrainConfig(
                train=[data], validation=[data], output=str(folder / "run"), network=config.network,
                pose_network=config.pose_network, objective=config.objective, size=size, batch_size=batch_size,
                precision=config.precision, channels_last=config.channels_last,
                compile_networks=config.compile_networks, workers=config.workers, initial_depth=3.0,
                device=str(choose_device(config.device)),
            )  # fmt: skip
            measurements += _measure(config, run)
    report_measurements(config, "a training step", measurements)


def benchmark_load(config: BenchmarkLoadConfig) -> list[Measurement]:
    """Measure, print a table and write JSON.

    Samples are loaded as in a training, augmentation and batching included; nothing else is computed.

    Raises:
        InputError: settings that cannot work, or what training raises for data and cache.
    """
    if not config.seconds > 0:
        raise InputError(f"seconds {config.seconds:g} must be positive")
    check_benchmark(config, workers=0)
    cache = config.cache or config.config.cache
    runs = {}
    for workers in config.workers:
        where = "main process" if workers == 0 else f"{workers} worker{'s' * (workers > 1)}"
        for name, folder in (("sources", None), *([("cache", cache)] if cache else [])):
            run = replace(config.config, workers=workers, cache=folder)
            runs[f"{name}, {where}"] = partial(_rates, run, config.seconds / ROUNDS)
    rates = interleave(runs, ROUNDS, "loading")
    measurements = [Measurement.of(name, [*chain(*found)], "samples/s") for name, found in rates.items()]
    height, width = config.config.size
    memory = {"main_process": peak_memory(), "largest_worker": peak_memory(children=True)}
    title = f"loading {width}x{height}, frames {config.config.objective.frames}"
    report_measurements(config, title, measurements, peak_memory_mib=memory)
    print(f"peak memory: {memory['main_process'] or 0:.0f} MiB, largest worker {memory['largest_worker'] or 0:.0f} MiB")
    return measurements


def _measure(config: BenchmarkTrainConfig, run: TrainConfig) -> list[Measurement]:
    where = f"{run.size[1]}x{run.size[0]}, batch {run.batch_size}"
    paired = any(frame != "s" for frame in run.objective.frames)
    parts = [part for part in PARTS if part != "pose network" or paired]
    timer = partial(WorkloadTimer, run)
    with start_workers({"unit": timer, "step": timer}) as workers:
        calls = {name: partial(worker.call, "measure", name, config.steps) for name, worker in workers.items()}
        timed = interleave(calls, config.rounds, f"{where}: unit and step")
    with start_workers({"parts": timer}) as workers:
        for name in track((*parts, *MATRICES), f"{where}: parts", transient=True):
            timed[name] = [workers["parts"].call("measure", name, config.steps) for _ in range(config.rounds)]
    seconds = {name: np.array([median(taken) for taken, _ in rounds]) for name, rounds in timed.items()}
    a_sample = {name: values / run.batch_size for name, values in seconds.items()}
    rates, rates_bfloat16 = (2 * MATRIX**3 / seconds[name] / 1e9 for name in MATRICES)
    rate = float(np.median(rates if run.precision == "32-true" else rates_bfloat16))
    operations = _operations(run) / 1e9
    return [
        *(Measurement.of(f"{where}: {name}", a_sample[name], "s/sample") for name in ("unit", "step", *parts)),
        Measurement.of(f"{where}: step in units", a_sample["step"] / a_sample["unit"], "units"),
        Measurement.of(f"{where}: rate", 1 / a_sample["step"], "samples/s"),
        Measurement.of(f"{where}: peak memory above the start", [timed["step"][-1][1]], "MiB"),
        Measurement.of(f"{where}: matrix rate, float32", rates, "GFLOP/s"),
        Measurement.of(f"{where}: matrix rate, bfloat16", rates_bfloat16, "GFLOP/s"),
        Measurement.of(f"{where}: floating-point operations", [operations], "GFLOP/sample"),
        Measurement.of(f"{where}: limit set by operations and matrix rate", [operations / rate], "s/sample"),
    ]


def _operations(run: TrainConfig) -> float:
    """Count the floating-point operations of both networks for one sample, forward and backward."""
    objective = build_training_objective(run)
    image = torch.rand(1, 3, *run.size)
    pairs = sum(frame != "s" for frame in run.objective.frames)
    with FlopCounterMode(display=False) as counter:
        backward(objective.network(image).values())
        if objective.pose_network is not None:
            backward(objective.pose_network(image.repeat(pairs, 2, 1, 1)))
    return float(counter.get_total_flops())


def _rates(config: TrainConfig, seconds: float) -> list[float]:
    """Return samples per second over pieces of the time, once the workers' queues are full."""
    batches = load_batches(config)
    for _ in range(1 + 2 * config.workers):  # the batches that workers fetch ahead
        next(batches)
    rates = []
    for _ in range(PIECES):
        samples, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds / PIECES:
            samples += len(next(batches)["target"])
        rates.append(samples / passed)
    return rates
