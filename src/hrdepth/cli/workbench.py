"""Benchmarks, and the paper's tables and figures."""

from __future__ import annotations

import sys
from pathlib import Path

from hrdepth.config import (
    BenchmarkAppConfig,
    BenchmarkEvaluateConfig,
    BenchmarkExportConfig,
    BenchmarkLoadConfig,
    BenchmarkPredictConfig,
    BenchmarkStartConfig,
    BenchmarkTrainConfig,
    ReproduceFigureConfig,
    ReproduceRegionsConfig,
    ReproduceResolutionConfig,
    ReproduceTableConfig,
)
from hrdepth.machine import limit_openmp_spin


def benchmark_load(config: BenchmarkLoadConfig) -> None:
    """Measure the samples loaded a second, without and with a cache."""
    from hrdepth.benchmark import train

    train.benchmark_load(config)


def benchmark_train(config: BenchmarkTrainConfig) -> None:
    """Measure a training step and its parts, in units of a ResNet-18's forward and backward pass."""
    from hrdepth.benchmark import train

    train.benchmark_train(config)


def benchmark_predict(config: BenchmarkPredictConfig) -> None:
    """Measure a network in several runtimes, compared with itself in eager float32."""
    limit_openmp_spin()  # as `hrdepth predict` does
    from hrdepth.benchmark import predict

    predict.benchmark_predict(config)


def benchmark_evaluate(config: BenchmarkEvaluateConfig) -> None:
    """Measure the time of a test set's metrics."""
    from hrdepth.benchmark import evaluate

    evaluate.benchmark_evaluate(config)


def benchmark_export(config: BenchmarkExportConfig) -> None:
    """Measure time and file size of exports."""
    from hrdepth.benchmark import export

    export.benchmark_export(config)


def benchmark_start(config: BenchmarkStartConfig) -> None:
    """Measure time and memory of `hrdepth predict` on one image, from starting the process to its end."""
    from hrdepth.benchmark import start

    start.benchmark_start(config)


def benchmark_app(config: BenchmarkAppConfig) -> None:
    """Measure the time until a visitor of the page gets the first and the following answers."""
    limit_openmp_spin()  # as `hrdepth app` does
    from hrdepth.benchmark import app

    app.benchmark_app(config)


def reproduce_table1(config: ReproduceTableConfig) -> None:
    """Reproduce Table 1: Monodepth2 at two resolutions."""
    _reproduce_table("table1", config)


def reproduce_table2(config: ReproduceTableConfig) -> None:
    """Reproduce Table 2: HR-Depth and other systems on KITTI."""
    _reproduce_table("table2", config)


def reproduce_table3(config: ReproduceTableConfig) -> None:
    """Reproduce Table 3: Lite-HR-Depth, without and with a teacher."""
    _reproduce_table("table3", config)


def reproduce_table4(config: ReproduceTableConfig) -> None:
    """Reproduce Table 4: ablation of dense skips and fSE."""
    _reproduce_table("table4", config)


def _reproduce_table(name: str, config: ReproduceTableConfig) -> None:
    from hrdepth.reproduce.table import reproduce_table

    _print_files(reproduce_table(name, config))


def reproduce_figure2(config: ReproduceRegionsConfig) -> None:
    """Reproduce Figure 2: where errors lie, at low and high resolution."""
    from hrdepth.reproduce import figure2

    _print_files(figure2.reproduce_figure2(config))


def reproduce_resolution(config: ReproduceResolutionConfig) -> None:
    """Measure what a higher resolution gives two networks, by region: the claim behind Figure 2."""
    from hrdepth.reproduce import resolutions

    _print_files(resolutions.reproduce_resolution(config))


def reproduce_figure4(config: ReproduceFigureConfig) -> None:
    """Reproduce Figure 4: networks side by side on images."""
    _reproduce_figure("figure4", config)


def reproduce_figure5(config: ReproduceFigureConfig) -> None:
    """Reproduce Figure 5: feature maps at the first level."""
    _reproduce_figure("figure5", config)


def _reproduce_figure(name: str, config: ReproduceFigureConfig) -> None:
    from hrdepth.reproduce.figures import reproduce_figure

    _print_files(reproduce_figure(name, config))


def _print_files(paths: list[Path]) -> None:
    print("\n".join(map(str, paths)), file=sys.stderr)
