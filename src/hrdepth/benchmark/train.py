"""A training step, its parts and its memory, beside the unit: ResNet-18's features, forward and backward."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch.utils.flop_counter import FlopCounterMode

from hrdepth.benchmark.report import Measurement, print_table, write_report
from hrdepth.benchmark.workloads import MATRIX, made_drive, serve
from hrdepth.config import BenchmarkTrainConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.io.files import output_file

__all__ = ["benchmark_train"]

PARTS = ("depth network", "pose network", "losses", "optimiser", "loading")
# Enough frames that an epoch of the largest batch is no single step.
FRAMES_A_SAMPLE = 3


def benchmark_train(config: BenchmarkTrainConfig) -> None:
    """Measure, print a table and write JSON.

    Unit and step run in turns, each in a process of its own, so that neither tunes nor disturbs the other and the
    machine's moods meet both. The parts follow in one process, one after the other; they need not add up to the step,
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
    timed = _in_turns([["unit"], ["step"]], run, config.rounds, config.steps, f"{where}: unit and step")
    paired = any(frame != "s" for frame in run.objective.frames)
    parts = [part for part in PARTS if part != "pose network" or paired]
    timed |= _in_turns([[*parts, "matrices", "matrices bfloat16"]], run, config.rounds, config.steps, f"{where}: parts")
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
    seconds: list[float]
    peak: float


def _in_turns(
    processes: Sequence[Sequence[str]], run: TrainConfig, rounds: int, steps: int, said: str
) -> dict[str, _Times]:
    """Time workloads; each process has its own, one after the other, in turns with those of the other processes.

    Each round's entry is the median of its runs.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[tuple[Any, Connection]] = []
    times = {name: _Times([], 0.0) for names in processes for name in names}
    turns = [names for beside in zip(*processes, strict=True) for names in [beside] * rounds]
    try:
        for _ in processes:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(run, theirs))
            process.start()
            theirs.close()
            workers.append((process, ours))
        for names in track(turns, description=said, transient=True):
            for name, (_, connection) in zip(names, workers, strict=True):
                connection.send((name, steps))
                seconds, peak = connection.recv()
                times[name].seconds.append(statistics.median(seconds))
                times[name].peak = peak
    except EOFError as error:
        raise InputError(f"the measurement of {said} ended early; its own message stands above") from error
    finally:
        for process, connection in workers:
            if process.is_alive():
                connection.send(None)
            process.join()
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
