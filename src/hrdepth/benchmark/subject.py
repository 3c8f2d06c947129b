"""What the benchmarks of inference measure: a network, and the variants to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hrdepth.benchmark.roofline import seconds
from hrdepth.config import BenchmarkNetwork, BenchmarkPredictConfig, NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import PRECISIONS, RUNTIMES, Runtime, load_runtime, unavailable
from hrdepth.inference.runtimes.pytorch import PyTorch
from hrdepth.machine import peak_memory, reset_peak_memory
from hrdepth.networks import build_network
from hrdepth.registry import lookup
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = ["BASELINE", "NetworkTimer", "Variant", "drawn_image", "find_subject", "write_images"]


@dataclass(frozen=True)
class Variant:
    """One way to run a network.

    Attributes:
        runtime: a key of `RUNTIMES`; "" for the baseline: the network as it is, float32, contiguous, in inference mode.
        precision: `float32`, `bfloat16` or `int8`.
        compiled: by `torch.compile`.

    Example:
        >>> Variant.parse("pytorch:bfloat16:compiled")
        Variant(runtime='pytorch', precision='bfloat16', compiled=True)
    """

    runtime: str
    precision: str = "float32"
    compiled: bool = False

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read `RUNTIME[:PRECISION][:compiled]`.

        Raises:
            InputError: there is no such runtime or precision, or another runtime than PyTorch is to be compiled.
        """
        runtime, *rest = text.split(":")
        lookup(RUNTIMES, runtime, "runtime")
        compiled = "compiled" in rest
        precisions = [part for part in rest if part != "compiled"] or ["float32"]
        if len(precisions) > 1 or rest.count("compiled") > 1:
            raise InputError(f"the runtime '{text}' must read RUNTIME:PRECISION, such as openvino:int8")
        lookup(dict.fromkeys(PRECISIONS), precisions[0], "precision")
        if compiled and runtime != "pytorch":
            raise InputError(f"'{text}': PyTorch alone can be compiled")
        return cls(runtime, precisions[0], compiled)

    def __str__(self) -> str:
        """Return the name in tables."""
        if not self.runtime:
            return "baseline: eager float32"
        return f"{self.runtime} {self.precision}{', compiled' * self.compiled}"

    def missing(self) -> str | None:
        """Return why it cannot run here, or None; not of the baseline."""
        if self.precision not in RUNTIMES[self.runtime].precisions:
            return f"the runtime has no {self.precision}"
        return unavailable(self.runtime)


BASELINE = Variant("")


def find_subject(config: BenchmarkNetwork, folder: Path, size: tuple[int, int]) -> tuple[str, Path]:
    """Find the network that is measured.

    Args:
        config: names its weights file, or the network.
        folder: into which one with random weights is written.
        size: (height, width) that it is then used at.

    Returns:
        Its name, without its path on this machine, and the weights file.

    Raises:
        InputError: neither or both are named, there is no such file, or there are options without the network's name.
    """
    config.check_network()
    if config.network is None:
        if config.options:
            raise InputError("--options go with --network; a weights file has its own")
        return Path(str(config.weights)).name, locate_weights(config.weights)
    network = NetworkConfig(config.network, dict(config.options))
    torch.manual_seed(0)
    weights = folder / "random.safetensors"
    save_checkpoint(weights, build_network(network), network, size=size)
    return f"{network.name}{network.options or ''}, random weights", weights


class NetworkTimer:
    """Time a network in a runtime, or as it is; made in a process of its own.

    Args:
        config: its image size, threads and device.
        weights: file of the network.
        variant: how to run it.
        size: (height, width) of its input.
        calibration: for int8: a folder of images.
    """

    def __init__(
        self, config: BenchmarkPredictConfig, weights: Path, variant: Variant, size: tuple[int, int], calibration: str
    ) -> None:
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        network: Any = read_checkpoint(weights).network.eval()
        if variant.runtime:
            network = load_runtime(
                network, variant.runtime, variant.precision, threads=config.threads, compile=variant.compiled,
                device=config.device if variant.runtime == "pytorch" else None,
                calibration=calibration if variant.precision == "int8" else None, size=size,
            )  # fmt: skip
        self.predictor, self.image = Predictor(network, size, device=config.device), drawn_image(config.image_size)
        self.device = torch.device(self.predictor.device)
        self.run = network.infer_tensor if isinstance(network, PyTorch) else network
        # Tensors on their device, not copied from and to arrays, where the runtime takes them.
        batch = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        self.batch: Any = batch.numpy() if isinstance(self.run, Runtime) else batch.to(self.device)
        self._infer, self.predictor.infer = self.predictor.infer, self._timed
        self.inside = 0.0  # seconds that the last prediction spent in the network
        self.measure(1)  # compiles
        self.loading_peak = peak_memory() or float("nan")
        reset_peak_memory()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def _network(self) -> None:
        with torch.inference_mode():
            self.run(self.batch)

    def _timed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        start = perf_counter()
        found = self._infer(image)  # an array, so that no device computes any more
        self.inside = perf_counter() - start
        return found

    def measure(self, runs: int) -> tuple[float, float, float]:
        """Return median seconds of `runs` runs: the network alone, end to end, and the part of that beside it."""
        self._network()  # the other processes have filled the caches
        network = [seconds(self._network, self.device) for _ in range(runs)]
        self.predictor(self.image)
        whole, beside = [], []
        for _ in range(runs):
            whole.append(seconds(lambda: self.predictor(self.image).depth, self.device))
            beside.append(whole[-1] - self.inside)
        return median(network), median(whole), median(beside)

    def describe(self) -> tuple[str, float, float]:
        """Return the device's type, and the peaks of memory in MiB while loading and since: the accelerator's since."""
        peak = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else 0
        return self.device.type, self.loading_peak, peak or peak_memory() or float("nan")


def drawn_image(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return an image of smooth noise, uint8 (H,W,3)."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_images(folder: Path, size: tuple[int, int]) -> Path:
    """Write four images of smooth noise to calibrate on, and return their folder."""
    folder.mkdir(exist_ok=True)
    for number in range(4):
        Image.fromarray(drawn_image(size, number)).save(folder / f"{number}.png")
    return folder
