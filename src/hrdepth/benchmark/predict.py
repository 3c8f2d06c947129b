"""`hrdepth benchmark predict`: runtimes and precisions compared with the network in eager float32."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from hrdepth.benchmark.measurement import Measurement, check_benchmark, interleave, report_results
from hrdepth.benchmark.roofline import RATES, Operation, RateTimer, limit, operations
from hrdepth.benchmark.subject import BASELINE, NetworkTimer, Variant, find_subject, write_images
from hrdepth.benchmark.workers import start_workers
from hrdepth.config import BenchmarkPredictConfig
from hrdepth.errors import InputError
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.tables import ResultTable
from hrdepth.weights.checkpoint import read_checkpoint

__all__ = ["Latency", "benchmark_predict", "plot_latency"]

KINDS = ("network", "end_to_end")
PLOTS = (".png", ".svg", ".pdf")
MARKERS = "os^Dvx*P"
BASELINE_COLOUR = "#777777"  # dashed; the others have the colours of all figures
HEADINGS = (
    "size, runtime", "network ms", "ratio", "end to end ms", "ratio", "beside ms", "peak MiB", "GFLOP/s", "limit ms",
    "of limit",
)  # fmt: skip

Rates = dict[str, dict[str, Measurement]]  # by device and by name of `RATES`


@dataclass(frozen=True)
class Latency:
    """Time and memory of one runtime at one size.

    Attributes:
        runtime: name and precision.
        size: (height, width) of the network's input.
        network: milliseconds of the network alone.
        end_to_end: milliseconds from the decoded image to depth at its size.
        ratio: speed relative to the baseline's, the network alone; one per round.
        end_to_end_ratio: the same, end to end.
        beside_ms: milliseconds of `end_to_end` outside the network, timed in the same predictions.
        peak_memory: MiB, of its process while it predicts.
        loading_peak: MiB, of its process while it loads.
        limit_ms: the least milliseconds by this machine's rates, see `roofline`; None where a rate is unknown, or
            where the network takes less, which shows that it is no limit.
    """

    runtime: str
    size: tuple[int, int]
    network: Measurement
    end_to_end: Measurement
    ratio: Measurement
    end_to_end_ratio: Measurement
    beside_ms: float
    peak_memory: float
    loading_peak: float
    limit_ms: float | None

    @property
    def of_limit(self) -> float | None:
        """The limit as a share of the time; 1 reaches it."""
        return None if self.limit_ms is None else self.limit_ms / self.network.median


def benchmark_predict(config: BenchmarkPredictConfig) -> list[Latency]:
    """Measure, print a table, and write JSON, table and plot if the settings name them.

    Raises:
        InputError: settings that cannot work, or the network does not run at a size.
    """
    check_benchmark(config, sizes=1, image_size=1, runtimes=0, rounds=1, runs=1, threads=1)
    if config.plot is not None and Path(config.plot).suffix not in PLOTS:
        raise InputError(f"the plot {config.plot} must end in {', '.join(PLOTS)}")
    wanted = list(dict.fromkeys(Variant.parse(text) for text in config.runtimes))
    left_out = {str(variant): reason for variant in wanted if (reason := variant.missing())}
    variants = [BASELINE, *(variant for variant in wanted if str(variant) not in left_out)]
    threads = config.threads or torch.get_num_threads()
    config = replace(config, threads=threads)
    latencies: list[Latency] = []
    rates: Rates = {}
    with tempfile.TemporaryDirectory() as folder:
        name, weights = find_subject(config, Path(folder), config.sizes[0])
        network = read_checkpoint(weights).network.eval()
        costs = {size: operations(network, size) for size in config.sizes}
        calibration = config.calibration or str(write_images(Path(folder, "images"), config.image_size))
        devices = {device: partial(RateTimer, device, threads) for device in {"cpu", config.device}}
        for size in config.sizes:
            timers = {
                variant: partial(NetworkTimer, config, weights, variant, size, calibration) for variant in variants
            }
            found, rates = _measure(config, timers, devices, size, costs[size], left_out)
            latencies += found
    parameters = sum(parameter.numel() for parameter in network.parameters())
    described = {
        "name": name,
        "parameters": parameters,
        "parameter_bytes": 4 * parameters,
        "at": {
            _text(size): {
                "gflops": sum(one.flops for one in found) / 1e9,
                "megabytes_float32": 4 * sum(one.numbers for one in found) / 1e6,
            }
            for size, found in costs.items()
        },
    }
    results = [{**asdict(one), "of_limit": one.of_limit} for one in latencies]
    table = _table(described, latencies, rates)
    report_results(config, table, left_out=left_out, network=described, results=results, rates=rates)
    if config.plot is not None:
        plot_latency(config.plot, latencies)
    return latencies


def _measure(
    config: BenchmarkPredictConfig,
    timers: Mapping[Variant, partial[NetworkTimer]],
    devices: Mapping[str, partial[RateTimer]],
    size: tuple[int, int],
    cost: Sequence[Operation],
    left_out: dict[str, str],
) -> tuple[list[Latency], Rates]:
    """Measure one size: the variants, interleaved with each other and with the rates of their devices."""
    where = _text(size)
    with start_workers({**timers, **devices}, f"{where}: loading") as workers:
        refused = {variant: reason for variant in timers if (reason := workers[variant].refused)}
        if BASELINE in refused:
            raise InputError(f"the network does not run at {where}: {refused[BASELINE]}")
        left_out.update({f"{variant} at {where}": reason for variant, reason in refused.items()})
        able = [variant for variant in timers if variant not in refused]
        runs: dict[Any, partial[Any]] = {key: partial(workers[key].call, "measure", config.runs) for key in able}
        runs |= {(device, name): partial(workers[device].call, "measure", name) for device in devices for name in RATES}
        found = {
            key: np.array(values) for key, values in interleave(runs, config.rounds, f"{where}: measuring").items()
        }
        described = {variant: workers[variant].call("describe") for variant in able}
    rates: Rates = {device: {} for device in devices}
    for device, name in product(devices, RATES):
        unit = "GB/s" if name == "memory" else "GFLOP/s"
        rates[device][name] = Measurement.of(name, found[device, name] / 1e9, unit)
    latencies = []
    for variant, (device, loading_peak, peak) in described.items():
        times = found[variant]  # (rounds,3): network, end to end, beside; seconds
        speeds = found[BASELINE] / times
        network, end_to_end, beside = (
            Measurement.of(name, 1e3 * times[:, i], "ms") for i, name in enumerate((*KINDS, "beside"))
        )
        ratio, end_to_end_ratio = (Measurement.of(name, speeds[:, i], "x") for i, name in enumerate(KINDS))
        # Rates are in 1e9 a second, so that this is in nanoseconds.
        least = limit(cost, variant.precision, {name: one.median for name, one in rates[device].items()}) / 1e6
        latencies.append(Latency(
            str(variant), size, network, end_to_end, ratio, end_to_end_ratio, beside.median, peak, loading_peak,
            least if least <= network.median else None,
        ))  # fmt: skip
    return latencies, rates


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _table(described: Mapping[str, Any], latencies: Sequence[Latency], rates: Rates) -> ResultTable:
    def measured(one: Measurement, digits: int = 1) -> str:
        return f"{one.median:.{digits}f} ± {one.spread:.{digits}f}"

    def rate(one: Measurement) -> str:
        return f"{one.name} {one.median:.0f} {one.unit}" if np.isfinite(one.median) else f"{one.name} unknown"

    rows = []
    for one in latencies:
        where = _text(one.size)
        speed = described["at"][where]["gflops"] / one.network.median * 1e3
        rows.append((
            f"{where}, {one.runtime}", measured(one.network), measured(one.ratio, 2), measured(one.end_to_end),
            measured(one.end_to_end_ratio, 2), f"{one.beside_ms:.1f}", f"{one.peak_memory:.0f}", f"{speed:.0f}",
            "–" if one.limit_ms is None else f"{one.limit_ms:.1f}",
            "–" if one.of_limit is None else f"{one.of_limit:.0%}",
        ))  # fmt: skip
    costs = ", ".join(
        f"{where}: {cost['gflops']:.1f} GFLOP and {cost['megabytes_float32']:.0f} MB in float32"
        for where, cost in described["at"].items()
    )
    known = "; ".join(f"{device}: " + ", ".join(map(rate, found.values())) for device, found in rates.items())
    caption = f"median ± spread (25 to 75 %) of rounds. {costs}. Measured rates, {known}."
    title = f"{described['name']}: {described['parameters'] / 1e6:.2f}M parameters"
    return ResultTable(HEADINGS, tuple(rows), title, caption)


def plot_latency(path: str | Path, latencies: Sequence[Latency]) -> Path:
    """Draw milliseconds against resolution, network alone and end to end, with their spread, a line a runtime.

    Args:
        path: ends in .png, .svg or .pdf.
        latencies: the baseline's first.
    """
    path = Path(path)
    sizes = sorted({one.size for one in latencies}, key=lambda size: size[0] * size[1])
    with style():
        figure = new_figure(3.0)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, kind, title in zip(panels, KINDS, ("network alone", "image to depth at its size"), strict=True):
            for index, name in enumerate(dict.fromkeys(one.runtime for one in latencies)):
                drawn = {one.size: getattr(one, kind) for one in latencies if one.runtime == name}
                ordered = [size for size in sizes if size in drawn]
                axes.errorbar(
                    [h * w / 1e6 for h, w in ordered],
                    [drawn[size].median for size in ordered],
                    yerr=[drawn[size].spread / 2 for size in ordered],
                    color=colour(index - 1) if index else BASELINE_COLOUR, linestyle="-" if index else "--",
                    linewidth=1, marker=MARKERS[index % len(MARKERS)], markersize=4, capsize=2, label=name,
                )  # fmt: skip
            axes.set_xticks([h * w / 1e6 for h, w in sizes], [f"{w}x{h}" for h, w in sizes])
            axes.set(title=title, xlabel="resolution", yscale="log")
            axes.margins(x=0.15)
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
        panels[0].set_ylabel("ms an image")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
        return save(figure, path.parent, path.stem, [path.suffix[1:]])[0]
