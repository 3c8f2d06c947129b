"""A training step, its parts and its memory, beside the unit: ResNet-18's features, forward and backward."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode

from hrdepth.benchmark.report import Measurement, print_table, write_report
from hrdepth.benchmark.workers import Job, Worker, start_workers
from hrdepth.benchmark.workloads import MATRIX, WorkloadTimer, made_drive
from hrdepth.config import BenchmarkTrainConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.io.files import output_file

__all__ = ["benchmark_train"]

PARTS = ("depth network", "pose network", "losses", "optimiser", "loading")
# Enough frames for several steps an epoch.
FRAMES_A_SAMPLE = 3


def benchmark_train(config: BenchmarkTrainConfig) -> None:
    """Measure, print a table and write JSON.

    Unit and step are interleaved, each in a process of its own, so that neither tunes nor disturbs the other and
    device noise affects both. The parts follow in one process, one after the other; they need not add up to the step,
    since loading overlaps.

    Raises:
        InputError: settings that cannot work.
    """
    for name, values in (("sizes", config.sizes), ("batch_sizes", config.batch_sizes)):
        if not values:
            raise InputError(f"{name} is empty; give at least one")
    if config.rounds < 1 or config.steps < 1:
        raise InputError(f"rounds {config.rounds} and steps {config.steps} must be at least 1")
    if config.out is not None:
        output_file(config.out, overwrite=config.overwrite)
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        for size in config.sizes:
            for batch_size in config.batch_sizes:
                run = _training(config, Path(folder) / f"{size[0]}x{size[1]}-{batch_size}", size, batch_size)
                measurements += _measure(config, run)
    print_table("a training step", measurements)
    if config.out is not None:
        write_report(config.out, measurements, settings=asdict(config))


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
    timed = _time(run, config, parts, where)
    a_sample = {name: [second / run.batch_size for second in times.seconds] for name, times in timed.items()}
    units = [step / unit for step, unit in zip(a_sample["step"], a_sample["unit"], strict=True)]
    operations = _operations(run)
    rates = [2 * MATRIX**3 / second / 1e9 for second in timed["matrices"].seconds]
    rates_bfloat16 = [2 * MATRIX**3 / second / 1e9 for second in timed["matrices bfloat16"].seconds]
    rate = statistics.median(rates if run.precision == "32-true" else rates_bfloat16)
    return [
        *(Measurement.of(f"{where}: {name}", a_sample[name], "s/sample") for name in ("unit", "step", *parts)),
        Measurement.of(f"{where}: step in units", units, "units"),
        Measurement.of(f"{where}: rate", [1 / second for second in a_sample["step"]], "samples/s"),
        Measurement.of(f"{where}: peak memory above the start", [timed["step"].peak], "MiB"),
        Measurement.of(f"{where}: matrix rate, float32", rates, "GFLOP/s"),
        Measurement.of(f"{where}: matrix rate, bfloat16", rates_bfloat16, "GFLOP/s"),
        Measurement.of(f"{where}: floating-point operations", [operations / 1e9], "GFLOP/sample"),
        Measurement.of(f"{where}: limit set by operations and matrix rate", [operations / 1e9 / rate], "s/sample"),
    ]


@dataclass
class _Times:
    """Seconds, a median per round, and the peak of memory above the start, MiB."""

    seconds: list[float] = field(default_factory=list)
    peak: float = 0.0


def _time(run: TrainConfig, config: BenchmarkTrainConfig, parts: Sequence[str], where: str) -> dict[str, _Times]:
    """Time unit and step, interleaved; then the parts and matrices, one after the other in one process."""
    beside, alone = ("unit", "step"), (*parts, "matrices", "matrices bfloat16")
    times = {name: _Times() for name in (*beside, *alone)}

    def measure(worker: Worker, name: str) -> None:
        seconds, times[name].peak = worker.call("measure", name, config.steps)
        times[name].seconds.append(statistics.median(seconds))

    job = Job(WorkloadTimer, (run,))
    with start_workers(dict.fromkeys(beside, job)) as workers:
        for _ in track(range(config.rounds), description=f"{where}: unit and step", transient=True):
            for name, worker in workers.items():
                measure(worker, name)
    with start_workers({"parts": job}) as workers:
        for name in track(alone, description=f"{where}: parts", transient=True):
            for _ in range(config.rounds):
                measure(workers["parts"], name)
    return times


def _operations(run: TrainConfig) -> float:
    """Count the floating-point operations of both networks for one sample, forward and backward."""
    from hrdepth.training import build_training_objective

    objective = build_training_objective(run)
    image = torch.rand(1, 3, *run.size)
    pairs = sum(frame != "s" for frame in run.objective.frames)
    with FlopCounterMode(display=False) as counter:
        sum((disparity.sum() for disparity in objective.network(image).values()), torch.zeros(())).backward()
        if objective.pose_network is not None:
            motions = objective.pose_network(image.repeat(pairs, 2, 1, 1))
            (motions[0].sum() + motions[1].sum()).backward()
    return float(counter.get_total_flops())
