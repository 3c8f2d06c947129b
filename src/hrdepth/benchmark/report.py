"""What every benchmark reports: measurements with their spread, memory, the machine, a table and a JSON file."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance

__all__ = [
    "Measurement",
    "machine",
    "memory",
    "own_peak_memory",
    "peak_memory",
    "print_table",
    "reset_peak_memory",
    "write_report",
]


@dataclass(frozen=True)
class Measurement:
    """One measured quantity.

    Attributes:
        name: what was measured.
        median: of the samples, in `unit`.
        spread: from the 25th to the 75th percentile, in `unit`.
        unit: such as `ms` or `samples/s`.
        samples: how often it was measured.

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
    def of(cls, name: str, values: Sequence[float], unit: str) -> Measurement:
        """Summarise repeated measurements."""
        low, median, high = np.percentile(values, [25, 50, 75])
        return cls(name, float(median), float(high - low), unit, len(values))


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores (all, and those this process may use), memory, accelerator, system."""
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "memory_gib": _memory_gib(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
    }


def peak_memory(*, children: bool = False) -> float | None:
    """Return the most memory that this process has held so far, in MiB; None where that is not known.

    Args:
        children: of the largest process that it started and that has ended, instead.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (2**20 if platform.system() == "Darwin" else 2**10)  # bytes there, KiB elsewhere


def own_peak_memory() -> float:
    """Return this process's largest resident memory, MiB.

    Linux: of its own pages alone; that of `peak_memory` begins with the pages of the process that started it.
    """
    if platform.system() == "Linux":
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return peak_memory() or float("nan")


def reset_peak_memory() -> None:
    """Let `own_peak_memory` begin again, where the kernel allows it; else it includes what was before."""
    path = Path("/proc/self/clear_refs")
    with suppress(OSError):
        if os.access(path, os.W_OK):
            path.write_text("5", encoding="ascii")


def memory() -> float | None:
    """Return the memory that this process (its main one) holds now, MiB; None where that is not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:  # not Linux
        return peak_memory()


def print_table(title: str, measurements: Sequence[Measurement]) -> None:
    """Print the measurements as a table."""
    table = Table(title=title, title_justify="left")
    table.add_column("measured")
    for column in ("median", "spread", "unit", "samples"):
        table.add_column(column, justify="left" if column == "unit" else "right")
    for one in measurements:
        table.add_row(one.name, f"{one.median:.4g}", f"{one.spread:.2g}", one.unit, str(one.samples))
    Console().print(table)


def write_report(path: str | Path, measurements: Sequence[Measurement], **facts: Any) -> None:
    """Write the measurements as JSON, atomically, with `facts` (such as sizes), versions, command and machine."""
    content = {
        **facts,
        "measurements": [asdict(one) for one in measurements],
        "provenance": provenance(machine=machine()),
    }
    write_json(path, content)


def _processor() -> str:
    if platform.system() == "Linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    if platform.system() == "Darwin":
        found = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if found.stdout.strip():
            return found.stdout.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
