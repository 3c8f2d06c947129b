"""Tests of benchmark/evaluate.py and benchmark/export.py.

The benchmarks of evaluation and of export.
"""

import json

import pytest

from hrdepth.benchmark.evaluate import benchmark_evaluate
from hrdepth.benchmark.export import benchmark_export
from hrdepth.config import BenchmarkEvaluateConfig, BenchmarkExportConfig
from hrdepth.errors import InputError


def test_evaluation_of_a_set_is_timed(tmp_path, capsys):
    out = tmp_path / "evaluate.json"
    config = BenchmarkEvaluateConfig(
        images=12, size=(60, 90), prediction_size=(16, 32), density=0.3, rounds=2, out=str(out)
    )
    one, two, reference = benchmark_evaluate(config)
    assert [one.name, two.name] == ["1 thread", "2 threads"]
    assert [one.samples, two.samples, reference.samples] == [2, 2, 2]
    written = json.loads(out.read_text())
    assert written["largest_difference"] < 1e-9
    assert "Metrics of 12 images of 90x60" in capsys.readouterr().out
    with pytest.raises(InputError, match="exists already"):
        benchmark_evaluate(config)


def test_exports_are_timed_and_their_file_size_recorded(tmp_path, capsys, monkeypatch):
    out = tmp_path / "export.json"
    config = BenchmarkExportConfig(
        network="lite_hrdepth", formats=["torch-export"], size=(64, 64), rounds=1, out=str(out)
    )
    (found,) = benchmark_export(config)
    assert found.seconds.median > 0
    assert found.mebibytes == pytest.approx(4 * 3.1, rel=0.4)  # 3.1M parameters of four bytes, and the graph
    assert found.largest < 1e-4
    assert json.loads(out.read_text())["results"][0]["format"] == "torch-export"
    monkeypatch.setattr("hrdepth.benchmark.export.unavailable", lambda name: f"{name} is not installed")
    assert benchmark_export(BenchmarkExportConfig(network="lite_hrdepth", formats=["onnx"], size=(64, 64))) == []
    assert "left out: onnx: onnxruntime is not installed" in capsys.readouterr().out


@pytest.mark.parametrize(("run", "config", "sentence"), [
    (benchmark_evaluate, BenchmarkEvaluateConfig(images=0), "images 0 must be positive"),
    (benchmark_evaluate, BenchmarkEvaluateConfig(images=10**20), "images 10+ must be at most 1000000"),
    (benchmark_evaluate, BenchmarkEvaluateConfig(workers=[]), "workers is empty; give at least one"),
    (benchmark_evaluate, BenchmarkEvaluateConfig(density=0.0), "density 0"),
    (benchmark_evaluate, BenchmarkEvaluateConfig(size=(0, 3)), "must be positive"),
    (benchmark_export, BenchmarkExportConfig(network="lite_hrdepth", formats=["tflite"]), "format"),
    (benchmark_export, BenchmarkExportConfig(network="lite_hrdepth", rounds=0), "rounds 0 must be positive"),
    (benchmark_export, BenchmarkExportConfig(network="lite_hrdepth", size=(0, 96)), "size .* must be positive"),
    (benchmark_export, BenchmarkExportConfig(), "either --weights"),
])  # fmt: skip
def test_settings_that_measure_nothing_are_refused(run, config, sentence):
    with pytest.raises(InputError, match=sentence):
        run(config)
