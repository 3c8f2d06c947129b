"""What the benchmarks of inference measure: a network, and the variants to run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hrdepth.benchmark.roofline import seconds
from hrdepth.benchmark.workers import peak_memory, reset_peak_memory
from hrdepth.camera import DepthScale
from hrdepth.config import BenchmarkNetwork, NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import PRECISIONS, RUNTIMES, load_runtime, unavailable
from hrdepth.inference.runtimes.pytorch import PyTorch
from hrdepth.networks import build_network
from hrdepth.registry import lookup
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = ["BASELINE", "NetworkTimer", "Subject", "Variant", "drawn_image", "write_images"]


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
        """Return why it cannot run here, or None."""
        if not self.runtime:
            return None
        if self.precision not in RUNTIMES[self.runtime].precisions:
            return f"the runtime has no {self.precision}"
        return unavailable(self.runtime)


BASELINE = Variant("")


class Subject:
    """The network of a weights file, or one by its name with random weights.

    Raises:
        InputError: there is neither or both, or options without the name.
    """

    def __init__(self, config: BenchmarkNetwork) -> None:
        config.check_network()
        self.weights = config.weights
        self.config = None if config.network is None else NetworkConfig(config.network, dict(config.options))
        if self.weights is not None and config.options:
            raise InputError("--options go with --network; a weights file has its own")

    @property
    def name(self) -> str:
        """The network without its path on this machine."""
        if self.config is None:
            return Path(str(self.weights)).name
        return f"{self.config.name}{self.config.options or ''}, random weights"

    def load(self) -> nn.Module:
        """Return the network in eval mode."""
        if self.config is None:
            return read_checkpoint(locate_weights(self.weights)).network.eval()
        torch.manual_seed(0)
        return build_network(self.config).eval()

    def file(self, folder: Path, size: tuple[int, int]) -> Path:
        """Return the weights file, written into `folder` where there is none yet."""
        return locate_weights(self.weights) if self.config is None else self.save(folder, size)

    def save(self, folder: Path, size: tuple[int, int]) -> Path:
        """Write the network into `folder` as one that is used at `size`."""
        path, network, config = folder / "random.safetensors", self.load(), self.config
        if config is None:
            file = locate_weights(self.weights)
            path, config = folder / file.name, read_checkpoint(file).network_config
        save_checkpoint(path, network, config, size=size)
        return path

    def run(
        self, variant: Variant, size: tuple[int, int], threads: int, device: str, calibration: str | None
    ) -> tuple[Any, torch.device]:
        """Return the network in a runtime, or as it is, and the device that it computes on."""
        torch.set_num_threads(threads)
        network = self.load()
        if not variant.runtime:
            return Eager(network.to(device)), torch.device(device)
        chosen = device if variant.runtime == "pytorch" else None
        runtime = load_runtime(
            network, variant.runtime, variant.precision, threads=threads, compile=variant.compiled, device=chosen,
            calibration=calibration if variant.precision == "int8" else None, size=size,
        )  # fmt: skip
        return runtime, torch.device(runtime.device)


class Eager:
    """The baseline: the network as it is built, its parameters contiguous, in inference mode."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.float()
        self.stride, self.scale = int(getattr(network, "stride", 32)), DepthScale.of(network)

    def __call__(self, image: Tensor) -> dict[int, Tensor]:
        """Predict disparity, (B,3,H,W) -> {0: (B,1,H,W)}."""
        with torch.inference_mode():
            return {0: self.network(image.contiguous())[0]}


class NetworkTimer:
    """Time a network in a runtime; made in a process of its own."""

    def __init__(
        self,
        subject: Subject,
        variant: Variant,
        size: tuple[int, int],
        image_size: tuple[int, int],
        threads: int,
        device: str,
        calibration: str | None = None,
    ) -> None:
        self.run, self.device = subject.run(variant, size, threads, device, calibration)
        self.predictor, self.image = Predictor(self.run, size, device=self.device), drawn_image(image_size)
        self.batch: Any = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        if isinstance(self.run, PyTorch | Eager):  # tensors on their device, not copied from and to arrays
            self.batch = self.batch.to(self.device)
            self.run = self.run.infer_tensor if isinstance(self.run, PyTorch) else self.run
        else:
            self.batch = self.batch.numpy()
        self._infer = self.predictor.infer
        self.inside = 0.0  # seconds that the last prediction spent in the network
        self.predictor.infer = self._timed
        self.measure(1)  # compiles
        self.loading_peak = peak_memory() or float("nan")
        reset_peak_memory()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def _network(self) -> None:
        with torch.inference_mode():
            self.run(self.batch)

    def _timed(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        found: list[NDArray[np.float32]] = []
        self.inside = seconds(lambda: found.append(self._infer(image)), self.device)
        return found[0]

    def loaded(self) -> tuple[str, float]:
        """Return the device's type and the peak of memory while loading, MiB."""
        return self.device.type, self.loading_peak

    def measure(self, runs: int) -> dict[str, float]:
        """Return median seconds of `runs` runs: `network` alone, `end_to_end`, and the part of that `beside` it."""
        self._network()  # the other processes have filled the caches
        network = [seconds(self._network, self.device) for _ in range(runs)]
        self.predictor(self.image)
        whole, beside = [], []
        for _ in range(runs):
            whole.append(seconds(lambda: self.predictor(self.image).depth, self.device))
            beside.append(whole[-1] - self.inside)
        return {"network": median(network), "end_to_end": median(whole), "beside": median(beside)}

    def peak(self) -> float:
        """Return the peak of memory since loading, MiB: the accelerator's, where there is one."""
        gpu = torch.cuda.max_memory_allocated() / 2**20 if self.device.type == "cuda" else 0
        return gpu or peak_memory() or float("nan")


def drawn_image(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return an image of smooth noise, uint8 (H,W,3)."""
    height, width = size
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def write_images(folder: Path, size: tuple[int, int], count: int = 4) -> Path:
    """Write images of smooth noise to calibrate on, and return their folder."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.fromarray(drawn_image(size, number)).save(folder / f"{number}.png")
    return folder
