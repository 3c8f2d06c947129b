"""The command line: arguments to settings, errors to one sentence and an exit status."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

import hrdepth
from hrdepth.cli.command_help import FLAGS, HELP
from hrdepth.cli.commands import COMMANDS
from hrdepth.errors import InputError

__all__ = ["main"]

log = logging.getLogger(__name__)

# Exit statuses: bad input, and stopped by the user (128 + SIGINT).
BAD_INPUT, INTERRUPTED = 2, 130

# Options of earlier versions and their present names.
RENAMED = {"pictures": "images", "picture_size": "image_size"}
# Such as fx,fy,cx,cy.
NUMBERS = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?(,[-+]?[\d.]+(e[-+]?\d+)?)+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hrdepth COMMAND ...` and return its exit status.

    Args:
        arguments: what stands behind `hrdepth`; None for the process's own.

    Returns:
        0; 2 after bad input, said in one sentence on standard error; 130 when interrupted.
    """
    console = logging.StreamHandler()
    # Libraries speak up only when something is wrong.
    console.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.partition(".")[0] == "hrdepth")
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[console])
    given = sys.argv[1:] if arguments is None else arguments
    try:
        given = [_as_settings(argument) for argument in _spelt_out(list(given))]
        parser = _parser(given)
        settings = parser.parse_args(_with_preset(given))
        name, made = _chosen(parser, settings)
        command, kind, _ = COMMANDS[name]
        command(_config(made, kind))
    except InputError as error:
        # A loader's process wraps the sentence in its own traceback; the sentence stands last.
        print(f"hrdepth: {str(error).rsplit('InputError: ', 1)[-1].strip()}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("hrdepth: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser(given: Sequence[str] | None = None) -> ArgumentParser:
    """Build the parser; where arguments are given, with their command's settings alone: half a second less."""
    parser = ArgumentParser(
        prog="hrdepth",
        description="Self-supervised monocular depth: train, evaluate, predict.",
        version=hrdepth.__version__,
    )
    commands = parser.add_subcommands(dest="command")
    parts: dict[str, Any] = {}
    for name, (function, kind, positional) in COMMANDS.items():
        group, _, part = name.partition(" ")
        if part and group not in parts:
            several = ArgumentParser(description=HELP[group, "part"])
            commands.add_subcommand(group, several, help=HELP[group, "part"])
            parts[group] = several.add_subcommands(dest="part")
        words = name.split()
        if given is None or list(given[: len(words)]) == words:
            command = _command_parser(name, kind, positional, function.__doc__)
        else:
            command = ArgumentParser(description=function.__doc__)
        (parts[group] if part else commands).add_subcommand(part or name, command, help=function.__doc__)
    return parser


def _command_parser(name: str, kind: type, positional: tuple[str, ...], about: str | None) -> ArgumentParser:
    command = ArgumentParser(description=about)
    names = {field.name for field in dataclasses.fields(kind)}
    if "config" not in names:  # else it is a file with the settings of something else
        command.add_argument("--config", action="config", help="a YAML file with any of the settings below")
    if name == "train":  # replaced by a config before the others are read
        # No setting: other commands read what `--print_config` gives.
        command.add_argument("--data", type=str, default=argparse.SUPPRESS, help=HELP["train", "data"])
    for argument in positional:
        several: dict[str, Any] = {"nargs": argument[-1]} if argument[-1] in "+*" else {}
        argument = argument.rstrip("+*")
        command.add_argument(argument, type=str, help=HELP.get((name, argument)), **several)
    flags = {flag for command_name, flag in FLAGS if command_name == name}
    command.add_class_arguments(
        kind, as_group=False, skip={*(argument.rstrip("+*") for argument in positional), *flags}, sub_configs=True
    )
    for flag in sorted(flags):
        command.add_argument(f"--{flag}", action=ActionYesNo, nargs="?", default=False, help=HELP.get((name, flag)))
    return command


def _spelt_out(given: Sequence[str]) -> list[str]:
    """Complete `prepare drive.mp4 ...` and `prepare --cache ...` by the part that is meant."""
    first = next(iter(given[1:]), "--help")
    parts = [name.split()[1] for name in COMMANDS if name.startswith("prepare ")]
    if given[:1] != ["prepare"] or first in (*parts, "-h", "--help"):
        return list(given)
    of_cache = first.partition("=")[0] in ("--cache", "--config", "--verify", "--threads")
    of_cache = of_cache and not any(argument.partition("=")[0] == "--out" for argument in given)
    return ["prepare", "cache" if of_cache else "video", *given[1:]]


def _with_preset(given: list[str]) -> list[str]:
    """Replace `train --data DATA` by the settings that suit it; what else is given goes over them."""
    if given[:1] != ["train"]:
        return given
    for place, argument in enumerate(given):
        name, equals, value = argument.partition("=")
        if name == "--data" and (equals or place + 1 < len(given)):
            from hrdepth.prepare.preset import preset

            rest = given[1:place] + given[place + (1 if equals else 2) :]
            return ["train", "--config", json.dumps(preset(value if equals else given[place + 1])), *rest]
    return given


def _as_settings(argument: str) -> str:
    """Let `--pose-encoder` stand for `--pose_encoder`, which the config calls it, and `1,2,3` for a list of numbers."""
    if not argument.startswith("--"):
        return f"[{argument}]" if NUMBERS.fullmatch(argument) else argument
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    if name in RENAMED:
        log.warning("--%s is now called --%s", name, RENAMED[name])
        name = RENAMED[name]
    return f"--{name}{equals}{_as_settings(value) if value else value}"


def _chosen(parser: ArgumentParser, settings: Namespace) -> tuple[str, Namespace]:
    """Return the command's name, as `COMMANDS` has it, and its settings."""
    made, name = parser.instantiate(settings)[settings.command], str(settings.command)
    part = made.get("part") if name not in COMMANDS else None
    return (f"{name} {part}", made[part]) if part else (name, made)


def _config(made: Namespace, kind: type) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in made.items() if name in names})
