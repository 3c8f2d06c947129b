"""`hrdepth benchmark export`: time and size of each format."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from hrdepth.benchmark.measurement import Measurement, check_benchmark, report_results
from hrdepth.benchmark.subject import find_subject, write_images
from hrdepth.config import EXPORTS, FORMATS, BenchmarkExportConfig, ExportConfig
from hrdepth.errors import InputError
from hrdepth.inference.export import ExportReport, export
from hrdepth.inference.runtimes import SUFFIXES, unavailable
from hrdepth.io.tables import ResultTable
from hrdepth.registry import lookup

__all__ = ["Exported", "benchmark_export"]


@dataclass(frozen=True)
class Exported:
    """Time and size of one format.

    Attributes:
        format: of `EXPORTS`.
        seconds: of an export with its check against PyTorch.
        mebibytes: of its files together.
        largest: largest difference of disparity to PyTorch's.
        relative: mean relative one.
    """

    format: str
    seconds: Measurement
    mebibytes: float
    largest: float
    relative: float


def benchmark_export(config: BenchmarkExportConfig) -> list[Exported]:
    """Measure, print a table, and write JSON and table if the settings name them.

    Raises:
        InputError: settings that cannot work, or no format that is there.
    """
    check_benchmark(config, formats=0, rounds=1, size=1)
    formats = list(dict.fromkeys(config.formats))
    for kind in formats:
        lookup(dict.fromkeys(EXPORTS), kind, "format")
    runtimes = {kind: SUFFIXES[FORMATS[kind.removesuffix("-int8")]] for kind in formats}
    left_out = {kind: reason for kind, runtime in runtimes.items() if (reason := unavailable(runtime))}
    found: dict[str, list[tuple[float, float, ExportReport]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, size = Path(temporary), config.size or (192, 640)
        name, weights = find_subject(config, folder, size)
        original = weights.stat().st_size / 2**20
        calibration = config.calibration or str(write_images(folder / "images", size))
        for kind in track(formats * config.rounds, "exporting", transient=True):
            if kind in left_out:
                continue
            try:
                found.setdefault(kind, []).append(_export(weights, folder, kind, config.size, calibration))
            except InputError as error:  # such as a failed check: a result, not an end
                left_out[kind] = str(error).replace(f"{folder}/", "")
    results = []
    for kind in (kind for kind in found if kind not in left_out):
        seconds, sizes, checks = zip(*found[kind], strict=True)
        largest = max(check.largest for check in checks)
        results.append(Exported(kind, Measurement.of(kind, seconds, "s"), sizes[-1], largest, checks[-1].relative))
    table = ResultTable(
        ("format", "s", "spread", "MiB", "largest difference", "mean relative"),
        tuple(
            (one.format, f"{one.seconds.median:.1f}", f"{one.seconds.spread:.1f}", f"{one.mebibytes:.1f}",
             f"{one.largest:.1e}", f"{one.relative:.2%}")
            for one in results
        ),
        f"Export of {name}, check included",
        f"the weights file has {original:.1f} MiB; differences are those of disparity in (0,1) to PyTorch's",
    )  # fmt: skip
    report_results(config, table, left_out=left_out, network=name, results=results, weights_mebibytes=original)
    return results


def _export(
    weights: Path, folder: Path, kind: str, size: tuple[int, int] | None, calibration: str
) -> tuple[float, float, ExportReport]:
    """Return seconds, MiB and the check of one export."""
    name, int8 = kind.removesuffix("-int8"), kind.endswith("-int8")
    out = folder / f"{kind}{FORMATS[name]}"
    settings = ExportConfig(
        str(weights), str(out), format=name, size=size, int8=int8, calibration=calibration if int8 else None,
        overwrite=True,
    )  # fmt: skip
    start = time.perf_counter()
    check = export(settings)
    seconds = time.perf_counter() - start
    written = sum(path.stat().st_size for path in {out, out.with_suffix(".bin")} if path.is_file())
    return seconds, written / 2**20, check
