"""Tests of benchmark/predict.py, benchmark/roofline.py and benchmark/subject.py.

`hrdepth benchmark predict`: variants beside the baseline, interleaved, with their limits; at a tiny size.
"""

import json
import math
import statistics

import numpy as np
import pytest
import torch
from torch import nn

from hrdepth.benchmark import roofline
from hrdepth.benchmark.predict import benchmark_predict
from hrdepth.benchmark.roofline import Operation, RateTimer, limit, operations
from hrdepth.benchmark.subject import BASELINE, NetworkTimer, Variant, drawn_image, find_subject
from hrdepth.config import BenchmarkNetwork, BenchmarkPredictConfig, NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes import RUNTIMES
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import read_checkpoint


def test_runtimes_are_compared_with_the_baseline(in_process, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(RUNTIMES["onnxruntime"], "unavailable", classmethod(lambda cls: "onnxruntime is not installed"))
    out, table, plot = tmp_path / "predict.json", tmp_path / "table.md", tmp_path / "latency.svg"
    config = BenchmarkPredictConfig(
        network="lite_hrdepth", runtimes=["pytorch:float32", "onnxruntime"], sizes=[(64, 64)], image_size=(40, 90),
        rounds=2, runs=2, threads=1, out=str(out), table=str(table), plot=str(plot),
    )  # fmt: skip
    baseline, faster = benchmark_predict(config)
    assert (baseline.runtime, faster.runtime) == ("baseline: eager float32", "pytorch float32")
    assert baseline.ratio.median == 1
    assert faster.ratio.median > 0
    for one in (baseline, faster):
        assert min(one.end_to_end.median, one.network.median) > 0
        assert one.peak_memory > 50  # MiB: an interpreter with PyTorch has no less
        assert one.limit_ms > 0
        assert one.of_limit == pytest.approx(one.limit_ms / one.network.median)
    written = json.loads(out.read_text())
    assert written["left_out"] == {"onnxruntime float32": "onnxruntime is not installed"}
    assert written["network"]["parameters"] == sum(
        p.numel() for p in build_network(NetworkConfig("lite_hrdepth")).parameters()
    )
    assert written["rates"]["cpu"]["float32"]["median"] > 0
    assert written["rates"]["cpu"]["memory"]["unit"] == "GB/s"
    assert written["results"][1]["size"] == [64, 64]
    assert written["provenance"]["machine"]["cores"]
    assert "left out: onnxruntime float32: onnxruntime is not installed" in capsys.readouterr().out
    assert "| 64x64, pytorch float32 |" in table.read_text()
    assert "pytorch float32" in plot.read_text()
    with pytest.raises(InputError, match=r"predict\.json exists already"):
        benchmark_predict(config)


@pytest.mark.slow
def test_variants_are_measured_in_separate_processes():
    config = BenchmarkPredictConfig(
        network="lite_hrdepth", runtimes=["pytorch:float32"], sizes=[(64, 64)], image_size=(40, 90), rounds=1, runs=1,
        threads=1,
    )  # fmt: skip
    baseline, faster = benchmark_predict(config)
    for one in (baseline, faster):
        assert min(one.network.median, one.end_to_end.median, one.ratio.median, one.limit_ms) > 0
        assert one.peak_memory > 50
        assert one.loading_peak > 50


def test_operations_and_limit_agree_with_counts_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 1, bias=False))
    first, second = operations(network, (4, 6))
    pixels = 4 * 6
    assert (first.flops, second.flops) == (2 * 27 * 8 * pixels, 2 * 8 * 4 * pixels)
    assert first.numbers == 3 * pixels + 27 * 8 + 8 * pixels
    assert second.numbers == 8 * pixels + 32 + 4 * pixels
    rates = {"float32": 1e3, "bfloat16": 2e3, "memory": 1e9}
    assert limit([first, second], "float32", rates) == pytest.approx((first.flops + second.flops) / 1e3)
    slow_memory = {"bfloat16": 1e12, "memory": 10.0}
    assert limit([second], "bfloat16", slow_memory) == pytest.approx(2 * second.numbers / 10)


def test_an_unknown_rate_gives_no_limit():
    assert math.isnan(limit([Operation(1e9, 1e6)], "int8", {"int8": math.nan, "memory": 1e9}))


def test_a_plain_loop_is_not_accepted_as_the_machines_rate(monkeypatch):
    """A kernel that is much slower than float32's is not measured at full size."""
    monkeypatch.setattr(roofline, "MATRIX", 32)
    monkeypatch.setattr(roofline, "PROBE", 16)
    monkeypatch.setattr(roofline, "COPIED", 1024)
    took = {"float32": 1.0, "bfloat16": 0.5, "int8": 40.0}
    done = []

    def product(precision, side, device):
        return lambda: done.append((precision, side))

    monkeypatch.setattr(roofline, "product", product)
    monkeypatch.setattr(roofline, "unavailable", lambda name: f"{name} is not installed")
    monkeypatch.setattr(roofline, "seconds", lambda work, device: work() or took.get(done[-1][0]))
    timer = RateTimer("cpu", 1)
    rates = {name: timer.measure(name) for name in took}
    assert rates["float32"] == 2 * 32**3 / 1.0
    assert rates["bfloat16"] == 2 * 32**3 / 0.5
    assert math.isnan(rates["int8"])
    assert ("int8", 32) not in done


