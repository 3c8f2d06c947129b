"""Tests of the commands `hrdepth recipes`, in cli/training.py, and of `recipes` in config/setting_files.py."""

import json
from pathlib import Path

from hrdepth.cli import main
from hrdepth.cli.parser import parse
from hrdepth.config.setting_files import recipe


def test_every_recipe_is_listed_with_what_it_is_for(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("kitti-hrdepth-m-640x192 ") for line in lines)
    assert main(["recipes", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == len(lines)
    assert {"demo", "reproduce/kitti"} <= set(found)
    assert all(found.values())
    assert all(recipe(name) is not None for name in found)


def test_a_recipe_is_shown_and_copied(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "show", "demo"]) == 0
    shown = capsys.readouterr().out
    assert main(["recipes", "copy", "demo"]) == 0
    assert Path("demo.yaml").read_text() == shown
    assert parse(["train", "--config", "demo.yaml"])[1] == parse(["train", "--config", str(recipe("demo"))])[1]
    assert main(["recipes", "copy", "demo"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["recipes", "copy", "demo", "--out", "mine.yaml"]) == 0
    assert Path("mine.yaml").is_file()


def test_an_unknown_recipe_is_refused_with_the_nearest(capsys):
    assert main(["recipes", "show", "kitti-hrdepth-m-640x129"]) == 2
    assert "did you mean 'kitti-hrdepth-m-640x192'?" in capsys.readouterr().err


def test_a_training_by_a_recipes_name_stops_at_data_that_are_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", "kitti-hrdepth-m-640x192"]) == 2
    assert capsys.readouterr().err == "hrdepth: the data folder kitti/raw does not exist\n"
