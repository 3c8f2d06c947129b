"""Tests of machine.py.

Freed memory is used again, and threads without work give their cores to other runtimes.
"""

import os
import subprocess
import sys

import pytest
from PIL import Image

import fake_datasets
from fake_run import run_folder
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

SCRIPT = """
import resource, sys, torch
torch.set_num_threads(1)
from hrdepth.machine import tune_malloc
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(8 << 20).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
plain = faults()
if tune_malloc():
    faults()
    print(plain, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator only")
def test_freed_tensors_are_used_again():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120)
    if not done.stdout:
        pytest.skip("this C library has no mallopt")
    plain, tuned = map(int, done.stdout.split())
    assert tuned < 0.1 * plain


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
    environment |= {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    return done.stderr.strip()


@pytest.mark.parametrize(
    "command",
    [
        "predict",
        "benchmark predict",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("app", "benchmark app")),
    ],
)
def test_the_spin_count_is_set_before_pytorch_is_imported(command, tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "street.jpg")
    weights = tmp_path / "own.safetensors"  # other than bundled ones need PyTorch
    save_checkpoint(weights, build_network(NETWORK), NETWORK, size=(64, 96))
    more = {
        "predict": [str(tmp_path / "street.jpg"), "--runtime", "pytorch"],
        "app": ["--weights", f"[{weights}]"],
        "benchmark predict": ["--weights", str(weights)],
    }
    assert spin_count(*command.split(), *more.get(command, [])) == "10000"


@pytest.mark.parametrize("command", ["benchmark train", "diagnose"])
def test_a_process_that_computes_in_pytorch_spins_by_default(command, tmp_path):
    run = run_folder(tmp_path / "run", data=fake_datasets.drive(tmp_path / "drives"))
    assert spin_count(*command.split(), *([str(run)] if command == "diagnose" else [])) == "nothing"


def test_a_spin_count_set_by_the_user_stays(tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "street.jpg")
    command = ["predict", str(tmp_path / "street.jpg"), "--runtime", "pytorch"]
    assert spin_count(*command, GOMP_SPINCOUNT="7") == "7"
    assert spin_count(*command, OMP_WAIT_POLICY="ACTIVE") == "nothing"
