"""Parse arguments to a command's config; options, types, defaults and help come from the config's dataclass."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import docstring_parser
import yaml
from jsonargparse import ActionYesNo, ArgumentParser, get_loader, set_loader, set_parsing_settings

import hrdepth
from hrdepth.cli.argument_errors import describe_error, option_names
from hrdepth.cli.commands import COMMANDS, GROUPS
from hrdepth.config.names import current_name, rename_keys
from hrdepth.config.safe_yaml import SettingsLoader, check_settings_file, check_yaml
from hrdepth.config.setting_files import check_config, names_class
from hrdepth.errors import InputError
from hrdepth.io.local_copies import fetched
from hrdepth.io.objects import is_url

__all__ = ["parse"]

# Such as fx,fy,cx,cy.
NUMBERS = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?(,[-+]?[\d.]+(e[-+]?\d+)?)+")

# Options that take a size, or several.
SIZE_OPTION = re.compile(r"--(\w+\.)*(\w+_)?sizes?")
SIZES = re.compile(r"\d+x\d+(,\d+x\d+)*")

_load = get_loader("yaml")


def _load_settings(text: str) -> Any:
    check_yaml(text)
    settings = yaml.load(text, Loader=SettingsLoader)
    if isinstance(settings, dict) and not any(settings.values()) and _load(text) is text:
        return text  # such as `{a, b}`, which is not meant as settings without values
    settings = rename_keys(settings)
    if names_class(settings):
        raise yaml.YAMLError("settings name no classes; remove class_path")
    return settings


set_loader("yaml", _load_settings, (yaml.YAMLError,))


class _Parser(ArgumentParser):
    """A parser that answers what it cannot read in one sentence."""

    given: tuple[str, type[Any] | None, list[str]] = ("", None, [])  # the command, its config, its options

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print what is wrong, and exit with status 2."""
        name, kind, options = _Parser.given
        command = f"hrdepth {name} --help" if name else "hrdepth --help"
        self.exit(2, f"hrdepth: {describe_error(message, kind, options)} (see `{command}`)\n")


def _boolean_type(value: Any) -> bool | None:  # argparse names it in messages, as that of `ActionYesNo`
    words = {"true": True, "yes": True, "false": False, "no": False, "null": None, "none": None}
    if str(value).lower() not in words:
        raise TypeError(f"'{value}' is not true, false or null")
    return words[str(value).lower()]


