"""`hrdepth benchmark predict`: runtimes and precisions beside the network in eager float32."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from hrdepth.benchmark.latency_plot import SUFFIXES, plot
from hrdepth.benchmark.report import Measurement, machine
from hrdepth.benchmark.roofline import RATES, Operation, RateTimer, limit, operations
from hrdepth.benchmark.subject import BASELINE, NetworkTimer, Subject, Variant, write_images
from hrdepth.benchmark.workers import Job, Worker, start_workers
from hrdepth.config import BenchmarkPredictConfig
from hrdepth.errors import InputError
from hrdepth.io.files import output_file, write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable, table_format

__all__ = ["Latency", "benchmark_predict"]

KINDS = ("network", "end_to_end")
HEADINGS = (
    "size, runtime", "network ms", "ratio", "end to end ms", "ratio", "beside ms", "peak MiB", "GFLOP/s", "limit ms",
    "of limit",
)  # fmt: skip


@dataclass(frozen=True)
class Latency:
    """Time and memory of one runtime at one size.

    Attributes:
        runtime: name and precision.
        size: (height, width) of the network's input.
        network: milliseconds of the network alone.
        end_to_end: milliseconds from the decoded image to depth at its size.
        ratio: how many times as fast as the baseline, the network alone; one per round.
        end_to_end_ratio: the same, end to end.
        peak_memory: MiB, of its process while it predicts.
        loading_peak: MiB, of its process while it loads.
        limit_ms: the least milliseconds by this machine's rates, see `roofline`; None where a rate is unknown.
    """

    runtime: str
    size: tuple[int, int]
    network: Measurement
    end_to_end: Measurement
    ratio: Measurement
    end_to_end_ratio: Measurement
    peak_memory: float
    loading_peak: float
    limit_ms: float | None

    @property
    def beside(self) -> float:
        """Milliseconds of everything but the network."""
        return self.end_to_end.median - self.network.median

    @property
    def of_limit(self) -> float | None:
        """The limit as a share of the time; 1 reaches it."""
        return None if self.limit_ms is None else self.limit_ms / self.network.median


def benchmark_predict(config: BenchmarkPredictConfig) -> list[Latency]:
    """Measure, print a table, and write JSON, table and plot where the settings say so.

    Raises:
        InputError: settings that cannot work, or no runtime that is there.
    """
    subject = Subject(config.weights, config.network, config.options)
    variants, left_out = _variants(config)
    network = subject.load()
    costs = {size: operations(network, size) for size in config.sizes}
    latencies: list[Latency] = []
    rates: dict[str, dict[str, Measurement]] = {}
    with tempfile.TemporaryDirectory() as folder:
        calibration = config.calibration or str(write_images(Path(folder) / "pictures", config.image_size))
        for size in config.sizes:
            shared = (size, config.image_size, _threads(config), config.device, calibration)
            jobs = {variant: Job(NetworkTimer, (subject, variant, *shared)) for variant in variants}
            found, rates = _measure(config, jobs, size, costs[size], left_out)
            latencies += found
    described = {"name": subject.name, **_cost(network, costs)}
    table = _table(described, latencies, rates)
    console = Console()
    table.show()
    for name, reason in left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False)
    _write(config, table, described, latencies, rates, left_out)
    return latencies


def _variants(config: BenchmarkPredictConfig) -> tuple[list[Variant], dict[str, str]]:
    """Return the variants to measure, the baseline first, and why others are left out."""
    for size in (*config.sizes, config.image_size):
        if min(size) < 1:
            raise InputError(f"the size {size[0]}x{size[1]} (height x width) must be positive")
    if not config.sizes or not config.runtimes:
        raise InputError("sizes or runtimes are empty; give at least one")
    if config.rounds < 1 or config.runs < 1:
        raise InputError(f"rounds {config.rounds} and runs {config.runs} must be at least 1")
    if config.threads is not None and config.threads < 1:
        raise InputError(f"{config.threads} threads: give at least one, or none for PyTorch's own number")
    for path in filter(None, (config.out, config.table, config.plot)):
        output_file(path, overwrite=config.overwrite)
    if config.table is not None:
        table_format(config.table)
    if config.plot is not None and Path(config.plot).suffix not in SUFFIXES:
        raise InputError(f"the plot {config.plot} must end in {', '.join(SUFFIXES)}")
    wanted = list(dict.fromkeys(Variant.parse(text) for text in config.runtimes))
    left_out = {str(variant): reason for variant in wanted if (reason := variant.missing())}
    return [BASELINE, *(variant for variant in wanted if str(variant) not in left_out)], left_out


def _measure(
    config: BenchmarkPredictConfig,
    jobs: Mapping[Variant, Job],
    size: tuple[int, int],
    cost: Sequence[Operation],
    left_out: dict[str, str],
) -> tuple[list[Latency], dict[str, dict[str, Measurement]]]:
    """Measure one size: the variants, interleaved with each other and with the rates of their devices."""
    where = f"{size[1]}x{size[0]}"
    rooflines = {device: Job(RateTimer, (device, _threads(config))) for device in {"cpu", config.device}}
    with start_workers({**{str(variant): job for variant, job in jobs.items()}, **rooflines}) as workers:
        for variant in jobs:
            if reason := workers[str(variant)].refused:
                left_out[f"{variant} at {where}"] = reason
        if reason := workers[str(BASELINE)].refused:
            raise InputError(f"the network does not run at {where}: {reason}")
        able = [variant for variant in jobs if workers[str(variant)].refused is None]
        times: dict[tuple[Variant, str], list[float]] = {(v, kind): [] for v in able for kind in KINDS}
        found: dict[str, dict[str, list[float]]] = {device: {name: [] for name in RATES} for device in rooflines}
        for _ in track(range(config.rounds), description=where, transient=True):
            for variant, kind in times:
                values = workers[str(variant)].call("measure", kind, config.runs)
                times[variant, kind].append(1e3 * statistics.median(values))
            for device, measured in found.items():
                for name, values in measured.items():
                    values.append(workers[device].call("measure", name))
        rates = {
            device: {n: Measurement.of(n, [one / 1e9 for one in v], _unit(n)) for n, v in measured.items()}
            for device, measured in found.items()
        }
        return [_latency(v, size, times, workers[str(v)], cost, rates) for v in able], rates


def _threads(config: BenchmarkPredictConfig) -> int:
    return config.threads or torch.get_num_threads()


def _unit(rate: str) -> str:
    return "GB/s" if rate == "memory" else "GFLOP/s"


def _latency(
    variant: Variant,
    size: tuple[int, int],
    times: Mapping[tuple[Variant, str], Sequence[float]],
    worker: Worker,
    cost: Sequence[Operation],
    rates: Mapping[str, Mapping[str, Measurement]],
) -> Latency:
    device, loading_peak = worker.call("loaded")
    known = {name: 1e9 * one.median for name, one in rates[device].items()}
    least = 1e3 * limit(cost, variant.precision, known)

    def taken(kind: str) -> Measurement:
        return Measurement.of(kind, times[variant, kind], "ms")

    def ratio(kind: str) -> Measurement:
        return Measurement.of(kind, np.divide(times[BASELINE, kind], times[variant, kind]).tolist(), "x")

    return Latency(
        runtime=str(variant),
        size=size,
        network=taken("network"),
        end_to_end=taken("end_to_end"),
        ratio=ratio("network"),
        end_to_end_ratio=ratio("end_to_end"),
        peak_memory=worker.call("peak"),
        loading_peak=loading_peak,
        limit_ms=least if np.isfinite(least) else None,
    )


def _rate(one: Measurement) -> str:
    return f"{one.median:.0f} {one.unit}" if np.isfinite(one.median) else "unknown"


def _cost(network: torch.nn.Module, costs: Mapping[tuple[int, int], Sequence[Operation]]) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    at_sizes = {
        f"{size[1]}x{size[0]}": {
            "gflops": sum(one.flops for one in found) / 1e9,
            "megabytes_float32": 4 * sum(one.numbers for one in found) / 1e6,
        }
        for size, found in costs.items()
    }
    return {"parameters": parameters, "parameter_bytes": 4 * parameters, "at": at_sizes}


def _table(
    described: Mapping[str, Any], latencies: Sequence[Latency], rates: Mapping[str, Mapping[str, Measurement]]
) -> ResultTable:
    def measured(one: Measurement, digits: int = 1) -> str:
        return f"{one.median:.{digits}f} ± {one.spread:.{digits}f}"

    rows = []
    for one in latencies:
        where = f"{one.size[1]}x{one.size[0]}"
        speed = described["at"][where]["gflops"] / one.network.median * 1e3
        share = "–" if one.of_limit is None else f"{one.of_limit:.0%}"
        least = "–" if one.limit_ms is None else f"{one.limit_ms:.1f}"
        rows.append((
            f"{where}, {one.runtime}", measured(one.network), measured(one.ratio, 2), measured(one.end_to_end),
            measured(one.end_to_end_ratio, 2), f"{one.beside:.1f}", f"{one.peak_memory:.0f}", f"{speed:.0f}", least,
            share,
        ))  # fmt: skip
    costs = ", ".join(
        f"{where}: {cost['gflops']:.1f} GFLOP and {cost['megabytes_float32']:.0f} MB in float32"
        for where, cost in described["at"].items()
    )
    measured_rates = "; ".join(
        f"{device}: " + ", ".join(f"{name} {_rate(one)}" for name, one in found.items())
        for device, found in rates.items()
    )
    caption = f"median ± spread (25 to 75 %) of rounds. {costs}. Measured rates, {measured_rates}."
    title = f"{described['name']}: {described['parameters'] / 1e6:.2f}M parameters"
    return ResultTable(HEADINGS, tuple(rows), title, caption)


def _write(
    config: BenchmarkPredictConfig,
    table: ResultTable,
    described: Mapping[str, Any],
    latencies: Sequence[Latency],
    rates: Mapping[str, Mapping[str, Measurement]],
    left_out: Mapping[str, str],
) -> None:
    if config.table is not None:
        table.write(config.table)
    if config.plot is not None:
        plot(config.plot, [(one.runtime, one.size, one.network, one.end_to_end) for one in latencies])
    if config.out is not None:
        settings = {**asdict(config), "threads": _threads(config)}
        content = {
            "network": dict(described),
            "settings": {**settings, "weights": config.weights and Path(config.weights).name},
            "results": [{**asdict(one), "beside_ms": one.beside, "of_limit": one.of_limit} for one in latencies],
            "rates": {device: {n: asdict(one) for n, one in found.items()} for device, found in rates.items()},
            "left_out": dict(left_out),
            "provenance": provenance(machine=machine()),
        }
        write_json(config.out, content)
