"""Samples per second of loading alone: from the sources and from a cache, side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace

from rich.progress import track
from torch.utils.data import DataLoader

from hrdepth.benchmark.report import Measurement, peak_memory, print_table, write_report
from hrdepth.config import BenchmarkLoadConfig, TrainConfig
from hrdepth.data.mixing import MixedSampler
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.io.files import output_file
from hrdepth.training import build_loaders

__all__ = ["benchmark_load"]

# Measurements are interleaved in rounds, so that device noise affects all equally; each round has several pieces.
ROUNDS, PIECES = 3, 4


def benchmark_load(config: BenchmarkLoadConfig) -> list[Measurement]:
    """Measure, print a table and write JSON.

    What is loaded is what a training loads, augmentation and batching included; nothing is computed beside it.

    Raises:
        InputError: settings that cannot work, or what training raises for data and cache.
    """
    _check(config)
    cache = config.cache or config.config.cache
    runs = {}
    for workers in config.workers:
        for name, folder in (("sources", None), *([("cache", cache)] if cache else [])):
            runs[f"{name}, {_processes(workers)}"] = replace(config.config, workers=workers, cache=folder)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for name in track(list(runs) * ROUNDS, "loading"):
        rates[name] += _rates(runs[name], config.seconds / ROUNDS)
    measurements = [Measurement.of(name, values, "samples/s") for name, values in rates.items()]
    height, width = config.config.size
    print_table(f"loading {height}x{width}, frames {config.config.objective.frames}", measurements)
    memory = {"main_process": peak_memory(), "largest_worker": peak_memory(children=True)}
    print(f"peak memory: {memory['main_process'] or 0:.0f} MiB, largest worker {memory['largest_worker'] or 0:.0f} MiB")
    if config.out is not None:
        write_report(config.out, measurements, peak_memory_mib=memory, settings=asdict(config))
    return measurements


def _check(config: BenchmarkLoadConfig) -> None:
    if not config.workers or min(config.workers) < 0:
        raise InputError(f"workers {config.workers}: give at least one number, each 0 or more")
    if not config.seconds > 0:
        raise InputError(f"seconds {config.seconds:g} must be positive")
    if config.out is not None:
        output_file(config.out, overwrite=config.overwrite)


def _rates(config: TrainConfig, seconds: float) -> list[float]:
    """Return samples per second over pieces of the time, once workers and their queues are under way."""
    loader = build_loaders(config)["train"]
    batches = _endless(loader)
    for _ in range(1 + 2 * config.workers):  # the batches that workers fetch ahead
        next(batches)
    rates = []
    for _ in range(PIECES):
        samples, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds / PIECES:
            samples += len(next(batches)["target"])
        rates.append(samples / passed)
    return rates


def _endless(loader: DataLoader[Batch]) -> Iterator[Batch]:
    epoch = 0
    while True:
        if isinstance(loader.sampler, MixedSampler):
            loader.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


def _processes(workers: int) -> str:
    return "main process" if workers == 0 else f"{workers} worker{'s' * (workers > 1)}"
