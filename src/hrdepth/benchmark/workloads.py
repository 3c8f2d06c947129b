"""Workloads to time: the unit, a training step, its parts, the machine's matrix rate."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import yaml
from lightning.fabric.utilities import move_data_to_device
from PIL import Image
from torch import Tensor, nn

from hrdepth.benchmark.roofline import MATRIX, product, seconds
from hrdepth.config import DatasetConfig, TrainConfig
from hrdepth.data.mixing import MixedSampler
from hrdepth.data.sample import Batch
from hrdepth.machine import peak_memory, resident_memory, tune_malloc
from hrdepth.objectives import Objective
from hrdepth.training import build_loaders, build_training_objective
from hrdepth.training.optimiser import build_optimiser

__all__ = ["FRAME_SIZE", "WORKLOADS", "WorkloadTimer", "backward", "load_batches", "made_drive"]

# Size of the generated images (height, width): KITTI's.
FRAME_SIZE = (375, 1242)

Workload = Callable[[], object]


def made_drive(root: Path, frames: int) -> DatasetConfig:
    """Write a drive of smooth, moving noise as JPEGs of KITTI's size: stereo pairs, an object's mask, true depth."""
    height, width = FRAME_SIZE
    drive = root / "drive"
    for name in ("left", "right", "depth", "left_objects"):
        (drive / name).mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 255, (height // 8, (width + 8 * frames) // 8, 3), dtype=np.uint8)
    strip = Image.fromarray(coarse).resize((width + 8 * frames, height), Image.Resampling.BICUBIC)
    road = np.linspace(60, 5, height, dtype=np.float32)[:, None].repeat(width, axis=1)
    for number in range(frames):
        for side, shift in (("left", 0), ("right", 4)):
            left = 6 * number + shift
            frame = strip.crop((left, 0, left + width, height))
            frame.save(drive / side / f"{number:06d}.jpg", quality=90)
        np.save(drive / "depth" / f"{number:06d}.npy", road)
        objects = Image.new("L", (width, height))
        objects.paste(1, (600 - 6 * number, 150, 800 - 6 * number, 250))
        objects.save(drive / "left_objects" / f"{number:06d}.png")
    camera = {"width": width, "height": height, "fx": 721.5, "fy": 721.5, "cx": 609.6, "cy": 172.9, "baseline": 0.1}
    (drive / "camera.yaml").write_text(yaml.safe_dump(camera), encoding="utf-8")
    return DatasetConfig("folder", str(root))


def unit(config: TrainConfig) -> Workload:
    """Pass forward and backward through ResNet-18's features: float32, contiguous, nothing tuned."""
    encoder = timm.create_model("resnet18", features_only=True).to(config.device)
    image = torch.rand(config.batch_size, 3, *config.size, device=config.device)
    return lambda: backward(encoder(image))


def step(config: TrainConfig) -> Workload:
    """Take a training step as `hrdepth train` does, loading included."""
    objective, batches = _build(config)
    optimiser = build_optimiser(objective.parameters(), config.optimiser)

    def run() -> None:
        batch = next(batches)
        with _autocast(config):
            loss = objective(batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return run


def depth_network(config: TrainConfig) -> Workload:
    """Pass forward and backward through the depth network."""
    objective, batches = _build(config)
    return partial(_pass, objective.network, next(batches)["target_augmented"], config)


def pose_network(config: TrainConfig) -> Workload:
    """Pass forward and backward through the pose network, all pairs."""
    objective, batches = _build(config)
    batch, neighbours = next(batches), [i for i, frame in enumerate(objective.frames) if frame != "s"]
    assert objective.pose_network is not None
    target, sources = batch["target_augmented"], batch["sources_augmented"]
    pairs = torch.cat([torch.cat([target, sources[:, i]], dim=1) for i in neighbours])
    return partial(_pass, objective.pose_network, pairs, config)


def losses(config: TrainConfig) -> Workload:
    """Compute the losses, forward and backward, from a given output of the networks."""
    objective, batches = _build(config)
    batch = next(batches)
    output = objective.predict(batch).map(lambda tensor: tensor.detach().requires_grad_(tensor.requires_grad))
    return lambda: objective.losses(output, batch)["loss"].backward()  # type: ignore[no-untyped-call]


def loading(config: TrainConfig) -> Workload:
    """Load a batch."""
    batches = _on_device(load_batches(config), config)
    return lambda: next(batches)


def optimiser(config: TrainConfig) -> Workload:
    """Let the optimiser change all weights."""
    objective, batches = _build(config)
    adam = build_optimiser(objective.parameters(), config.optimiser)
    objective(next(batches)).loss.backward()
    return adam.step


def matrices(precision: str, config: TrainConfig) -> Workload:
    """Multiply two square matrices in `precision`."""
    return product(precision, MATRIX, torch.device(config.device))


WORKLOADS: dict[str, Callable[[TrainConfig], Workload]] = {
    "unit": unit,
    "step": step,
    "depth network": depth_network,
    "pose network": pose_network,
    "losses": losses,
    "optimiser": optimiser,
    "loading": loading,
    "matrices": partial(matrices, "float32"),
    "matrices bfloat16": partial(matrices, "bfloat16"),
}


class WorkloadTimer:
    """Time workloads; made in a process of its own.

    A workload is prepared when its name comes up first, and released when another's does.

    Args:
        config: of the training, whose device is chosen.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.name = ""
        self.run: Workload = lambda: None
        self.before = 0.0

    def measure(self, name: str, count: int) -> tuple[list[float], float]:
        """Return the seconds of `count` runs, and the peak of memory above the start, MiB."""
        if name != self.name:
            if name != "unit":  # the unit stays as PyTorch runs it
                tune_malloc()
            torch.manual_seed(0)
            self.name, self.run = name, lambda: None  # frees the last one's memory before this one allocates
            self.run = WORKLOADS[name](self.config)
            self.before = resident_memory() or 0.0
            for _ in range(2):  # compiles, fills caches
                self.run()
        taken = [seconds(self.run, self.config.device) for _ in range(count)]
        return taken, (peak_memory() or float("nan")) - self.before


def backward(outputs: Iterable[Tensor]) -> None:
    """Pass backward from the sum of all outputs."""
    torch.stack([output.sum() for output in outputs]).sum().backward()  # type: ignore[no-untyped-call]


def load_batches(config: TrainConfig, objective: Objective | None = None) -> Iterator[Batch]:
    """Yield a training's batches without end, as its loader gives them."""
    loader = build_loaders(config, objective=objective)["train"]
    assert isinstance(loader.sampler, MixedSampler)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        yield from loader


def _build(config: TrainConfig) -> tuple[Objective, Iterator[Any]]:
    objective = build_training_objective(config).to(config.device).train()
    return objective, _on_device(load_batches(config, objective), config)


def _on_device(batches: Iterator[Batch], config: TrainConfig) -> Iterator[Any]:
    return (move_data_to_device(batch, config.device) for batch in batches)  # as Lightning's trainer does


def _pass(network: nn.Module, image: Tensor, config: TrainConfig) -> None:
    with _autocast(config):
        found = network(image)
    backward(found.values() if isinstance(found, dict) else found)


def _autocast(config: TrainConfig) -> torch.autocast:
    return torch.autocast(torch.device(config.device).type, torch.bfloat16, enabled=config.precision != "32-true")
