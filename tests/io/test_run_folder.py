"""Tests of io/run_folder.py.

A run's folder, read while it grows, when it is done, and when it is damaged.
"""

import os
import time

import pytest

from fake_run import run_folder
from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.io.run_folder import find_runs, read_json_or_empty, read_run


def test_a_run_in_progress_is_read(tmp_path):
    status = read_run(run_folder(tmp_path / "a"))
    assert (status.state, status.network, status.epoch, status.epochs) == ("training", "lite_hrdepth", 2, 4)
    assert (status.step, status.steps) == (40, 4 * 20)
    assert status.seconds_left == pytest.approx(40 * 2 / 2.5)
    assert status.curves["training loss"][0] == (9, pytest.approx(0.191))
    assert status.curves["validation loss"] == [(39, 0.15)]
    assert status.panel.name == "000040.png"


def test_a_finished_run_is_read(tmp_path):
    status = read_run(run_folder(tmp_path / "a", steps=80))
    assert (status.state, status.seconds_left) == ("finished", 0.0)


def test_a_run_that_ended_before_its_epochs_is_finished(tmp_path):
    folder = run_folder(tmp_path / "a")
    write_json(folder / "run.json", {**read_json_or_empty(folder / "run.json"), "ended": "early_stop"})
    status = read_run(folder)
    assert (status.state, status.seconds_left) == ("finished", 0.0)


def test_progress_counts_towards_a_time_limit(tmp_path):
    folder = run_folder(tmp_path / "a")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("max_minutes: null", "max_minutes: 0.8"))
    assert read_run(folder).seconds_left == pytest.approx(60 * (0.8 - 39 / 60))
    # The limit counts from each start, the logged minutes from the first.
    write_json(folder / "run.json", {**read_json_or_empty(folder / "run.json"), "resumed": [{"epoch": 1}]})
    config.write_text(config.read_text().replace("max_minutes: 0.8", "max_minutes: 0.1"))
    assert read_run(folder).state == "training"


def test_the_guards_message_is_read(tmp_path):
    folder = run_folder(tmp_path / "a", message="training stopped at step 40: NaN")
    (folder / "panels" / "stopped.png").write_bytes((folder / "panels" / "000040.png").read_bytes())
    status = read_run(folder)
    assert (status.state, status.message) == ("stopped", "training stopped at step 40: NaN")
    assert status.panel.name == "stopped.png"
    assert status.seconds_left is None


def test_a_run_without_recent_progress_is_reported(tmp_path):
    folder = run_folder(tmp_path / "a")
    past = time.time() - 3600
    os.utime(folder / "metrics.csv", (past, past))
    status = read_run(folder)
    assert status.state == "quiet"
    assert "60 minutes" in status.message


def test_a_run_without_log_rows_is_read(tmp_path):
    folder = run_folder(tmp_path / "a")
    for name in ("metrics.csv", "run.json", "panels/000040.png"):
        (folder / name).unlink()
    status = read_run(folder)
    assert (status.state, status.step, status.steps, status.curves, status.panel) == ("training", 0, None, {}, None)


@pytest.mark.parametrize("content", ["", "[1", "network: 3", "network: {name: a}"])
def test_a_damaged_run_is_refused_with_a_message(tmp_path, content):
    folder = run_folder(tmp_path / "a")
    (folder / "config.yaml").write_text(content)
    with pytest.raises(InputError, match="config.yaml is missing or damaged"):
        read_run(folder)


def test_a_half_written_line_is_ignored(tmp_path):
    folder = run_folder(tmp_path / "a")
    with (folder / "metrics.csv").open("a") as file:
        file.write("1,x")
    assert read_run(folder).step == 40


def test_runs_are_found_below_a_folder(tmp_path):
    for name in ("a", "b"):
        run_folder(tmp_path / "one" / name)
    run_folder(tmp_path / "two" / "a")
    assert set(find_runs([tmp_path / "one", tmp_path / "two" / "a"])) == {"one/a", "b", "two/a"}
    with pytest.raises(InputError, match="does not exist"):
        find_runs([tmp_path / "none"])
