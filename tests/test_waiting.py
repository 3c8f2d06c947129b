"""Threads that wait give their cores away soon, where the network runs in another runtime than PyTorch."""

import subprocess
import sys

import pytest

# Says what stands in the environment when PyTorch is about to be imported, and ends.
WATCHED = """
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            sys.exit(os.environ.get("GOMP_SPINCOUNT", "nothing"))
sys.meta_path.insert(0, Watch())
from hrdepth.cli import main
main(sys.argv[1:])
"""


def said(*arguments, **environment):
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.stderr.strip()


@pytest.mark.parametrize(
    "command", [["predict", "nowhere.jpg"], ["app"], ["benchmark", "predict"], ["benchmark", "app"]], ids=" ".join
)
def test_it_is_set_before_pytorch_is_imported(command):
    assert said(*command) == "10000"


@pytest.mark.parametrize("command", [["benchmark", "train"], ["models"]], ids=" ".join)
def test_what_computes_in_pytorch_waits_as_ever(command):
    assert said(*command) == "nothing"


def test_what_the_user_has_set_stays():
    assert said("predict", "nowhere.jpg", GOMP_SPINCOUNT="7") == "7"
    assert said("predict", "nowhere.jpg", OMP_WAIT_POLICY="ACTIVE") == "nothing"