class _OptionalSwitch(ActionYesNo):
    """A switch that may also be null, which leaves the choice to the command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.type, self.const, self.metavar = _boolean_type, True, "{true,yes,false,no,null}"

    def __call__(self, *given: Any, **options: Any) -> None:
        """Set what was given, or None for null."""
        if given[2] is None:
            setattr(given[1], self.dest, None)
        else:
            super().__call__(*given, **options)  # type: ignore[no-untyped-call]

    def _check_type(self, value: Any) -> bool | None:
        try:
            return _boolean_type(value)
        except TypeError as error:
            raise TypeError(f"--{self.dest}: {error}") from error


def parse(arguments: Sequence[str]) -> tuple[str, Any]:
    """Return the name of the command, a key of `COMMANDS`, and its config.

    Raises:
        SystemExit: an argument is invalid, or help or settings were printed.
    """
    # A value such as `module.Class`, or one with the key class_path, would import that module, which runs it.
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=["hrdepth.config"])
    given = _with_recipe(_with_sizes([_as_settings(argument) for argument in _spelt_out(arguments)]))
    given = _with_preset(_with_checkpoint(given))
    name = next((name for name in COMMANDS if given[: len(name.split())] == name.split()), "")
    parser, _Parser.given = _parser(name, "--version" in given)
    try:
        settings = parser.parse_args(given)
    except BaseException:  # it may still hold what it was asked for, such as `--print_config`
        _parser.cache_clear()
        raise
    name = str(settings.command)
    made = parser.instantiate(settings)[name]
    if name in GROUPS:
        name, made = f"{name} {made['part']}", made[made["part"]]
    kind = _config_of(name)
    return name, kind(**{field.name: made[field.name] for field in dataclasses.fields(kind) if field.name in made})


def _config_of(name: str) -> type[Any]:
    kind: type[Any] = get_type_hints(COMMANDS[name][0])["config"]
    return kind


@cache
def _parser(given: str, version: bool) -> tuple[_Parser, tuple[str, type[Any] | None, list[str]]]:
    """Build the parser, with options of the given command only, which saves half a second; and describe it."""
    described: tuple[str, type[Any] | None, list[str]] = "", None, []
    parser = _Parser(
        prog="hrdepth",
        description="Self-supervised monocular depth: train, evaluate, predict.",
        version=hrdepth.__version__ if version else "",
    )
    commands = parser.add_subcommands(dest="command")
    parts: dict[str, Any] = {}
    for name, (function, positional) in COMMANDS.items():
        group, _, part = name.partition(" ")
        if part and group not in parts:
            several = _Parser(description=GROUPS[group])
            commands.add_subcommand(group, several, help=GROUPS[group])
            parts[group] = several.add_subcommands(dest="part")
        command = _Parser(description=function.__doc__)
        if name == given:
            _add_options(command, name, positional)
            described = name, _config_of(name), option_names(command)
        (parts[group] if part else commands).add_subcommand(part or name, command, help=function.__doc__)
    return parser, described


def _add_options(command: _Parser, name: str, positional: str) -> None:
    kind = _config_of(name)
    fields, hints, texts = dataclasses.fields(kind), get_type_hints(kind), _texts(kind)
    if "config" not in hints:  # else the option is a config file for another command
        command.add_argument(
            "--config", action="config", help="a YAML file with any of the settings below, or a recipe"
        )
    if name == "train":  # replaced by a config before the others are read
        # Not a setting: other commands read the output of `--print_config`.
        about = "a set made by `hrdepth prepare`, with settings that suit it; other options override them"
        command.add_argument("--data", type=str, default=argparse.SUPPRESS, help=about)
        about = "with --data: learn the true depth in its drives' depth folders, rendered or a sensor's"
        teacher = "with --data: learn from any depth model too, such as depth-anything/Depth-Anything-V2-Small-hf"
        command.add_argument("--teacher", type=str, default=argparse.SUPPRESS, help=teacher)
        command.add_argument("--supervised", action="store_true", default=argparse.SUPPRESS, help=about)
    many: dict[str, Any] = {"+": {"nargs": "+"}, "*": {"nargs": "*", "default": []}}
    arguments = {word.rstrip("+*"): many.get(word[-1], {}) for word in positional.split()}
    for argument, several in arguments.items():
        command.add_argument(argument, type=str, help=texts.get(argument), **several)
    switches = {bool: ActionYesNo, bool | None: _OptionalSwitch}
    flags = [field for field in fields if hints[field.name] in switches]
    skipped = {*(field.name for field in flags), *arguments}
    command.add_class_arguments(kind, as_group=False, skip=skipped, sub_configs=True)
    for action in command._actions:  # those of sections, such as --protocol.post_process, need no value either
        if getattr(action, "_typehint", None) is bool:
            action.nargs, action.const = "?", True
    for field in flags:
        switch = switches[hints[field.name]]
        command.add_argument(
            f"--{field.name}", action=switch, nargs="?", default=field.default, help=texts.get(field.name)
        )


def _texts(kind: type) -> dict[str, str]:
    """Return each field's description from the docstrings of a dataclass and its bases."""
    bases = [docstring_parser.parse(base.__doc__ or "") for base in reversed(kind.__mro__) if base is not object]
    return {part.arg_name: part.description or "" for doc in bases for part in doc.params}


def _spelt_out(given: Sequence[str]) -> list[str]:
    """Complete `prepare drive.mp4 ...`, `prepare --cache ...`, `recipes` and `recipes copy NAME FILE`."""
    if list(given[:2]) == ["recipes", "copy"] and len(given) > 3 and not any(map(_is_option, given[2:4])):
        return [*given[:3], "--out", *given[3:]]
    if list(given) in (["recipes"], ["recipes", "--json"]):
        return ["recipes", "list", *given[1:]]
    first = next(iter(given[1:]), "--help")
    parts = [name.split()[1] for name in COMMANDS if name.startswith("prepare ")]
    if list(given[:1]) != ["prepare"] or first in (*parts, "-h", "--help"):
        return list(given)
    of_cache = first.partition("=")[0] in ("--cache", "--config", "--verify", "--threads")
    of_cache = of_cache and not any(argument.partition("=")[0] == "--out" for argument in given)
    return ["prepare", "cache" if of_cache else "video", *given[1:]]


