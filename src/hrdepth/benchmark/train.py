"""`hrdepth benchmark train` and `load`: a training step, its parts and memory; and samples a second of loading."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode

from hrdepth.benchmark.report import Measurement, check_settings, interleave, report_measurements
from hrdepth.benchmark.roofline import MATRIX
from hrdepth.benchmark.workers import Worker, peak_memory, start_workers
from hrdepth.benchmark.workloads import WorkloadTimer, load_batches, made_drive
from hrdepth.config import BenchmarkLoadConfig, BenchmarkTrainConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.training import build_training_objective

__all__ = ["benchmark_load", "benchmark_train"]

PARTS = ("depth network", "pose network", "losses", "optimiser", "loading")
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
    check_settings(config, sizes=1, batch_sizes=1, rounds=1, steps=1)
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        for size in config.sizes:
            for batch_size in config.batch_sizes:
                run = _training(config, Path(folder) / f"{size[0]}x{size[1]}-{batch_size}", size, batch_size)
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
    check_settings(config, workers=0)
    cache = config.cache or config.config.cache
    runs = {}
    for workers in config.workers:
        for name, folder in (("sources", None), *([("cache", cache)] if cache else [])):
            runs[f"{name}, {_processes(workers)}"] = replace(config.config, workers=workers, cache=folder)
    pieces = {name: partial(_rates, run, config.seconds / ROUNDS) for name, run in runs.items()}
    rates = interleave(pieces, ROUNDS, "loading")
    measurements = [Measurement.of(name, [*chain(*found)], "samples/s") for name, found in rates.items()]
    height, width = config.config.size
    memory = {"main_process": peak_memory(), "largest_worker": peak_memory(children=True)}
    title = f"loading {width}x{height}, frames {config.config.objective.frames}"
    report_measurements(config, title, measurements, peak_memory_mib=memory)
    print(f"peak memory: {memory['main_process'] or 0:.0f} MiB, largest worker {memory['largest_worker'] or 0:.0f} MiB")
    return measurements


def _training(config: BenchmarkTrainConfig, folder: Path, size: tuple[int, int], batch_size: int) -> TrainConfig:
    data = made_drive(folder, FRAMES_A_SAMPLE * batch_size + 2)
    return TrainConfig(
        train=[data], validation=[data], output=str(folder / "run"), network=config.network,
        pose_network=config.pose_network, objective=config.objective, size=size, batch_size=batch_size,
        precision=config.precision, channels_last=config.channels_last, compile_networks=config.compile_networks,
        workers=config.workers, initial_depth=3.0, device=config.device,
    )  # fmt: skip


def _measure(config: BenchmarkTrainConfig, run: TrainConfig) -> list[Measurement]:
    where = f"{run.size[1]}x{run.size[0]}, batch {run.batch_size}"
    paired = any(frame != "s" for frame in run.objective.frames)
    parts = [part for part in PARTS if part != "pose network" or paired]
    seconds, peak = _time(run, config, parts, where)
    a_sample = {name: [second / run.batch_size for second in values] for name, values in seconds.items()}
    units = [step / unit for step, unit in zip(a_sample["step"], a_sample["unit"], strict=True)]
    operations = _operations(run)
    rates, rates_bfloat16 = (
        [2 * MATRIX**3 / second / 1e9 for second in seconds[name]] for name in ("matrices", "matrices bfloat16")
    )
    rate = statistics.median(rates if run.precision == "32-true" else rates_bfloat16)
    return [
        *(Measurement.of(f"{where}: {name}", a_sample[name], "s/sample") for name in ("unit", "step", *parts)),
        Measurement.of(f"{where}: step in units", units, "units"),
        Measurement.of(f"{where}: rate", [1 / second for second in a_sample["step"]], "samples/s"),
        Measurement.of(f"{where}: peak memory above the start", [peak], "MiB"),
        Measurement.of(f"{where}: matrix rate, float32", rates, "GFLOP/s"),
        Measurement.of(f"{where}: matrix rate, bfloat16", rates_bfloat16, "GFLOP/s"),
        Measurement.of(f"{where}: floating-point operations", [operations / 1e9], "GFLOP/sample"),
        Measurement.of(f"{where}: limit set by operations and matrix rate", [operations / 1e9 / rate], "s/sample"),
    ]


def _time(
    run: TrainConfig, config: BenchmarkTrainConfig, parts: Sequence[str], where: str
) -> tuple[dict[str, list[float]], float]:
    """Time unit and step, interleaved; then the parts and matrices, one after the other in one process.

    Returns:
        Seconds by name, a median per round; and the step's peak of memory above the start, MiB.
    """
    timer = partial(WorkloadTimer, run)
    peaks: dict[str, float] = {}

    def measure(name: str, worker: Worker) -> float:
        seconds, peaks[name] = worker.call("measure", name, config.steps)
        return float(statistics.median(seconds))

    with start_workers(dict.fromkeys(("unit", "step"), timer)) as workers:
        runs = {name: partial(measure, name, worker) for name, worker in workers.items()}
        medians = interleave(runs, config.rounds, f"{where}: unit and step")
    with start_workers({"parts": timer}) as workers:
        for name in track((*parts, "matrices", "matrices bfloat16"), f"{where}: parts", transient=True):
            medians[name] = [measure(name, workers["parts"]) for _ in range(config.rounds)]
    return medians, peaks["step"]


def _operations(run: TrainConfig) -> float:
    """Count the floating-point operations of both networks for one sample, forward and backward."""
    objective = build_training_objective(run)
    image = torch.rand(1, 3, *run.size)
    pairs = sum(frame != "s" for frame in run.objective.frames)
    with FlopCounterMode(display=False) as counter:
        sum((disparity.sum() for disparity in objective.network(image).values()), torch.zeros(())).backward()
        if objective.pose_network is not None:
            motions = objective.pose_network(image.repeat(pairs, 2, 1, 1))
            (motions[0].sum() + motions[1].sum()).backward()
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


def _processes(workers: int) -> str:
    return "main process" if workers == 0 else f"{workers} worker{'s' * (workers > 1)}"
