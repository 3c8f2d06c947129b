"""The training that gives a row, and how the network of a weights file differs from it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hrdepth.config import NetworkConfig, ReproduceConfig, TrainConfig
from hrdepth.config.names import rename_keys
from hrdepth.config.safe_yaml import load_yaml, read_text
from hrdepth.config.setting_files import find_config, merge_settings, train_config
from hrdepth.config.training import nested_options
from hrdepth.errors import MALFORMED, InputError
from hrdepth.inference.runtimes.source import SUFFIXES, read_description
from hrdepth.io.files import parse_json
from hrdepth.networks import NETWORKS
from hrdepth.paper import PaperRow
from hrdepth.weights.find import read_metadata

__all__ = [
    "Plan",
    "network_mismatch",
    "network_text",
    "plan_training",
    "row_mismatch",
    "run_folder",
    "run_name",
    "stored_network",
]

BEST = "best.safetensors"


@dataclass(frozen=True)
class Plan:
    """A training.

    Attributes:
        config: the settings.
        before: names of configs whose weights it needs.
    """

    config: TrainConfig
    before: tuple[str, ...]


def run_name(name: str, seed: int | None) -> str:
    """Return what the training of a row, and its measurement, are called."""
    return name if seed is None else f"{name}-seed{seed}"


def run_folder(config: ReproduceConfig, name: str, seed: int | None) -> Path:
    """Return where the training of a row is."""
    return Path(config.runs) / run_name(name, seed)


def plan_training(
    config: ReproduceConfig, row: PaperRow | str, seed: int | None = None, given: Mapping[str, list[Path]] | None = None
) -> Plan:
    """Read the config of a row and replace the settings that are given.

    Args:
        config: names folders, data, size and other settings.
        row: of the paper; or the name of a config that another one needs.
        seed: of the training; None for that of the config.
        given: weights by name, which need no training.

    Raises:
        InputError: no config gives the row, the config is not there, or its settings make no sense.
    """
    if isinstance(row, str):
        row = PaperRow(row, row, "", "", "", {}, config=row)
    if row.config is None:
        where = config.configs or "the recipes"
        raise InputError(f"no config in {where} trains {row.label}; give its weights: {row.name}=FILE")
    file = _file(config, row.config)
    if not file.is_file():
        raise InputError(
            f"{file}, the training of {row.name}, does not exist; give the folder of configs with --configs"
        )
    settings = merge_settings(rename_keys(load_yaml(read_text(file))), row.settings)
    for over in (config.training, config.row_training.get(row.name, {})):
        settings = merge_settings(settings, rename_keys(over))
    settings["output"] = str(run_folder(config, row.name, seed))
    if seed is not None:
        settings["seed"] = seed
    training = train_config(settings, f"{file} with the settings over it")
    height, width = (max(64, 32 * int(side * config.resolution / 32 + 0.5)) for side in training.size)
    train, validation = (
        [replace(part, root=config.roots.get(part.dataset, part.root)) for part in parts]
        for parts in (training.train, training.validation)
    )
    training = replace(training, size=(height, width), train=train, validation=validation)
    return _with_weights_before(training, config, seed, given or {})


def _with_weights_before(
    training: TrainConfig, config: ReproduceConfig, seed: int | None, given: Mapping[str, list[Path]]
) -> Plan:
    """Point `init` and a teacher to the weights that other configs write."""
    before = []

    def located(path: Any) -> Any:
        name = Path(path).parent.name if isinstance(path, str) else ""
        if not name or Path(path).name != BEST or not _file(config, name).is_file():
            return path
        if name in given:
            return str(given[name][0])
        before.append(name)
        return str(run_folder(config, name, seed) / BEST)

    training = replace(training, init=located(training.init))
    objective = deepcopy(training.objective)
    for options in nested_options(objective.options):
        if "teacher" in options:
            options["teacher"] = located(options["teacher"])
    return Plan(replace(training, objective=objective), tuple(before))


def _file(config: ReproduceConfig, name: str) -> Path:
    """Return the file of a training config: in the folder of configs, else a recipe."""
    return Path(find_config(str(Path(config.configs or "") / f"{name}.yaml")))


def stored_network(path: Path) -> tuple[NetworkConfig | None, tuple[int, int]]:
    """Read which network a weights file or an exported file holds, without its tensors.

    Returns:
        Its name and options, None where an exported file has none; and (height, width) of its input.

    Raises:
        InputError: it is neither, or damaged.
    """
    try:
        if path.suffix in SUFFIXES:
            described = read_description(path)
            network, size = described.network, described.size
        else:
            metadata = read_metadata(path)
            network, size = parse_json(metadata["network"]), parse_json(metadata["size"])
        height, width = size
        return NetworkConfig(**network) if network else None, (int(height), int(width))
    except MALFORMED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a weights file of hrdepth, or its metadata is damaged; published files are converted by "
            "`hrdepth import-weights`"
        ) from error


def row_mismatch(row: PaperRow, config: ReproduceConfig, path: Path) -> str:
    """Describe how the file's network differs from that of the row's config, or return ""."""
    try:
        wanted = plan_training(replace(config, training={}), row).config.network
    except InputError:  # no config to compare with
        return ""
    return network_mismatch(wanted, path)


def network_mismatch(wanted: NetworkConfig, path: Path) -> str:
    """Describe how the file's network differs from the expected one, or return ""."""
    stored, _ = stored_network(path)
    if stored is None:
        return "the file does not name its network"
    if stored.name != wanted.name:
        return f"its network is {stored.name}, not the row's {wanted.name}"
    own, expected = _options(stored), _options(wanted)
    others = [name for name in own | expected if own.get(name) != expected.get(name)]
    return f"its network has other options than the row's: {', '.join(others)}" if others else ""


def network_text(network: Mapping[str, Any] | None) -> str:
    """Format name and options of a network for a table.

    Example:
        >>> network_text({"name": "hrdepth", "options": {"fusion": "conv"}})
        'hrdepth (fusion: conv)'
    """
    if network is None:
        return ""
    options = ", ".join(f"{name}: {value}" for name, value in network["options"].items())
    return f"{network['name']} ({options})" if options else str(network["name"])


def _options(network: NetworkConfig) -> dict[str, Any]:
    """Return all options with their defaults, without the backbone's initial weights."""
    kind = NETWORKS.get(network.name)
    known = {} if kind is None else inspect.signature(kind).parameters
    options = {name: one.default for name, one in known.items()} | network.options
    options.pop("weights", None)
    if "backbone" in options:
        options["backbone"] = str(options["backbone"]).partition(".")[0]  # without timm's tag of weights
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
