"""`hrdepth benchmark export`: time and size of each format."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from hrdepth.benchmark.report import Measurement, machine
from hrdepth.benchmark.subject import Subject, write_images
from hrdepth.config import EXPORTS, FORMATS, BenchmarkExportConfig, ExportConfig
from hrdepth.errors import InputError
from hrdepth.inference.export import export
from hrdepth.inference.runtimes import SUFFIXES, unavailable
from hrdepth.io.files import output_file, write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable, table_format
from hrdepth.registry import lookup

__all__ = ["Exported", "benchmark_export"]


@dataclass(frozen=True)
class Exported:
    """What one format takes.

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
    """Measure, print a table, and write JSON and table where the settings say so.

    Raises:
        InputError: settings that cannot work, or no format that is there.
    """
    subject = Subject(config.weights, config.network, config.options)
    formats, left_out = _formats(config)
    size = config.size or (192, 640)
    found: dict[str, list[Exported]] = {name: [] for name in formats}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = subject.file(folder, size)
        original = weights.stat().st_size / 2**20
        calibration = config.calibration or str(write_images(folder / "pictures", size))
        for _ in track(range(config.rounds), description="exporting", transient=True):
            for kind in [kind for kind in formats if kind not in left_out]:
                try:
                    found[kind].append(_export(weights, folder, kind, config.size, calibration))
                except InputError as error:  # it failed its check, say: a finding, not an end
                    left_out[kind] = str(error).replace(f"{folder}/", "")
    results = [_summary(kind, runs) for kind, runs in found.items() if runs and kind not in left_out]
    table = ResultTable(
        ("format", "s", "spread", "MiB", "largest difference", "mean relative"),
        tuple(
            (one.format, f"{one.seconds.median:.1f}", f"{one.seconds.spread:.1f}", f"{one.mebibytes:.1f}",
             f"{one.largest:.1e}", f"{one.relative:.2%}")
            for one in results
        ),
        f"Export of {subject.name}, check included",
        f"the weights file has {original:.1f} MiB; differences are those of disparity in (0,1) to PyTorch's",
    )  # fmt: skip
    console = Console()
    table.show()
    for kind, reason in left_out.items():
        console.print(f"left out: {kind}: {reason}", markup=False)
    if config.table is not None:
        table.write(config.table)
    if config.out is not None:
        settings = {**asdict(config), "weights": config.weights and Path(config.weights).name}
        content = {"network": subject.name, "settings": settings, "results": [asdict(one) for one in results]}
        facts = {"weights_mebibytes": original, "left_out": left_out, "provenance": provenance(machine=machine())}
        write_json(config.out, {**content, **facts})
    return results


def _formats(config: BenchmarkExportConfig) -> tuple[list[str], dict[str, str]]:
    if not config.formats or config.rounds < 1:
        raise InputError("formats are empty or rounds below 1; give at least one")
    for name in config.formats:
        lookup(dict.fromkeys(EXPORTS), name, "format")
    for path in filter(None, (config.out, config.table)):
        output_file(path, overwrite=config.overwrite)
    if config.table is not None:
        table_format(config.table)
    reasons = {name: unavailable(SUFFIXES[FORMATS[name.removesuffix("-int8")]]) for name in config.formats}
    return list(dict.fromkeys(config.formats)), {name: reason for name, reason in reasons.items() if reason}


def _export(weights: Path, folder: Path, kind: str, size: tuple[int, int] | None, calibration: str) -> Exported:
    name, int8 = kind.removesuffix("-int8"), kind.endswith("-int8")
    out = folder / f"{kind}{FORMATS[name]}"
    settings = ExportConfig(
        str(weights), str(out), format=name, size=size, int8=int8, calibration=calibration if int8 else None,
        overwrite=True,
    )  # fmt: skip
    start = time.perf_counter()
    report = export(settings)
    seconds = time.perf_counter() - start
    written = sum(path.stat().st_size for path in {out, out.with_suffix(".bin")} if path.is_file())
    return Exported(kind, Measurement.of(kind, [seconds], "s"), written / 2**20, report.largest, report.relative)


def _summary(kind: str, runs: list[Exported]) -> Exported:
    seconds = Measurement.of(kind, [run.seconds.median for run in runs], "s")
    last = runs[-1]
    return Exported(kind, seconds, last.mebibytes, max(run.largest for run in runs), last.relative)