def _is_option(argument: str) -> bool:
    return argument.startswith("-")


def _as_settings(argument: str) -> str:
    """Convert `--pose-encoder` to `--pose_encoder`, as in the config, and `1,2,3` to a list of numbers."""
    if not argument.startswith("--"):
        return f"[{argument}]" if NUMBERS.fullmatch(argument) else argument
    name, equals, value = argument[2:].partition("=")
    name = ".".join(map(current_name, name.replace("-", "_").split(".")))
    return f"--{name}{equals}{_as_settings(value) if value else value}"


def _with_sizes(given: list[str]) -> list[str]:
    """Replace `--size 640x192`, width x height, by `--size [192,640]`, as in the config; commas separate several."""
    options = ["", *(argument if "=" not in argument else "" for argument in given)]
    return [_size(option, argument) for option, argument in zip(options, given, strict=False)]


def _size(option: str, argument: str) -> str:
    name, equals, value = argument.partition("=") if _is_option(argument) else (option, "", argument)
    if not SIZE_OPTION.fullmatch(name) or not SIZES.fullmatch(value):
        return argument
    sizes = [f"[{height},{width}]" for width, _, height in (size.partition("x") for size in value.split(","))]
    listed = f"[{','.join(sizes)}]" if name.endswith("sizes") else sizes[0]
    return f"{name}={listed}" if equals else listed


def _with_recipe(given: list[str]) -> list[str]:
    """Replace a recipe's name after `--config` by its file, with its whole path: `run.yaml` could be a module."""
    for index, argument in enumerate(given):
        if argument == "--config" and index + 1 < len(given):
            given[index + 1] = _whole_path(given[index + 1])
        elif argument.startswith("--config="):
            given[index] = f"--config={_whole_path(argument.removeprefix('--config='))}"
    return given


def _whole_path(config: str) -> str:
    if is_url(config):
        config = str(fetched(config))
    config = check_config(config)
    if not os.path.isfile(config):  # noqa: PTH113  (it may be long JSON)
        return config
    check_settings_file(Path(config))  # each fault in one sentence
    return os.path.abspath(config)  # noqa: PTH100


def _with_checkpoint(given: list[str]) -> list[str]:
    """Replace `reproduce ... --weights last` by `--checkpoint last`; weights by name are arguments without a flag."""
    if given[:1] != ["reproduce"]:
        return given
    found: list[str] = []
    for argument in given:
        if found[-1:] == ["--weights"] and argument in ("best", "last"):
            found[-1] = f"--checkpoint={argument}"
        else:
            found.append(re.sub("^--weights=(?=(best|last)$)", "--checkpoint=", argument))
    return found


def _with_preset(given: list[str]) -> list[str]:
    """Replace `train --data DATA` by the settings that suit it; other options override them."""
    if given[:1] != ["train"]:
        return given
    data, rest = _pop_option(given[1:], "--data")
    teacher, rest = _pop_option(rest, "--teacher")
    if data is None:
        if teacher is not None or "--supervised" in given:
            raise InputError("--supervised and --teacher go with --data; with a config, set objective")
        return given
    from hrdepth.prepare.preset import preset

    supervised = "--supervised" in rest
    rest = [argument for argument in rest if argument != "--supervised"]
    return ["train", "--config", json.dumps(preset(data, supervised, teacher)), *rest]


def _pop_option(given: list[str], option: str) -> tuple[str | None, list[str]]:
    """Return the value of an option, None if it is not given, and the other arguments."""
    for index, argument in enumerate(given):
        name, equals, value = argument.partition("=")
        if name == option and (equals or index + 1 < len(given)):
            return (value if equals else given[index + 1]), given[:index] + given[index + (1 if equals else 2) :]
    return None, given
