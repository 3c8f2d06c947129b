"""Tests of cli/commands.py.

Every command has a config whose fields are its options, with a help text each, and shows its help.
"""

import dataclasses
import typing

import docstring_parser
import pytest

from hrdepth.cli import main
from hrdepth.cli.commands import COMMANDS, GROUPS


def config_of(name):
    return typing.get_type_hints(COMMANDS[name][0])["config"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name):
    function, positional = COMMANDS[name]
    assert function.__doc__.strip().endswith(".")
    kind = config_of(name)
    documented = {
        entry.arg_name: entry.description
        for base in kind.__mro__
        for entry in docstring_parser.parse(base.__doc__ or "").params
    }
    fields = {field.name for field in dataclasses.fields(kind)}
    assert not [field for field in fields if not documented.get(field)]
    assert {word.rstrip("+*") for word in positional.split()} <= fields
    assert " " not in name or name.split()[0] in GROUPS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    positional = [word.rstrip("+*") for word in COMMANDS[name][1].split()]
    assert not [
        f.name for f in dataclasses.fields(config_of(name)) if f.name not in positional and f"--{f.name}" not in shown
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_refused(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*name.split(), "--no-such-option", "1"])
    assert stop.value.code == 2
