"""Files with settings: recipes by their names, a training's config."""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentParser

from hrdepth.config.names import EARLIER_FOLDER, note_name, rename_keys
from hrdepth.config.safe_yaml import load_yaml, read_text
from hrdepth.config.training import TrainConfig
from hrdepth.errors import InputError

__all__ = [
    "check_config",
    "find_config",
    "merge_settings",
    "names_class",
    "plain_settings",
    "read_train_config",
    "recipe",
    "recipes",
    "train_config",
]

RECIPES = Path(str(resources.files("hrdepth"))) / "recipes"


def names_class(settings: Any) -> bool:
    """Return whether settings name a class in jsonargparse's way, which would import its module."""
    if isinstance(settings, Mapping):
        return "class_path" in settings or any(map(names_class, settings.values()))
    return isinstance(settings, list) and any(map(names_class, settings))


def recipe(name: str) -> Path | None:
    """Return the file of a recipe, or another file beside the recipes; None if there is none.

    Args:
        name: `kitti-hrdepth-m-640x192`, `reproduce/mini`, with or without `.yaml`; `splits/mini-hints-03.txt`; any of
            them below the earlier folder `configs`.
    """
    short = name.removeprefix(EARLIER_FOLDER)
    if Path(short).is_absolute() or ".." in Path(short).parts:
        return None
    found = next((file for file in (RECIPES / short, RECIPES / f"{short}.yaml") if _is_file(file)), None)
    if found is not None and name != short:
        note_name(name, short.removesuffix(".yaml"))
    return found


def recipes() -> dict[str, str]:
    """Return what each recipe is for, by its name: the first sentence of its comment."""
    found = {}
    for file in sorted(RECIPES.rglob("*.yaml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        above = itertools.takewhile(lambda line: line.startswith("#"), lines)
        comment = " ".join(line.removeprefix("#").strip() for line in above)
        found[file.relative_to(RECIPES).with_suffix("").as_posix()] = re.split(r"(?<=[.:;]) ", comment)[0].rstrip(":;")
    return found


def find_config(path: str) -> str:
    """Return the path itself if it is a file, else that of the recipe of this name, if there is one."""
    return path if _is_file(path) else str(recipe(path) or path)


def check_config(name: str) -> str:
    """Return `find_config(name)`, which must be a file; settings in place of a name are not checked.

    Raises:
        InputError: there is none; the sentence has the nearest recipe.
    """
    found = find_config(name)
    if _is_file(found) or name == "null" or re.search(r"[\n{]|: ", name):
        return found
    known = recipes()
    near = difflib.get_close_matches(Path(name).name.removesuffix(".yaml"), known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(f"there is no file and no recipe '{name[:200]}'; {hint}hrdepth recipes lists the recipes")


def _is_file(path: str | Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  (Path.is_file raises OSError where it is long JSON)


def plain_settings(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a training in plain containers, for YAML and the training checkpoint."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))  # tuples become lists
    return plain


def read_train_config(file: Path) -> TrainConfig:
    """Read the settings of a training, such as a run's config.yaml.

    Raises:
        InputError: the file is missing, or holds something else.
    """
    try:
        settings = load_yaml(read_text(file))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{file.parent} is no run's folder: it has no readable {file.name}") from error
    return train_config(settings, str(file))


def train_config(settings: Any, where: str) -> TrainConfig:
    """Return the config of settings, read from YAML.

    Args:
        settings: any of those of `TrainConfig`.
        where: where they come from, for messages.

    Raises:
        InputError: they are not settings of a training.
    """
    where = f"{where} holds no training's settings"
    if not isinstance(settings, Mapping):
        raise InputError(where)
    for name, kind in get_type_hints(TrainConfig).items():
        # jsonargparse would pass such a value to the section's class, whose error is unreadable.
        if is_dataclass(kind) and not isinstance(settings.get(name, {}), Mapping):
            raise InputError(f"{where}: {name} is {settings[name]}; give a section, {name}: {{setting: value, ...}}")
    # jsonargparse would import the module of a class that is named by a key, or by text in place of a section.
    sets = [part for name in ("train", "validation") if isinstance(part := settings.get(name), list)]
    if names_class(settings) or not all(isinstance(entry, Mapping) for part in sets for entry in part):
        raise InputError(f"{where}: a data set must be a section, {{setting: value, ...}}, and no class may be named")
    parser = _training_parser()
    try:
        config: TrainConfig = parser.instantiate(parser.parse_object({"training": rename_keys(settings)})).training
    except Exception as error:  # of any type, from jsonargparse or a section's checks
        sentence = re.sub(r"<class '(\w+)'>", r"\1", " ".join(str(error).split()))
        raise InputError(f"{where}: {sentence}") from error
    return config


@cache  # it takes longer to build than to read a config
def _training_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TrainConfig, "training")
    return parser


def merge_settings(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Replace settings by others, section by section; null removes a setting, another name the rest of its section.

    Source: RFC 7396, JSON Merge Patch; but that options belong to a name.

    Example:
        >>> merge_settings({"network": {"name": "a", "options": {"b": 1, "c": 1}}}, {"network": {"options": {"b": 2}}})
        {'network': {'name': 'a', 'options': {'b': 2, 'c': 1}}}
        >>> merge_settings({"network": {"name": "a", "options": {"weights": "x"}}}, {"network": {"name": "b"}})
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
            merged[key] = merge_settings(inner if isinstance(inner, Mapping) else {}, value)
        elif isinstance(value, list):
            merged[key] = [merge_settings({}, one) if isinstance(one, Mapping) else one for one in value]
        else:
            merged[key] = value
    return merged