def test_the_fastest_kernel_gives_the_rate(monkeypatch):
    monkeypatch.setattr(roofline, "MATRIX", 32)
    monkeypatch.setattr(roofline, "PROBE", 16)
    monkeypatch.setattr(roofline, "COPIED", 1024)
    took = {("pytorch", "float32"): 1.0, ("pytorch", "bfloat16"): 0.5, ("pytorch", "int8"): 40.0}
    took |= {("openvino", "float32"): 2.0, ("openvino", "bfloat16"): 0.25, ("openvino", "int8"): 0.1}
    done = []
    monkeypatch.setattr(roofline, "unavailable", lambda name: None)
    monkeypatch.setattr(roofline, "product", lambda precision, *_: lambda: done.append(("pytorch", precision)))
    monkeypatch.setattr(
        roofline, "openvino_product", lambda precision, *_, threads: lambda: done.append(("openvino", precision))
    )
    monkeypatch.setattr(roofline, "seconds", lambda work, device: work() or took[done[-1]])
    timer = RateTimer("cpu", 1)
    expected = {"float32": 1.0, "bfloat16": 0.25, "int8": 0.1}
    assert {name: timer.measure(name) for name in expected} == {
        name: 2 * 32**3 / seconds for name, seconds in expected.items()
    }


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_openvino_multiplies_in_each_precision(precision):
    pytest.importorskip("openvino")
    found = roofline.openvino_product(precision, 64, torch.device("cpu"), threads=1)()
    random = np.random.default_rng(0).random((2, 64, 64), dtype=np.float32)
    np.testing.assert_allclose(next(iter(found.values())), random[0] @ random[1], rtol=0.03)


def test_a_limit_that_the_network_beats_is_unknown(in_process, monkeypatch):
    monkeypatch.setattr(RateTimer, "measure", lambda self, name: 1.0)  # an operation a second
    config = BenchmarkPredictConfig(
        network="lite_hrdepth", runtimes=["pytorch:float32"], sizes=[(64, 64)], image_size=(40, 90), rounds=1, runs=1,
        threads=1,
    )  # fmt: skip
    for one in benchmark_predict(config):
        assert one.limit_ms is None
        assert one.of_limit is None
        assert 0 < one.beside_ms < one.end_to_end.median


def test_the_baseline_is_the_network_itself(tmp_path):
    _, weights = find_subject(BenchmarkNetwork(network="lite_hrdepth"), tmp_path, (64, 64))
    timer = NetworkTimer(BenchmarkPredictConfig(image_size=(40, 90)), weights, BASELINE, (64, 64), "")
    ran = []
    timer.run.register_forward_hook(lambda network, given, found: ran.append((given[0], found[0])))
    assert min(timer.measure(1)) > 0
    network = read_checkpoint(weights).network.eval()
    for image, disparity in ran:
        assert disparity.is_inference()
        with torch.no_grad():
            assert torch.equal(network(image)[0], disparity)
    assert len(ran) == 4, "alone and end to end, each once before it is measured"
    assert not any(module.training for module in timer.run.modules())
    assert all(p.is_contiguous() and p.dtype == torch.float32 for p in timer.run.parameters())


def test_variants_are_read_from_text():
    assert Variant.parse("openvino") == Variant("openvino", "float32")
    assert str(Variant.parse("pytorch:compiled")) == "pytorch float32, compiled"
    assert "no bfloat16" in Variant.parse("onnxruntime:bfloat16").missing()
    wrong = {
        "tensorflow": "runtime", "openvino:int4": "precision", "openvino:compiled": "PyTorch alone",
        "pytorch:float32:bfloat16": "must read",
    }  # fmt: skip
    for text, hint in wrong.items():
        with pytest.raises(InputError, match=hint):
            Variant.parse(text)


def test_a_generated_image_is_not_constant():
    image = drawn_image((30, 50))
    assert image.shape == (30, 50, 3)
    assert statistics.pstdev(image.reshape(-1).tolist()) > 10


@pytest.mark.parametrize(("settings", "sentence"), [
    ({}, "either --weights"),
    ({"network": "lite_hrdepth", "weights": "x"}, "either --weights"),
    ({"weights": "x", "options": {"a": 1}}, "--options go with --network"),
    ({"network": "lite_hrdepth", "sizes": []}, "sizes is empty"),
    ({"network": "lite_hrdepth", "rounds": 0}, "rounds 0"),
    ({"network": "lite_hrdepth", "threads": 0}, "threads 0 must be positive"),
    ({"network": "lite_hrdepth", "sizes": [(0, 64)]}, "must be positive"),
    ({"network": "lite_hrdepth", "plot": "a.bmp"}, "must end in .png"),
    ({"network": "lite_hrdepth", "table": "a.doc"}, "must end in .md"),
])  # fmt: skip
def test_settings_that_measure_nothing_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        benchmark_predict(BenchmarkPredictConfig(**settings))
