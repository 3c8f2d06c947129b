"""Benchmarks."""

from __future__ import annotations

from hrdepth.config import (
    BenchmarkAppConfig,
    BenchmarkEvaluateConfig,
    BenchmarkExportConfig,
    BenchmarkLoadConfig,
    BenchmarkPredictConfig,
    BenchmarkTrainConfig,
)
from hrdepth.cpu import limit_openmp_spin
from hrdepth.errors import training_extra

__all__ = [
    "benchmark_app",
    "benchmark_evaluate",
    "benchmark_export",
    "benchmark_load",
    "benchmark_predict",
    "benchmark_train",
]


def benchmark_load(config: BenchmarkLoadConfig) -> None:
    """Measure how fast samples are loaded, without and with a cache."""
    with training_extra():
        from hrdepth.benchmark.load import benchmark_load as run

    run(config)


def benchmark_train(config: BenchmarkTrainConfig) -> None:
    """Measure a training step and its parts, in units of a ResNet-18's forward and backward pass."""
    with training_extra():
        from hrdepth.benchmark.train import benchmark_train as run

    run(config)


def benchmark_predict(config: BenchmarkPredictConfig) -> None:
    """Measure a network in several runtimes, beside itself in eager float32."""
    limit_openmp_spin()  # as `hrdepth predict` does
    from hrdepth.benchmark.predict import benchmark_predict as run

    run(config)


def benchmark_evaluate(config: BenchmarkEvaluateConfig) -> None:
    """Measure how long the metrics of a test set take."""
    from hrdepth.benchmark.evaluate import benchmark_evaluate as run

    run(config)


def benchmark_export(config: BenchmarkExportConfig) -> None:
    """Measure how long exports take and how large they are."""
    from hrdepth.benchmark.export import benchmark_export as run

    run(config)


def benchmark_app(config: BenchmarkAppConfig) -> None:
    """Measure how long a visitor of the page waits, for the first answer and for the following ones."""
    limit_openmp_spin()  # as `hrdepth app` does
    from hrdepth.benchmark.app import benchmark_app as run

    run(config)
