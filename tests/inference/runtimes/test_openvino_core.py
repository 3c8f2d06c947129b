"""Tests of inference/runtimes/openvino_core.py.

A signal after OpenVINO's networks are gone leaves the process alive.
"""

import subprocess
import sys

import pytest

openvino = pytest.importorskip("openvino", reason="openvino is not installed")

pytestmark = pytest.mark.slow

OWN_CORES = """
import signal
import openvino
from openvino import opset13 as ops
from hrdepth.inference.runtimes.openvino_core import signal_stack_kept

signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
x = ops.parameter([1, 4])
model = openvino.Model([ops.relu(x)], [x])
with signal_stack_kept():
    first, second = (openvino.Core().compile_model(model, "CPU") for _ in range(2))
    del first
    del second
signal.raise_signal(signal.SIGUSR1)
"""

RUNTIMES = """
import signal, sys
from hrdepth.inference.runtimes import load_runtime

signal.signal(signal.SIGUSR1, lambda *_: print("heard"))
import numpy
first, second = (load_runtime(sys.argv[1], "openvino", threads=1) for _ in range(2))
for runtime in (first, second):
    runtime(numpy.zeros((1, 3, 64, 96), numpy.float32))
del runtime, first
del second
signal.raise_signal(signal.SIGUSR1)
"""


def run(script, *arguments):
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)


def test_openvino_cores_of_other_libraries_leave_no_signal_stack():
    done = run(OWN_CORES)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_runtimes_are_freed_in_order(tmp_path):
    from hrdepth.config import NetworkConfig
    from hrdepth.networks import build_network
    from hrdepth.weights.checkpoint import save_checkpoint

    pytest.importorskip("onnx", reason="onnx is not installed")
    config = NetworkConfig("lite_hrdepth")
    save_checkpoint(tmp_path / "net.safetensors", build_network(config), config, size=(64, 96))
    done = run(RUNTIMES, tmp_path / "net.safetensors")
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
