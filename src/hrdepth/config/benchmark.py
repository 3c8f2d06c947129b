"""What a benchmark measures."""

from __future__ import annotations

from dataclasses import dataclass, field

from hrdepth.config.network import NetworkConfig
from hrdepth.config.training import ObjectiveConfig, TrainConfig

__all__ = ["BenchmarkLoadConfig", "BenchmarkTrainConfig"]


@dataclass(frozen=True)
class BenchmarkTrainConfig:
    """A training step, measured in the unit of a ResNet-18's forward and backward pass.

    The images are generated ones of KITTI's size, read from JPEG files as in a training.

    Attributes:
        network: the depth network.
        pose_network: the pose network.
        objective: as in a training; `options: {compile: true}` compiles synthesis and losses.
        sizes: (height, width) of the samples, one measurement each.
        batch_sizes: samples a step, one measurement each.
        precision: `32-true` or `bf16-mixed`.
        channels_last: keep feature maps in NHWC order.
        compile_networks: compile depth and pose network, too.
        workers: processes that load samples.
        rounds: measurements of unit and step, in turns, whose median counts.
        steps: a measurement.
        out: a JSON file for the results; null prints only.
        overwrite: replace `out`.
        device: `auto`, `cpu`, `cuda` or `mps`.
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
    out: str | None = None
    overwrite: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class BenchmarkLoadConfig:
    """How fast samples are loaded, without and with a cache.

    Attributes:
        config: the training config whose samples are loaded.
        cache: a folder that `hrdepth prepare` made, to be measured beside the sources; null takes the config's own.
        workers: numbers of processes that load, one measurement each; 0 loads in the main one.
        seconds: that each measurement takes.
        out: a JSON file for the results; null prints only.
        overwrite: replace `out`.
    """

    config: TrainConfig
    cache: str | None = None
    workers: list[int] = field(default_factory=lambda: [0, 1, 2])
    seconds: float = 20.0
    out: str | None = None
    overwrite: bool = False
