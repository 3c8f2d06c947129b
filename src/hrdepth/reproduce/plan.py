"""The training that gives a row: its config, and what is laid over it to train elsewhere or shorter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from hrdepth.config import TrainConfig
from hrdepth.config.reproduction import ReproduceConfig
from hrdepth.errors import InputError
from hrdepth.reproduce.paper import PaperRow

__all__ = ["Plan", "merge", "plan_training", "run_folder"]

BEST = "best.safetensors"


@dataclass(frozen=True)
class Plan:
    """A training.

    Attributes:
        name: of the row, or of the config that another one starts from or learns from.
        config: the settings.
        before: names of configs whose weights it needs.
        settings: plainly, as they were laid over each other.
    """

    name: str
    config: TrainConfig
    before: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def run_folder(config: ReproduceConfig, name: str, seed: int | None) -> Path:
    """Return where the training of a row is."""
    return Path(config.runs) / (name if seed is None else f"{name}-seed{seed}")


def plan_training(
    config: ReproduceConfig,
    row: PaperRow | str,
    seed: int | None = None,
    given: Mapping[str, list[Path]] | None = None,
) -> Plan:
    """Read the config of a row and lay over it what is set.

    Args:
        config: names folders, data, size and other settings.
        row: of the paper; or the name of a config that another one needs.
        seed: of the training; None for that of the config.
        given: weights by name that need no training.

    Raises:
        InputError: no config gives the row, the config is not there, or its settings make no sense.
    """
    if isinstance(row, str):
        name, source, own = row, row, {}
    elif row.config is None:
        raise InputError(f"no config in {config.configs} trains {row.label}; give its weights: {row.name}=FILE")
    else:
        name, source, own = row.name, row.config, dict(row.settings)
    file = Path(config.configs) / f"{source}.yaml"
    if not file.is_file():
        raise InputError(f"{file}, the training of {name}, does not exist; give the folder of configs with --configs")
    settings = merge(merge(yaml.safe_load(file.read_text(encoding="utf-8")), own), config.training)
    settings["output"] = str(run_folder(config, name, seed))
    if seed is not None:
        settings["seed"] = seed
    settings["size"] = [max(64, 32 * int(side * config.resolution / 32 + 0.5)) for side in settings["size"]]
    for part in [*settings["train"], *settings["validation"]]:
        part["root"] = config.roots.get(part["dataset"], part["root"])
    before = _with_weights_before(settings, config, seed, given or {})
    return Plan(name, _read(settings, file), before, settings)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over others, section by section; null takes a setting away, another name its section's rest.

    Source: RFC 7396, JSON Merge Patch; but that options belong to a name.

    Example:
        >>> merge({"network": {"name": "a", "options": {"weights": "x", "b": 1}}}, {"network": {"options": {"b": 2}}})
        {'network': {'name': 'a', 'options': {'weights': 'x', 'b': 2}}}
        >>> merge({"network": {"name": "a", "options": {"weights": "x"}}}, {"network": {"name": "b"}})
        {'network': {'name': 'b'}}
    """
    if "name" in over and over["name"] != base.get("name"):
        base = {}
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            inner = merged.get(key)
            merged[key] = merge(inner if isinstance(inner, Mapping) else {}, value)
        elif isinstance(value, list):
            merged[key] = [merge({}, one) if isinstance(one, Mapping) else one for one in value]
        else:
            merged[key] = value
    return merged


def _with_weights_before(
    settings: dict[str, Any], config: ReproduceConfig, seed: int | None, given: Mapping[str, list[Path]]
) -> tuple[str, ...]:
    """Point `init` and a teacher at the weights that other configs leave; return those configs."""
    places = [(settings, "init"), (settings.get("objective", {}).get("options", {}), "teacher")]
    needed = []
    for section, key in places:
        path = Path(section.get(key) or "")
        name = path.parent.name
        if path.name != BEST or not (Path(config.configs) / f"{name}.yaml").is_file():
            continue
        if name in given:
            section[key] = str(given[name][0])
            continue
        section[key] = str(run_folder(config, name, seed) / BEST)
        needed.append(name)
    return tuple(needed)


def _read(settings: Mapping[str, Any], file: Path) -> TrainConfig:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TrainConfig, "run")
    try:
        config: TrainConfig = parser.instantiate(parser.parse_object({"run": dict(settings)})).run
    except Exception as error:  # whatever jsonargparse makes of it
        said = " ".join(str(error).split())
        raise InputError(f"{file} with what is laid over it holds no training's settings ({said})") from error
    return config
