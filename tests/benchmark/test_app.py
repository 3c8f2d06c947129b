"""Tests of benchmark/app.py.

`hrdepth benchmark app` serves a page, visits it, and writes what it took.
"""

import json
import logging

import pytest

from hrdepth.cli import main


@pytest.fixture
def page():
    gradio = pytest.importorskip("gradio", reason="needs gradio (extra app)")
    pytest.importorskip("trimesh", reason="needs trimesh (extra app)")
    if int(gradio.__version__.split(".")[0]) != 6:
        pytest.skip(f"needs gradio 6, not {gradio.__version__}")


@pytest.mark.slow
def test_first_and_following_answers_are_timed(page, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    out = tmp_path / "app.json"
    command = ["benchmark", "app", "--network", "lite_hrdepth", "--size", "[64,96]", "--picture_size", "[60,90]",
               "--pages", "1", "--answers", "3", "--runtime", "pytorch", "--device", "cpu",
               "--out", str(out)]  # fmt: skip
    assert main(command) == 0
    content = json.loads(out.read_text())
    found = {one["name"]: one for one in content["measurements"]}
    assert found["loading, seconds"]["samples"] == 1
    for what in ("answer", "point cloud", "files"):
        assert found[f"first {what}, seconds"]["samples"] == 1
        assert found[f"following {what}, seconds"]["samples"] == 2
        assert found[f"following {what}, processor seconds"]["median"] > 0
    assert len(content["values"]["following answer, seconds"]) == 2
    assert content["settings"]["weights"] == "lite_hrdepth, random weights"
    assert content["provenance"]["machine"]["memory_gib"] > 0
    assert "the page with lite_hrdepth, random weights at 96x64" in capsys.readouterr().out
    assert not [record for record in caplog.records if record.name == "httpx"], "requests are not logged one by one"
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["--pages", "0"], "pages 0"),
        (["--answers", "1"], "answers 1"),
        (["--size", "[0,64]"], "must be positive"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (["--network", "lite_hrdepth", "--weights", "street"], "either --weights"),
    ],
)
def test_bad_settings_are_refused_with_a_message(page, settings, sentence, capsys):
    assert main(["benchmark", "app", *settings]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("hrdepth: ")
    assert sentence in errors
