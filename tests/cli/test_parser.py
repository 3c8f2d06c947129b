"""Tests of cli/parser.py.

Options are those of the configs: each has a help text, switches need no value, inherited ones stay flat.
"""

import dataclasses
import json
from typing import get_type_hints

import pytest

from hrdepth.cli.commands import COMMANDS
from hrdepth.cli.parser import _config_of, _texts, _with_checkpoint, parse
from hrdepth.config import Outputs, PredictConfig, RuntimeConfig


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name):
    kind = _config_of(name)
    texts = _texts(kind)
    assert {field.name for field in dataclasses.fields(kind)} <= {name for name, text in texts.items() if text}
    assert COMMANDS[name][0].__doc__, name


def test_every_switch_works_without_a_value():
    switches = [name for name, hint in get_type_hints(PredictConfig).items() if hint is bool]
    assert {"flip", "panel", "ply", "compile", "overwrite"} <= set(switches)
    on = parse(["predict", "a.jpg", *(f"--{name}" for name in switches)])[1]
    assert all(getattr(on, name) for name in switches)
    off = parse(["predict", "a.jpg", *(f"--no-{name.replace('_', '-')}" for name in switches)])[1]
    assert not any(getattr(off, name) for name in switches)
    assert parse(["predict", "a.jpg", "--flip", "true", "--panel=false", "--ply", "yes"])[1] == PredictConfig(
        "a.jpg", flip=True, panel=False, ply=True
    )


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("", None),
        ("--npz", True),
        ("--no_npz", False),
        ("--no-npz", False),
        ("--npz true", True),
        ("--npz false", False),
        ("--npz=no", False),
        ("--npz null", None),
        ("--npz false --npz=null", None),
    ],
)
def test_a_switch_with_a_default_of_its_own_needs_no_value(given, value, tmp_path):
    assert parse(["predict", "a.jpg", *given.split()])[1] == PredictConfig("a.jpg", npz=value)
    assert parse(["predict", *given.split(), "--batch", "2", "a.jpg"])[1].npz is value
    file = tmp_path / "options.yaml"
    file.write_text(f"npz: {json.dumps(value)}\n")
    assert parse(["predict", "a.jpg", "--config", str(file)])[1].npz is value


def test_a_switch_that_may_be_null_refuses_other_values(tmp_path, capsys):
    (tmp_path / "options.yaml").write_text("npz: 3\n")
    for given in (["--npz", "maybe"], ["--config", str(tmp_path / "options.yaml")]):
        with pytest.raises(SystemExit):
            parse(["predict", "a.jpg", *given])
        assert "npz" in capsys.readouterr().err


def test_a_switch_of_a_section_needs_no_value():
    given = ["evaluate", "--data.root", "kitti", "--protocol.post_process"]
    assert parse([*given, "--edges"])[1].protocol.post_process
    assert not parse([*given, "false"])[1].protocol.post_process


def test_inherited_options_stay_flat(tmp_path):
    file = tmp_path / "options.yaml"
    file.write_text("runtime: onnxruntime\nply: true\nsize: [64, 96]\n")
    name, config = parse(["predict", "a.jpg", "--config", str(file), "--threads", "2"])
    assert name == "predict"
    assert config == PredictConfig("a.jpg", runtime="onnxruntime", ply=True, size=(64, 96), threads=2)
    assert config.keywords() == RuntimeConfig(runtime="onnxruntime", size=(64, 96), threads=2).keywords()
    assert isinstance(config, Outputs)


def test_a_message_does_not_repeat_a_whole_file(tmp_path, capsys):
    (tmp_path / "c.yaml").write_text(f"train: [{{dataset: folder, root: {'x' * 9000}}}]\nvalidation: []\n")
    with pytest.raises(SystemExit):
        parse(["prepare", "cache", "--cache", "c", "--config", str(tmp_path / "c.yaml")])
    message = capsys.readouterr().err
    assert "missing: output" in message
    assert len(message) < 3000


def test_sizes_are_given_as_width_x_height():
    for given in (["--size", "640x192"], ["--size=640x192"], ["--size", "[192, 640]"]):
        assert parse(["predict", "x", *given])[1].size == (192, 640)
    assert parse(["benchmark", "predict", "--sizes", "640x192,1024x320"])[1].sizes == [(192, 640), (320, 1024)]
    assert parse(["predict", "640x192"])[1].input == "640x192"


def test_a_checkpoint_by_its_name_leaves_other_lines_alone():
    lines = "objective:\n  options:\n    x: 1\n--weights\nbest"
    for given in (["--weights", "last"], ["--weights=last"]):
        arguments = ["reproduce", "table1", *given, "--row_training", lines]
        assert _with_checkpoint(arguments) == ["reproduce", "table1", "--checkpoint=last", "--row_training", lines]
    other = ["predict", "x", "--weights", "last"]
    assert _with_checkpoint(other) == other


def test_numbers_of_a_config_are_decimal(tmp_path):
    (tmp_path / "p.yaml").write_text("batch: 010\nshift: 2e-1\n")
    config = parse(["predict", "x", "--config", str(tmp_path / "p.yaml")])[1]
    assert (config.batch, config.shift) == (10, 0.2)
