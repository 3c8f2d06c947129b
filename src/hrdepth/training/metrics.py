"""The run's figures as a table, one history however often the run was resumed."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from hrdepth.io.files import atomic_path

__all__ = ["MetricsFile"]

# Seconds between two writings of the file.
INTERVAL = 30.0


class MetricsFile(Logger):
    """Write `metrics.csv`; Lightning's own logger deletes the file that it finds.

    Args:
        path: the file.
        rows: of the file that a resumed run keeps; what was written after its checkpoint will come again.
    """

    def __init__(self, path: Path, rows: int = 0) -> None:
        super().__init__()
        self.path = path
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()
        self._unwritten = 0
        if rows and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                self._rows = list(csv.DictReader(file))[:rows]

    @property
    def name(self) -> str:
        """None is needed: a run has one such file."""
        return ""

    @property
    def version(self) -> str:
        """As `name`."""
        return ""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Leave settings to config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Add a row."""
        self._rows.append({name: float(value) for name, value in metrics.items()} | {"step": step})
        if "epoch" in metrics:
            self._rows[-1]["epoch"] = int(metrics["epoch"])
        self._unwritten += 1
        if time.monotonic() - self._written > INTERVAL:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write what there is."""
        if not self._unwritten:
            return
        columns = sorted(set().union(*self._rows))
        with atomic_path(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows)
        self._written, self._unwritten = time.monotonic(), 0

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rest."""
        self.save()
