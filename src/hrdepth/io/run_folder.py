"""Read a training run's folder: its progress, curves, newest panel, and why it stopped."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hrdepth.config.safe_yaml import load_yaml
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io import files

__all__ = [
    "RunStatus",
    "drawn_panels",
    "find_runs",
    "read_json_or_empty",
    "read_metrics",
    "read_run",
    "validation_curve",
]

# The metrics are written every half minute; a validation may take longer.
QUIET_SECONDS = 600.0
CURVES = {"train/loss": "training loss", "val/loss": "validation loss"}


@dataclass(frozen=True)
class RunStatus:
    """A run as its folder shows it.

    Attributes:
        name: of the folder.
        state: `training`, `finished`, `stopped` (by the guard) or `quiet` (nothing written for a while).
        network: its name.
        epoch: that it is in, from 1; 0 before the first.
        epochs: in all.
        step: of the optimiser, from 1; 0 before the first.
        steps: in all, as far as the folder shows.
        samples_per_second: the latest.
        minutes: trained so far.
        seconds_left: at that rate; None where it is not known, 0 after the end.
        message: the guard's, or what is to be known about a quiet run.
        curves: name to (step, value).
        panel: the newest panel.
        settings: of the training, as config.yaml holds them.
        about: command, versions, samples and more, as run.json holds them.
    """

    name: str
    state: str
    network: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int | None = None
    samples_per_second: float | None = None
    minutes: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    panel: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def find_runs(paths: Iterable[str | Path]) -> dict[str, Path]:
    """Return the run folders among `paths` and directly below them, by name, the newest first.

    Raises:
        InputError: a path is no folder.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            raise InputError(f"the run folder {path} does not exist; name one that hrdepth train writes, or its parent")
        here = [path] if (path / "config.yaml").is_file() else sorted(p.parent for p in path.glob("*/config.yaml"))
        found.extend(folder.resolve() for folder in here)
    found.sort(key=lambda folder: (folder / "config.yaml").stat().st_mtime, reverse=True)
    names = [folder.name for folder in found]
    return {f.name if names.count(f.name) == 1 else f"{f.parent.name}/{f.name}": f for f in found}


def read_run(folder: Path) -> RunStatus:
    """Read a run's folder, which may be written to at the same time.

    Raises:
        InputError: there is no config.yaml, or it is damaged.
    """
    try:
        config = load_yaml(files.regular_file(folder / "config.yaml").read_text(encoding="utf-8"))
        network, epochs = str(config["network"]["name"]), int(config["epochs"])
    except (*MALFORMED, OSError, yaml.YAMLError) as error:
        raise InputError(f"{folder.name} is no folder of hrdepth train: config.yaml is missing or damaged") from error
    rows, about = read_metrics(folder), read_json_or_empty(folder / "run.json")
    last = _last(rows)
    step, minutes, rate = int(last.get("step", -1)) + 1, last.get("minutes", 0.0), last.get("samples_per_second")
    steps, left = _ahead(config, about, step, minutes, rate)
    if "ended" in about or _validated_last(rows, epochs):
        steps, left = step, 0.0
    state, message = _state(folder, rows, left)
    return RunStatus(
        name=folder.name,
        state=state,
        network=network,
        epoch=int(last.get("epoch", -1)) + 1,
        epochs=epochs,
        step=step,
        steps=steps,
        samples_per_second=rate,
        minutes=minutes,
        seconds_left=left if state == "training" else 0.0 if state == "finished" else None,
        message=message,
        curves={name: curve for column, name in CURVES.items() if (curve := _curve(rows, column))},
        panel=_panel(folder, state),
        settings=config,
        about=about,
    )


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a run's metrics.csv; none if it is missing or damaged."""
    try:
        with files.regular_file(folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, csv.Error, UnicodeDecodeError):
        return []


def validation_curve(folder: Path) -> list[tuple[int, float]]:
    """Return (step, validation loss) of a run, as far as its metrics.csv shows; none if it is missing or damaged."""
    return _curve(read_metrics(folder), "val/loss")


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of a run; empty if it is missing or damaged."""
    try:
        return files.read_json(path)
    except (OSError, ValueError):
        return {}


def _number(text: Any) -> float | None:
    """Return a number; None for what is no text, as of a line with too many columns."""
    try:
        return float(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _last(rows: list[dict[str, str]]) -> dict[str, float]:
    """Return the last number of every column."""
    found: dict[str, float] = {}
    for row in rows:
        numbers = {name: _number(text) for name, text in row.items()}
        found.update({name: value for name, value in numbers.items() if value is not None and math.isfinite(value)})
    return found


def _validated_last(rows: list[dict[str, str]], epochs: int) -> bool:
    """Return whether the validation after the last epoch is there: weights of a mix make its steps hard to predict."""
    return any(_number(row.get("val/loss")) is not None and _number(row.get("epoch")) == epochs - 1 for row in rows)


def _curve(rows: list[dict[str, str]], column: str) -> list[tuple[int, float]]:
    pairs = ((_number(row.get("step")), _number(row.get(column))) for row in rows)
    return [(int(step), y) for step, y in pairs if step is not None and math.isfinite(step) and y is not None]


def _ahead(
    config: dict[str, Any], about: dict[str, Any], step: int, minutes: float, rate: float | None
) -> tuple[int | None, float | None]:
    """Return all steps of the run, and the seconds left."""
    try:
        samples, batch = int(about["samples"]["train"]), int(config["batch_size"])
        processes = int(config.get("devices") or 1) * int(config.get("nodes") or 1)
        accumulate = int(config.get("accumulate") or 1)
        steps = int(config["epochs"]) * -(-(samples // (batch * processes)) // accumulate)
        # The limit counts from each start, `minutes` from the first.
        longest = math.inf if about.get("resumed") else float(config.get("max_minutes") or math.inf)
        left = min((steps - step) * accumulate * batch / rate, 60 * (longest - minutes)) if rate else None
    except MALFORMED:
        return None, None
    return steps, None if left is None else max(left, 0.0)


def _state(folder: Path, rows: list[dict[str, str]], left: float | None) -> tuple[str, str]:
    if message := read_json_or_empty(folder / "stopped.json").get("message"):
        return "stopped", str(message)
    if left == 0.0:
        return "finished", ""
    written = folder / ("metrics.csv" if rows else "config.yaml")
    silent = time.time() - written.stat().st_mtime
    if silent > QUIET_SECONDS:
        return (
            "quiet",
            f"nothing was written for {silent / 60:.0f} minutes: it has ended, was killed, or is in a long validation",
        )
    return "training", ""


def _panel(folder: Path, state: str) -> Path | None:
    stopped = folder / "panels" / "stopped.png"
    if state == "stopped" and stopped.is_file():
        return stopped
    drawn = drawn_panels(folder)
    return drawn[-1] if drawn else None


def drawn_panels(folder: Path) -> list[Path]:
    """Return the panels of a run, the oldest first."""
    return sorted(path for path in folder.glob("panels/*.png") if path.stem.isdecimal())
