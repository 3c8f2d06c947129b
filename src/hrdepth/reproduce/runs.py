"""Where the weights of a row are, and training of those that are missing."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from hrdepth.config.reproduction import ReproduceConfig
from hrdepth.errors import InputError, TrainingStopped, training_extra
from hrdepth.reproduce.paper import PaperRow
from hrdepth.reproduce.plan import BEST, Plan, plan_training, run_folder
from hrdepth.weights import weights_file

__all__ = ["Given", "Weights", "find_weights", "given_weights", "train_missing"]

log = logging.getLogger(__name__)

Given = Mapping[str, list[Path]]
# Settings that change where and how a run is written or shown, not what it learns.
_SILENT = (
    "output", "resume", "max_minutes", "checkpoint_minutes", "workers", "log", "guard", "scan", "cache", "device",
    "init", "seed", "metres_per_unit",
)  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """Weights of a row.

    Attributes:
        path: of the file.
        seed: of the training; None where there is one only. Of given weights their place in the list.
        note: what is to be known of their training, or "".
    """

    path: Path
    seed: int | None = None
    note: str = ""


def given_weights(texts: list[str] | None) -> dict[str, list[Path]]:
    """Read NAME=FILE,FILE,... into files by name.

    Raises:
        InputError: a text of another form, a name twice, or a file that is not there.
    """
    given: dict[str, list[Path]] = {}
    for text in texts or []:
        name, equals, files = text.partition("=")
        paths = [part for part in files.split(",") if part]
        if not equals or not name or not paths:
            raise InputError(f"'{text}' must read NAME=FILE or NAME=FILE,FILE,... with the name of a row")
        if name in given:
            raise InputError(f"weights of '{name}' are given twice; list them behind one name, with commas")
        given[name] = [weights_file(path) for path in paths]
    return given


def find_weights(row: PaperRow, config: ReproduceConfig, given: Given) -> tuple[list[Weights], str]:
    """Find the weights of a row, a file a seed; if there are none, say why.

    Raises:
        InputError: a training checkpoint is damaged.
    """
    if row.name in given:
        files = given[row.name]
        return [Weights(path, place if len(files) > 1 else None) for place, path in enumerate(files)], ""
    found = []
    for seed in _seeds(config):
        folder = run_folder(config, row.name, seed)
        if (folder / BEST).is_file():
            found.append(Weights(folder / BEST, seed, _note(row, config, seed, given)))
    if found:
        return found, ""
    reason = "no config trains it" if row.config is None else f"no weights in {config.runs}"
    stopped = run_folder(config, row.name, next(iter(config.seeds), None)) / "stopped.json"
    if stopped.is_file():
        reason = f"its training was stopped: {json.loads(stopped.read_text(encoding='utf-8')).get('message', '')}"
    return [], reason


def train_missing(row: PaperRow, config: ReproduceConfig, given: Given) -> None:
    """Train a row whose weights are missing, and before it what it starts or learns from; go on with stopped runs.

    A run that the guard stops is left as it is, and said so.

    Raises:
        InputError: no config gives the row, or what `training.train` raises.
    """
    if row.name in given:
        return
    for seed in _seeds(config):
        try:
            _train(plan_training(config, row, seed, given), config, seed, given)
        except TrainingStopped as stop:
            log.warning("%s: %s", run_folder(config, row.name, seed), stop)


def _train(plan: Plan, config: ReproduceConfig, seed: int | None, given: Given) -> None:
    folder = Path(plan.config.output)
    epochs = _epochs_done(folder)
    # A run with a limit of time that has ended is not told from one that was stopped.
    if (folder / BEST).is_file() and (epochs is None or epochs >= plan.config.epochs or plan.config.max_minutes):
        return
    if epochs is None and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"{folder} holds a run that was killed before its first training checkpoint; remove it, and it is made anew"
        )
    for name in plan.before:
        _train(plan_training(config, name, seed, given), config, seed, given)
    with training_extra():
        from hrdepth.training import train
    train(replace(plan.config, resume=None if epochs is None else "last"))


def _seeds(config: ReproduceConfig) -> list[int | None]:
    return [*config.seeds] or [None]


def _epochs_done(folder: Path) -> float | None:
    """Return the epochs that a run has made, halves for a part of one; None without a training checkpoint."""
    path = folder / "last.ckpt"
    if not path.is_file():
        return None
    try:
        about = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["hrdepth"]
        return float(about["epoch"]) + 0.5 * bool(about["batch"])
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path} is damaged or no training checkpoint; remove the folder to train it anew") from error


def _note(row: PaperRow, config: ReproduceConfig, seed: int | None, given: Given) -> str:
    """Say where the run that left the weights is not what the config asks for."""
    try:
        plan = plan_training(config, row, seed, given).config
    except InputError:  # no config to compare with
        return ""
    folder, notes = Path(plan.output), []
    if row.dataset.startswith("CS") and plan.init is None:
        notes.append("without CityScapes")
    epochs = _epochs_done(folder)
    if epochs is not None and epochs < plan.epochs:
        notes.append(f"after {int(epochs)} of {plan.epochs} epochs")
    try:
        stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return "; ".join(notes)
    wanted = json.loads(json.dumps(asdict(plan)))
    others = [key for key, value in wanted.items() if key not in _SILENT and _plain(stored.get(key)) != value]
    if others:
        notes.append(f"trained with other settings of {', '.join(others)}")
    return "; ".join(notes)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
