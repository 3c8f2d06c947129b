"""Tests of config/setting_files.py and config/names.py.

Recipes by their names, earlier names of keys and options, a training's config from its file.
"""

import json
import logging

import pytest
import yaml

from hrdepth.cli import main
from hrdepth.cli.parser import parse
from hrdepth.config import DatasetConfig, ObjectiveConfig, names
from hrdepth.config.names import rename_keys
from hrdepth.config.setting_files import find_config, read_train_config, recipe
from hrdepth.data.splits import read_split, replace_lines
from hrdepth.errors import InputError

NAME = "kitti-hrdepth-m-640x192"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names.note_name.cache_clear()


@pytest.mark.parametrize("path", [NAME, f"{NAME}.yaml", f"configs/{NAME}.yaml"])
def test_a_recipe_is_found_by_its_name_and_its_earlier_path(path, caplog):
    assert parse(["train", "--config", path])[1].output == f"runs/{NAME}"
    assert parse(["train", f"--config={path}", "--epochs", "3"])[1].epochs == 3
    notes = [record.getMessage() for record in caplog.records]
    assert notes == ([f"configs/{NAME}.yaml is now called {NAME}"] if path.startswith("configs/") else [])


def test_a_users_file_takes_precedence_over_a_recipe(tmp_path):
    (tmp_path / "configs").mkdir()
    own = tmp_path / "configs" / f"{NAME}.yaml"
    own.write_text("mine: 1")
    assert find_config(f"configs/{NAME}.yaml") == f"configs/{NAME}.yaml"
    assert find_config(NAME) == str(recipe(NAME))


def test_a_path_that_is_not_a_recipe_is_unchanged():
    for path in ("nowhere.yaml", "/etc/passwd", "../pyproject.toml", "{}", ""):
        assert find_config(path) == path
        assert recipe(path) is None


def test_long_json_is_a_config_and_no_path():
    long = json.dumps({"out": "x" * 5000})
    assert find_config(long) == long
    assert parse(["predict", "x", "--config", long])[1].out == "x" * 5000


def test_the_split_files_that_recipes_name_are_bundled():
    assert len(read_split("splits/mini-hints-03.txt")) == len(read_split("configs/splits/mini-hints-03.txt")) > 0
    for file in recipe("demo").parent.glob("*.yaml"):
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        for part in (*settings["train"], *settings["validation"]):
            if part.get("split", "").startswith("splits/"):
                assert recipe(part["split"]) is not None, part


def test_earlier_names_of_options_and_keys_work_and_warn_once(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    (tmp_path / "old.yaml").write_text("hold_depth_steps: 7\nintrinsics: {hold_steps: 9}\n")
    for _ in range(2):
        config = parse(["train", "--config", NAME, "--config", "old.yaml"])[1]
        assert (config.freeze_depth_steps, config.intrinsics.freeze_steps) == (7, 9)
    assert [record.getMessage() for record in caplog.records] == [
        "hold_depth_steps is now called freeze_depth_steps",
        "hold_steps is now called freeze_steps",
    ]
    assert parse(["train", "--config", NAME, "--intrinsics.hold-steps", "3"])[1].intrinsics.freeze_steps == 3
    caplog.clear()
    (tmp_path / "nested.yaml").write_text(
        "objective: {options: {everywhere: true, other: {options: {elsewhere: 1}}}}\n"
    )
    options = parse(["train", "--config", NAME, "--config", "nested.yaml"])[1].objective.options
    assert options == {"other_with_depth": True, "other": {"options": {"unhinted_weight": 1}}}
    assert {record.getMessage() for record in caplog.records} == {
        "everywhere is now called other_with_depth",
        "elsewhere is now called unhinted_weight",
    }
    assert parse(["export", "w", "--out", "o.onnx", "--quantisation.pictures", "5"])[1].quantisation.images == 5


def test_earlier_names_work_in_configs_made_in_python():
    options = {"everywhere": True, "other": {"name": "distillation", "options": {"elsewhere": 1}}}
    config = ObjectiveConfig("supervised", options=options)
    assert config.options == {
        "other_with_depth": True,
        "other": {"name": "distillation", "options": {"unhinted_weight": 1}},
    }
    data = DatasetConfig("pictures", "root", options={"eyes": ["left", "right"]})
    assert (data.dataset, data.options) == ("images", {"folders": ["left", "right"]})


def test_earlier_paths_of_split_files_lead_to_the_current_ones(tmp_path):
    assert rename_keys({"train": [{"split": "configs/splits/a.txt"}]}) == {"train": [{"split": "splits/a.txt"}]}
    (tmp_path / "configs" / "splits").mkdir(parents=True)
    (tmp_path / "configs" / "splits" / "a.txt").write_text("drive 1 l")
    assert rename_keys("configs/splits/a.txt") == "configs/splits/a.txt"


def test_a_runs_config_is_read_back(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(recipe(NAME).read_text(encoding="utf-8"))
    assert read_train_config(file) == parse(["train", "--config", NAME])[1]
    file.write_text("network: hrdepth")
    with pytest.raises(InputError, match="network is hrdepth; give a section"):
        read_train_config(file)
    with pytest.raises(InputError, match="no readable gone.yaml"):
        read_train_config(tmp_path / "gone.yaml")


def test_other_encodings_are_refused_in_one_sentence(tmp_path, capsys):
    """In configs, lists of frames, and calibrations, of every command that reads them."""
    latin = "# Stra\u00dfe\nepochs: 3\n".encode("latin-1")
    for name in ("config.yaml", "train.txt", "val.txt"):
        (tmp_path / name).write_bytes(latin)
    camera = "width: 128\nheight: 96\nfx: 100\nfy: 100\ncx: 64\ncy: 48\n"
    (tmp_path / "camera.yaml").write_text(camera)
    for command, name in (
        (["train", "--config", str(tmp_path / "config.yaml")], "config.yaml"),
        (["train", f"--config={tmp_path / 'config.yaml'}"], "config.yaml"),
        (["train", "--data", str(tmp_path)], "train.txt"),
        (["scan", "--config", str(tmp_path / "config.yaml")], "config.yaml"),
    ):
        assert main(command) == 2, command
        error = capsys.readouterr().err
        assert name in error
        assert "UTF-8" in error
        assert error.count("\n") == 1
    with pytest.raises(InputError, match=r"config\.yaml is no text file in UTF-8"):
        read_train_config(tmp_path / "config.yaml")
    with pytest.raises(InputError, match=r"train\.txt is no text file in UTF-8"):
        replace_lines(tmp_path / "train.txt", "drive", ["drive 1 l"])
