"""What every benchmark reports: measurements with their spread, the machine, a table and a JSON file."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from hrdepth.config import BenchmarkOutput
from hrdepth.config.bounds import MOST
from hrdepth.errors import InputError
from hrdepth.io.files import output_file, write_json
from hrdepth.io.parallel import usable_cores
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable, table_format
from hrdepth.machine import processor, total_memory

__all__ = ["Measurement", "check_benchmark", "interleave", "report_measurements", "report_results"]

Name = TypeVar("Name")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Measurement:
    """One measured quantity.

    Attributes:
        name: what was measured.
        median: of the samples, in `unit`.
        spread: from the 25th to the 75th percentile, in `unit`.
        unit: such as `ms` or `samples/s`.
        samples: number of measurements.

    Example:
        >>> Measurement.of("a step", [3.0, 1.0, 2.0, 10.0, 2.0], "ms")
        Measurement(name='a step', median=2.0, spread=1.0, unit='ms', samples=5)
    """

    name: str
    median: float
    spread: float
    unit: str
    samples: int

    @classmethod
    def of(cls, name: str, values: Sequence[float] | NDArray[np.float64], unit: str) -> Measurement:
        """Summarise repeated measurements."""
        low, median, high = np.percentile(values, [25, 50, 75])
        return cls(name, float(median), float(high - low), unit, len(values))


def check_benchmark(config: BenchmarkOutput, **least: int) -> None:
    """Check a benchmark's settings before it measures anything.

    Args:
        config: names the files to write: JSON and, where there are any, table and plot.
        least: by setting, the least that its numbers may be; a list must not be empty.

    Raises:
        InputError: a number is too small or too large, a list is empty, a file exists and may not be overwritten, or
            the table's format is unknown.
    """
    for name, smallest in least.items():
        value = getattr(config, name)
        if isinstance(value, list) and not value:
            raise InputError(f"{name} is empty; give at least one")
        numbers = np.ravel(value if value is not None else smallest)
        if numbers.dtype.kind not in "ifO":  # O: of whole numbers beyond 64 bits
            continue
        if numbers.min() < smallest:
            raise InputError(f"{name} {value} must be {'positive' if smallest == 1 else f'at least {smallest}'}")
        if numbers.max() > MOST:
            raise InputError(f"{name} {value} must be at most {MOST}")
    files = {name: getattr(config, name, None) for name in ("out", "table", "plot")}
    for path in filter(None, files.values()):
        output_file(path, overwrite=config.overwrite)
    if files["table"] is not None:
        table_format(files["table"])


def interleave(runs: Mapping[Name, Callable[[], Result]], rounds: int, what: str) -> dict[Name, list[Result]]:
    """Call each of `runs` once a round, so that device noise affects all equally; return their results by name."""
    found: dict[Name, list[Result]] = {name: [] for name in runs}
    for name in track(list(runs) * rounds, what, transient=True):
        found[name].append(runs[name]())
    return found


def report_results(
    config: BenchmarkOutput,
    table: ResultTable,
    *,
    settings: Mapping[str, Any] | None = None,
    left_out: Mapping[str, str] | None = None,
    **content: Any,
) -> None:
    """Write the table and a JSON file where the settings name one, and print the table.

    Args:
        config: the settings, written to the JSON file.
        table: what is printed.
        settings: replace those of `config` in the JSON file.
        left_out: what could not be measured, with the reason.
        content: results for the JSON file, also as dataclasses; versions, command and machine are added.
    """
    given = asdict(config)
    if given.get("table") is not None:
        table.write(given["table"])
    if config.out is not None:
        if given.get("weights"):
            given["weights"] = Path(given["weights"]).name
        given.update(settings or {})
        parts = {} if left_out is None else {"left_out": left_out}
        made = provenance(machine=_machine())
        write_json(config.out, {"settings": given, **content, **parts, "provenance": made})
    table.show()
    for name, reason in (left_out or {}).items():
        Console().print(f"left out: {name}: {reason}", markup=False)


def report_measurements(
    config: BenchmarkOutput, title: str, measurements: Sequence[Measurement], **content: Any
) -> None:
    """Report measurements, a row each; `content` as for `report_results`."""
    rows = tuple(
        (one.name, f"{one.median:.4g}", f"{one.spread:.2g}", one.unit, str(one.samples)) for one in measurements
    )
    table = ResultTable(("measured", "median", "spread", "unit", "samples"), rows, title)
    report_results(config, table, **content, measurements=measurements)


def _machine() -> dict[str, Any]:
    """Describe the machine: processor, cores (all, and those this process may use), memory, accelerator, system."""
    torch, memory = sys.modules.get("torch"), total_memory()  # what is measured has imported torch, if it needs it
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "memory_gib": memory and round(memory / 2**10, 1),
        "accelerator": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        "system": platform.platform(),
    }
