"""What is timed in separate processes: the unit, a training step, its parts, the machine's matrix rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import yaml
from PIL import Image
from torch import Tensor

from hrdepth.benchmark.report import memory, peak_memory
from hrdepth.benchmark.roofline import seconds
from hrdepth.compute import choose_device
from hrdepth.config import DatasetConfig, TrainConfig
from hrdepth.cpu import tune_malloc
from hrdepth.data.sample import Batch
from hrdepth.objectives import Objective

__all__ = ["FRAME_SIZE", "WORKLOADS", "WorkloadTimer", "made_drive"]

# Size of the generated images (height, width): KITTI's.
FRAME_SIZE = (375, 1242)
MATRIX = 2048

Workload = Callable[[TrainConfig], Callable[[], object]]


def made_drive(root: Path, frames: int) -> DatasetConfig:
    """Write a drive of smooth, moving noise as JPEG files of KITTI's size: stereo pairs, with the mask of an object."""
    height, width = FRAME_SIZE
    coarse = np.random.default_rng(0).integers(0, 255, (height // 8, (width + 8 * frames) // 8, 3), dtype=np.uint8)
    strip = Image.fromarray(coarse).resize((width + 8 * frames, height), Image.Resampling.BICUBIC)
    for side, shift in (("left", 0), ("right", 4)):
        (root / "drive" / side).mkdir(parents=True)
        for number in range(frames):
            left = 6 * number + shift
            frame = strip.crop((left, 0, left + width, height))
            frame.save(root / "drive" / side / f"{number:06d}.jpg", quality=90)
    (root / "drive" / "left_objects").mkdir()
    for number in range(frames):
        objects = Image.new("L", (width, height))
        objects.paste(1, (600 - 6 * number, 150, 800 - 6 * number, 250))
        objects.save(root / "drive" / "left_objects" / f"{number:06d}.png")
    camera = {"width": width, "height": height, "fx": 721.5, "fy": 721.5, "cx": 609.6, "cy": 172.9, "baseline": 0.1}
    (root / "drive" / "camera.yaml").write_text(yaml.safe_dump(camera), encoding="utf-8")
    return DatasetConfig("folder", str(root))


def unit(config: TrainConfig) -> Callable[[], None]:
    """Pass forward and backward through ResNet-18's features: float32, contiguous, nothing tuned."""
    encoder = timm.create_model("resnet18", features_only=True).to(_device(config))
    image = torch.rand(config.batch_size, 3, *config.size, device=_device(config))

    def run() -> None:
        sum((features.mean() for features in encoder(image)), torch.zeros(())).backward()

    return run


def step(config: TrainConfig) -> Callable[[], None]:
    """Take a training step as `hrdepth train` does, loading included."""
    from hrdepth.training import build_loaders, build_training_objective
    from hrdepth.training.optimiser import build_optimiser

    objective = build_training_objective(config).to(_device(config)).train()
    optimiser = build_optimiser(objective.parameters(), config.optimiser)
    batches = _endless(build_loaders(config, objective=objective)["train"], config)

    def run() -> None:
        batch = next(batches)
        with torch.autocast(_device(config), torch.bfloat16, enabled=config.precision != "32-true"):
            loss = objective(batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return run


def depth_network(config: TrainConfig) -> Callable[[], None]:
    """Pass forward and backward through the depth network."""
    objective, batch = _prepared(config)

    def run() -> None:
        with torch.autocast(_device(config), torch.bfloat16, enabled=config.precision != "32-true"):
            disparities = objective.network(batch["target_augmented"])
        torch.stack([disparity.mean() for disparity in disparities.values()]).sum().backward()  # type: ignore[no-untyped-call]

    return run


def pose_network(config: TrainConfig) -> Callable[[], None]:
    """Pass forward and backward through the pose network, all pairs."""
    objective, batch = _prepared(config)
    network, neighbours = objective.pose_network, [i for i, frame in enumerate(objective.frames) if frame != "s"]
    assert network is not None
    target, sources = batch["target_augmented"], batch["sources_augmented"]
    pairs = torch.cat([torch.cat([target, sources[:, i]], dim=1) for i in neighbours])

    def run() -> None:
        with torch.autocast(_device(config), torch.bfloat16, enabled=config.precision != "32-true"):
            motions = network(pairs)
        torch.stack([motion.sum() for motion in motions]).sum().backward()  # type: ignore[no-untyped-call]

    return run


def losses(config: TrainConfig) -> Callable[[], None]:
    """Compute the losses, forward and backward, from a given output of the networks."""
    objective, batch = _prepared(config)
    output = objective.predict(batch).map(lambda tensor: tensor.detach().requires_grad_(tensor.requires_grad))

    def run() -> None:
        objective.losses(output, batch)["loss"].backward()  # type: ignore[no-untyped-call]

    return run


def loading(config: TrainConfig) -> Callable[[], Batch]:
    """Load a batch."""
    from hrdepth.training import build_loaders

    batches = _endless(build_loaders(config)["train"], config)
    return lambda: next(batches)


def optimiser(config: TrainConfig) -> Callable[[], None]:
    """Let the optimiser change all weights."""
    from hrdepth.training.optimiser import build_optimiser

    objective, batch = _prepared(config)
    adam = build_optimiser(objective.parameters(), config.optimiser)
    objective(batch).loss.backward()

    def run() -> None:
        adam.step()

    return run


def matrices(config: TrainConfig) -> Callable[[], Tensor]:
    """Multiply two square matrices of 2048 numbers a side, in float32."""
    a, b = (torch.rand(MATRIX, MATRIX, device=_device(config)) for _ in range(2))
    return lambda: a @ b


def matrices_bfloat16(config: TrainConfig) -> Callable[[], Tensor]:
    """Multiply two square matrices of 2048 numbers a side, in bfloat16."""
    a, b = (torch.rand(MATRIX, MATRIX, device=_device(config), dtype=torch.bfloat16) for _ in range(2))
    return lambda: a @ b


WORKLOADS: dict[str, Workload] = {
    "unit": unit,
    "step": step,
    "depth network": depth_network,
    "pose network": pose_network,
    "losses": losses,
    "optimiser": optimiser,
    "loading": loading,
    "matrices": matrices,
    "matrices bfloat16": matrices_bfloat16,
}


class WorkloadTimer:
    """Time workloads; made in a process of its own.

    A workload is prepared when its name comes up first, and released when another's does.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.name = ""
        self.run: Callable[[], object] = lambda: None
        self.before = 0.0

    def measure(self, name: str, count: int) -> tuple[list[float], float]:
        """Return the seconds of `count` runs, and the peak of memory above the start, MiB."""
        if name != self.name:
            if name != "unit":  # the unit stays as PyTorch runs it
                tune_malloc()
            torch.manual_seed(0)
            self.name, self.run = name, lambda: None  # the last one's memory is free before this one's is taken
            self.run = WORKLOADS[name](self.config)
            self.before = memory() or 0.0
            for _ in range(2):  # compiles, fills caches
                self.run()
        device = choose_device(self.config.device)
        taken = [seconds(self.run, device) for _ in range(count)]
        return taken, (peak_memory() or float("nan")) - self.before


def _prepared(config: TrainConfig) -> tuple[Objective, Batch]:
    from hrdepth.training import build_loaders, build_training_objective

    objective = build_training_objective(config).to(_device(config)).train()
    return objective, next(_endless(build_loaders(config, objective=objective)["train"], config))


def _endless(loader: Any, config: TrainConfig) -> Iterator[Any]:
    while True:
        for batch in loader:
            yield {key: value.to(_device(config), non_blocking=True) for key, value in batch.items()}


def _device(config: TrainConfig) -> str:
    return str(choose_device(config.device))
