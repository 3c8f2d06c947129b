"""Tests of cpu.py.

Freed memory is used again, and threads without work give their cores to other runtimes.
"""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
torch.set_num_threads(1)
from hrdepth.cpu import tune_malloc
if sys.argv[1] == "keep" and not tune_malloc():
    print("unsupported"); sys.exit()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(8 << 20).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def faults(mode: str) -> str:
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator only")
def test_freed_tensors_are_used_again():
    tuned = faults("keep")
    if tuned == "unsupported":
        pytest.skip("this C library has no mallopt")
    assert int(tuned) < 0.1 * int(faults("plain"))


# Prints the environment's spin count when PyTorch is about to be imported, and ends.
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


def spin_count(*arguments, **environment):
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.stderr.strip()


@pytest.mark.parametrize(
    "command", [["predict", "nowhere.jpg"], ["app"], ["benchmark", "predict"], ["benchmark", "app"]], ids=" ".join
)
def test_the_spin_count_is_set_before_pytorch_is_imported(command):
    assert spin_count(*command) == "10000"


@pytest.mark.parametrize("command", [["benchmark", "train"], ["models"]], ids=" ".join)
def test_a_process_that_computes_in_pytorch_spins_by_default(command):
    assert spin_count(*command) == "nothing"


def test_a_spin_count_set_by_the_user_stays():
    assert spin_count("predict", "nowhere.jpg", GOMP_SPINCOUNT="7") == "7"
    assert spin_count("predict", "nowhere.jpg", OMP_WAIT_POLICY="ACTIVE") == "nothing"
