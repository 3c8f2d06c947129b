"""Settings of the benchmarks of prediction, evaluation and export."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["EXPORTS", "VARIANTS", "BenchmarkEvaluateConfig", "BenchmarkExportConfig", "BenchmarkPredictConfig"]

VARIANTS = (
    "pytorch:float32", "pytorch:bfloat16", "pytorch:compiled", "onnxruntime:float32", "openvino:float32",
    "openvino:bfloat16", "openvino:int8", "tensorrt:float32",
)  # fmt: skip
EXPORTS = ("onnx", "openvino", "openvino-int8", "torch-export")


@dataclass(frozen=True)
class BenchmarkPredictConfig:
    """Runtimes and precisions beside the network in eager float32, contiguous, in inference mode.

    Attributes:
        weights: a weights file of this package.
        network: instead of weights, a network by its name, with random ones.
        options: of that network.
        runtimes: `RUNTIME:PRECISION`, such as `openvino:int8`; `pytorch:compiled` and `pytorch:bfloat16:compiled`
            compile. Those that are not there are named with the reason.
        sizes: (height, width) of the network's input.
        image_size: (height, width) of the decoded image, and of the depth at the end.
        rounds: turns in which all are measured one after the other.
        runs: a turn, each of network alone and end to end; their median is the turn's value.
        threads: cores to compute with; null for as many as PyTorch takes.
        device: for PyTorch: `cpu`, `cuda` or `mps`.
        calibration: for int8: a folder of images; null for generated ones, since speed does not depend on them.
        out: a JSON file for the results; null prints only.
        table: a file for the table, .md or .tex.
        plot: a file for latency against resolution: .png, .svg or .pdf.
        overwrite: replace `out`, `table` and `plot`.
    """

    weights: str | None = None
    network: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    runtimes: list[str] = field(default_factory=lambda: list(VARIANTS))
    sizes: list[tuple[int, int]] = field(default_factory=lambda: [(192, 640), (320, 1024)])
    image_size: tuple[int, int] = (375, 1242)
    rounds: int = 7
    runs: int = 5
    threads: int | None = None
    device: str = "cpu"
    calibration: str | None = None
    out: str | None = None
    table: str | None = None
    plot: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class BenchmarkEvaluateConfig:
    """How long the metrics of a test set take, from predictions in memory to the table.

    Attributes:
        images: how many; KITTI's Eigen split has 697.
        size: (height, width) of the true depth.
        prediction_size: (height, width) of the predictions.
        density: share of the pixels with true depth; a laser on KITTI hits about 4.5 %.
        workers: threads or processes to compare with, one measurement each.
        processes: measure processes, too.
        rounds: measurements of each, in turns.
        out: a JSON file for the results; null prints only.
        table: a file for the table, .md or .tex.
        overwrite: replace `out` and `table`.
    """

    images: int = 697
    size: tuple[int, int] = (375, 1242)
    prediction_size: tuple[int, int] = (192, 640)
    density: float = 0.045
    workers: list[int] = field(default_factory=lambda: [1, 2])
    processes: bool = False
    rounds: int = 3
    out: str | None = None
    table: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class BenchmarkExportConfig:
    """How long each export takes, check included, and how large its file is.

    Attributes:
        weights: a weights file of this package.
        network: instead of weights, a network by its name, with random ones.
        options: of that network.
        formats: of `onnx`, `openvino`, `openvino-int8`, `torch-export`.
        size: (height, width) of the images that the graph takes; null for that of training.
        calibration: for int8: a folder of images; null for generated ones.
        rounds: exports of each format, in turns.
        out: a JSON file for the results; null prints only.
        table: a file for the table, .md or .tex.
        overwrite: replace `out` and `table`.
    """

    weights: str | None = None
    network: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    formats: list[str] = field(default_factory=lambda: list(EXPORTS))
    size: tuple[int, int] | None = None
    calibration: str | None = None
    rounds: int = 3
    out: str | None = None
    table: str | None = None
    overwrite: bool = False
