"""Settings of the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hrdepth.config.inference import DeviceConfig
from hrdepth.config.networks import NetworkConfig
from hrdepth.config.training import ObjectiveConfig, TrainConfig
from hrdepth.errors import InputError

__all__ = [
    "EXPORTS",
    "VARIANTS",
    "BenchmarkAppConfig",
    "BenchmarkEvaluateConfig",
    "BenchmarkExportConfig",
    "BenchmarkLoadConfig",
    "BenchmarkNetwork",
    "BenchmarkOutput",
    "BenchmarkPredictConfig",
    "BenchmarkStartConfig",
    "BenchmarkTable",
    "BenchmarkTrainConfig",
]


@dataclass(frozen=True)
class BenchmarkOutput:
    """Where a benchmark writes its results.

    Attributes:
        out: a JSON file for the results; null prints only.
        overwrite: replace files that exist.
    """

    out: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class BenchmarkTable(BenchmarkOutput):
    """Where a benchmark writes its table, too.

    Attributes:
        table: a file for the table, .md or .tex.
    """

    table: str | None = None


@dataclass(frozen=True)
class BenchmarkNetwork:
    """The network that is measured.

    Attributes:
        weights: a weights file of this package, or the name of one.
        network: instead of weights, a network by its name, with random weights.
        options: options of the network that `network` names.
    """

    weights: str | None = None
    network: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def check_network(self) -> None:
        """Check that one network is named.

        Raises:
            InputError: there is neither or both.
        """
        if (self.weights is None) == (self.network is None):
            raise InputError("give either --weights, a weights file, or --network, the name of one with random weights")


@dataclass(frozen=True)
class BenchmarkTrainConfig(BenchmarkOutput):
    """A training step, measured in the unit of a ResNet-18's forward and backward pass.

    The images are generated ones of KITTI's size, read from JPEG files as in a training.

    Attributes:
        network: the depth network.
        pose_network: the pose network.
        objective: what is minimised, as in a training; `options: {compile: true}` compiles synthesis and losses.
        sizes: (height, width) of the samples, one measurement each; on the command line such as 640x192,1024x320.
        batch_sizes: samples a step, one measurement each.
        precision: `32-true` or `bf16-mixed`.
        channels_last: keep feature maps in NHWC order.
        compile_networks: compile depth and pose network, too.
        workers: processes that load samples.
        rounds: interleaved measurements of unit and step, whose median counts.
        steps: training steps in each measurement.
        device: what is measured: `auto` (the best that is available), `cpu`, `cuda` or `mps`.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    pose_network: NetworkConfig = field(default_factory=lambda: NetworkConfig("posenet"))
    objective: ObjectiveConfig = field(default_factory=lambda: ObjectiveConfig(options={"compile": True}))
    sizes: list[tuple[int, int]] = field(default_factory=lambda: [(192, 640)])
    batch_sizes: list[int] = field(default_factory=lambda: [4])
    precision: str = "32-true"
    channels_last: bool = True
    compile_networks: bool = False
    workers: int = 1
    rounds: int = 5
    steps: int = 3
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class BenchmarkLoadConfig(BenchmarkOutput):
    """Samples loaded a second, without and with a cache.

    Attributes:
        config: the training config whose samples are loaded.
        cache: a folder that `hrdepth prepare cache` made, compared with the sources; null for the config's own.
        workers: numbers of processes that load, one measurement each; 0 loads in the main one.
        seconds: how long each measurement takes, in seconds.
    """

    config: TrainConfig
    cache: str | None = None
    workers: list[int] = field(default_factory=lambda: [0, 1, 2])
    seconds: float = 20.0


# A quick choice: compilation by PyTorch alone takes a minute.
VARIANTS = ("pytorch:float32", "onnxruntime:float32", "openvino:float32", "openvino:int8")
EXPORTS = ("onnx", "openvino", "openvino-int8", "torch-export")


