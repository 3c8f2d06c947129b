"""Every campaign of this folder in short: kills, faults, fuzzing, load, the page; the scripts have longer ones."""

import subprocess
import sys
from pathlib import Path

import pytest

import hrdepth.cli.commands
from attacks.commands import COMMANDS, NOT_KILLED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals of POSIX")


def attack(script, *options):
    command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_every_command_that_writes_is_killed():
    killed = {
        name
        for name in hrdepth.cli.commands.COMMANDS
        if any(one.line.startswith(f"{name} ") for one in COMMANDS.values())
    }
    assert killed | set(NOT_KILLED) == set(hrdepth.cli.commands.COMMANDS)
    assert not killed & set(NOT_KILLED)


def test_killed_commands_of_the_core_lose_nothing():
    attack("kills.py", "--kills", 3, "--commands", "predict folder", "predict video", "evaluate")


@pytest.mark.slow
def test_killed_commands_lose_nothing():
    attack("kills.py", "--kills", 10, "--seed", 2)


def test_faults_of_the_surroundings_are_reported():
    attack("faults.py", "--trials", 1, "--commands", "predict video")


@pytest.mark.slow
def test_faults_of_the_surroundings_are_reported_by_other_commands():
    commands = ("evaluate", "train", "prepare labels", "compare", "odometry", "pack", "export onnx")
    commands += ("export openvino", "export pt2", "reproduce table4")
    attack("faults.py", "--trials", 1, "--seed", 2, "--commands", *commands)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--core", "--pipes", "--inputs", 20],
        ["--pipes", "--inputs", 60],
        ["--core", "--inputs", 100],
        ["--inputs", 300, "--first", 1000],
    ],
)
def test_readers_refuse_changed_files(options):
    attack("fuzz.py", *options)


@pytest.mark.slow
def test_memory_is_flat():
    attack("load.py", "--frames", 400, "--images", 600, "--steps", 200)


@pytest.mark.slow
def test_the_page_answers_forty_clients_and_leaves_nothing_when_killed():
    attack("page.py", "--clients", 40, "--each", 1, "--soak-minutes", 0)
