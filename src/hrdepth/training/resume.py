"""Where a run goes on: read a training checkpoint and see that the settings are those that wrote it."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from hrdepth.config import TrainConfig
from hrdepth.config.files import rename_keys
from hrdepth.errors import InputError

__all__ = ["LAST", "Start", "find_start", "plain_settings"]

# The training checkpoint in a run's folder.
LAST = "last.ckpt"

# Settings that change where and when a run is written, shown or ended, but no weight on the way.
FREE = (
    "output", "resume", "epochs", "max_minutes", "checkpoint_minutes", "workers", "log", "init", "guard", "scan",
    "cache",
)  # fmt: skip


@dataclass(frozen=True)
class Start:
    """Where a resumed run goes on.

    Attributes:
        path: the training checkpoint.
        epoch: the epoch to go on with, counted from 0.
        batch: batches of that epoch that were trained already (in each process).
        step: optimiser steps that were made.
        rows: of metrics.csv that were written by then.
        ended: the run had stopped early by itself.
    """

    path: Path
    epoch: int
    batch: int
    step: int
    rows: int
    ended: bool


def find_start(config: TrainConfig) -> Start | None:
    """Find the training checkpoint that `config.resume` names; None for a new run.

    Raises:
        InputError: there is none, it is damaged, or it was written with other settings.
    """
    if config.resume is None:
        return None
    path = Path(config.output) / LAST if config.resume == "last" else Path(config.resume)
    if not Path(config.output).is_dir():
        raise InputError(f"resume goes on in the run's own folder, but output {config.output} does not exist")
    if not path.is_file():
        raise InputError(f"there is no training checkpoint {path} to resume from; start a run without resume")
    content = _read(path)
    about = content["hrdepth"]
    _compare(rename_keys(about["settings"]), plain_settings(config), path)
    if config.epochs < about["epoch"] + bool(about["batch"]):
        raise InputError(f"epochs {config.epochs}: {path} has reached epoch {about['epoch']} already; set more")
    waited = max((state.get("wait_count", 0) for state in content["callbacks"].values()), default=0)
    ended = config.early_stop is not None and waited >= config.early_stop
    return Start(path, about["epoch"], about["batch"], content["global_step"], about["rows"], ended)


def plain_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings in plain containers, as YAML and a training checkpoint can hold them."""
    return {key: _plain(value) for key, value in asdict(config).items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is damaged or no training checkpoint ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict) or "hrdepth" not in content:
        raise InputError(f"{path} is not a training checkpoint of hrdepth; weights files are started from by init")
    return content


def _compare(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    free = FREE if now["optimiser"]["schedule"] != "cosine" else tuple(name for name in FREE if name != "epochs")
    old, new = _flat(before), _flat(now)
    for name in [*new, *(name for name in old if name not in new)]:
        if name.split(".")[0] not in free and old.get(name) != new.get(name):
            raise InputError(
                f"{name} is {new.get(name)}, but {path} was written with {old.get(name)}; a resumed run takes the "
                "settings in its folder's config.yaml"
            )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