@dataclass(frozen=True)
class BenchmarkPredictConfig(BenchmarkNetwork, BenchmarkTable):
    """Runtimes and precisions, compared with the network in eager float32, contiguous, in inference mode.

    Attributes:
        runtimes: what is measured, each as `RUNTIME:PRECISION`, such as `openvino:bfloat16` or `tensorrt:float32`;
            `pytorch:compiled` and `pytorch:bfloat16:compiled` compile. Those that are missing are listed with the
            reason.
        sizes: (height, width) of the network's input, one measurement each; on the command line such as
            640x192,1024x320.
        image_size: (height, width) of the decoded image, and of the depth at the end; on the command line WIDTHxHEIGHT,
            such as 1242x375.
        rounds: how many rounds are measured; in each, all runtimes take turns.
        runs: predictions in a round, of the network alone and end to end; their median is the round's value.
        threads: cores to compute with; null for PyTorch's default.
        device: for PyTorch: `cpu`, `cuda` or `mps`.
        calibration: for int8: a folder of images; null for generated ones, since speed does not depend on them.
        plot: a file for latency against resolution: .png, .svg or .pdf.
    """

    runtimes: list[str] = field(default_factory=lambda: list(VARIANTS))
    sizes: list[tuple[int, int]] = field(default_factory=lambda: [(192, 640)])
    image_size: tuple[int, int] = (375, 1242)
    rounds: int = 5
    runs: int = 3
    threads: int | None = None
    device: str = "cpu"
    calibration: str | None = None
    plot: str | None = None


@dataclass(frozen=True)
class BenchmarkEvaluateConfig(BenchmarkTable):
    """Time of a test set's metrics, from predictions in memory to the table.

    Attributes:
        images: number of images; KITTI's Eigen split has 697.
        size: (height, width) of the true depth; on the command line WIDTHxHEIGHT, such as 1242x375.
        prediction_size: (height, width) of the predictions; on the command line WIDTHxHEIGHT, such as 640x192.
        density: share of the pixels with true depth; a laser on KITTI hits about 4.5 %.
        workers: threads or processes to compare with, one measurement each.
        processes: measure processes, too.
        rounds: interleaved measurements of each number of workers, whose median counts.
    """

    images: int = 697
    size: tuple[int, int] = (375, 1242)
    prediction_size: tuple[int, int] = (192, 640)
    density: float = 0.045
    workers: list[int] = field(default_factory=lambda: [1, 2])
    processes: bool = False
    rounds: int = 3


@dataclass(frozen=True)
class BenchmarkExportConfig(BenchmarkNetwork, BenchmarkTable):
    """Time and file size of each export, check included.

    Attributes:
        formats: the exports to measure, of `onnx`, `openvino`, `openvino-int8`, `torch-export`.
        size: (height, width) of the graph's input, on the command line WIDTHxHEIGHT, such as 640x192; null for that of
            training.
        calibration: for int8: a folder of images; null for generated ones.
        rounds: interleaved exports of each format.
    """

    formats: list[str] = field(default_factory=lambda: list(EXPORTS))
    size: tuple[int, int] | None = None
    calibration: str | None = None
    rounds: int = 3


@dataclass(frozen=True)
class BenchmarkAppConfig(BenchmarkNetwork, BenchmarkOutput, DeviceConfig):
    """Times of the page of `hrdepth app`: of loading, of the first and of the following answers.

    Attributes:
        weights: a weights file or the name of one; null, and no network, for the bundled ones.
        size: (height, width) of the network's input that the page is loaded with; on the command line WIDTHxHEIGHT,
            such as 640x192.
        image_size: (height, width) of the image that is sent; on the command line WIDTHxHEIGHT, such as 1242x375.
        pages: pages that are served, each in a process of its own: each gives one first answer.
        answers: answers of each page that are timed, the first included.
        runtime: `pytorch`, `onnxruntime`, `openvino` or `tensorrt`; null for the fastest that is installed.
        trust: has no effect here: the page is given a weights file, which cannot run code.
    """

    size: tuple[int, int] = (192, 640)
    image_size: tuple[int, int] = (375, 1242)
    pages: int = 3
    answers: int = 6
    runtime: str | None = None


@dataclass(frozen=True)
class BenchmarkStartConfig(BenchmarkTable):
    """Time, processor time and memory of `hrdepth predict` on one image, from starting the process to its end.

    Attributes:
        weights: a weights file or the name of one; null for the bundled network.
        runtimes: the runtimes to measure, such as `[onnxruntime]`; null for ONNX Runtime, and OpenVINO if it is
            installed.
        image_size: (height, width) of the image; on the command line WIDTHxHEIGHT, such as 1242x375.
        rounds: interleaved runs of each process.
    """

    weights: str | None = None
    runtimes: list[str] | None = None
    image_size: tuple[int, int] = (375, 1242)
    rounds: int = 5
