"""Tests of app/networks.py.

The networks of the page: which runtimes it offers, and its default.
"""

import numpy as np
import pytest

from hrdepth.app import networks as module
from hrdepth.app.networks import Networks
from hrdepth.errors import InputError
from hrdepth.inference.runtimes import RUNTIMES, default_runtime, unavailable

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
THERE = [name for name in RUNTIMES if unavailable(name) is None]


def test_the_fastest_runtime_is_the_default(weights):
    networks = Networks([weights], "cpu")
    assert networks.runtimes[0] == default_runtime("cpu", ready=False)
    assert sorted(networks.runtimes) == sorted(THERE)
    assert networks.predictor().runtime == networks.runtimes[0]


@pytest.mark.parametrize("runtime", THERE)
def test_every_available_runtime_predicts_the_same(weights, runtime):
    networks = Networks([weights], "cpu")
    expected = networks.predictor("tiny", "pytorch")(IMAGE).disparity
    made = networks.predictor("tiny", runtime)(IMAGE)
    assert made.runtime.startswith(runtime)
    np.testing.assert_allclose(made.disparity, expected, atol=1e-4)


def test_an_unavailable_runtime_is_not_offered(weights, monkeypatch):
    monkeypatch.setattr(module, "unavailable", lambda name: None if name == "pytorch" else "not here")
    monkeypatch.setattr(module, "default_runtime", lambda device, ready: "pytorch")
    networks = Networks([weights], "cpu")
    assert networks.runtimes == ["pytorch"]
    with pytest.raises(InputError, match="openvino"):
        networks.predictor("tiny", "openvino")


def test_an_exported_file_runs_in_its_own_runtime(weights, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime (extra export)")
    pytest.importorskip("onnxscript", reason="needs onnxscript (extra export)")
    from hrdepth.config import ExportConfig
    from hrdepth.inference.export import export

    export(ExportConfig(str(weights), str(tmp_path / "tiny.onnx")))
    networks = Networks([tmp_path / "tiny.onnx"], "cpu")
    assert networks.runtimes[0] == "onnxruntime"
    expected = Networks([weights], "cpu").predictor("tiny", "pytorch")(IMAGE)
    np.testing.assert_allclose(networks.predictor()(IMAGE).disparity, expected.disparity, atol=1e-4)
