"""The memory that a training needs, and how it is made to fit: batches in parts, whose gradients are averaged."""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from hrdepth.compute import choose_device
from hrdepth.config import TrainConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import MALFORMED
from hrdepth.machine import available_memory
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective

__all__ = ["MemoryNeed", "fit_memory", "memory_need", "release_memory", "split_batches"]

log = logging.getLogger(__name__)

GIB = 2**30
# Bytes of a parameter in training: itself, its gradient and Adam's two moments, in float32.
PARAMETER = 16
# Share of the free memory that a training may be planned to use: convolutions work in further memory.
USABLE = 0.85


@dataclass(frozen=True)
class MemoryNeed:
    """What a training step keeps in memory, counted without computing it.

    Attributes:
        fixed: bytes of weights, gradients and the optimiser's state.
        sample: bytes that each sample of a batch keeps until its gradients are computed.
    """

    fixed: int
    sample: int

    def of(self, batch: int) -> float:
        """Return GiB of a step with that many samples at once."""
        return (self.fixed + batch * self.sample) / GIB


def memory_need(config: TrainConfig) -> MemoryNeed:
    """Count what a step keeps for its gradients, on tensors without values.

    Objectives that need more than images, a teacher for instance, are counted by their networks alone.
    """
    scratch = [
        replace(one, options={name: value for name, value in one.options.items() if name != "weights"})
        for one in (config.network, config.pose_network)
    ]
    pairs = sum(frame != "s" for frame in config.objective.frames)
    # Compiled code would read the memory of tensors that have none.
    with torch.compiler.set_stance("force_eager"), FakeTensorMode(allow_non_fake_inputs=True):
        network = build_network(scratch[0]).train()
        pose_network = build_pose_network(scratch[1]).train() if pairs else None
        whole = nn.ModuleList(filter(None, (network, pose_network)))

        def loss_of_networks(batch: Batch) -> Tensor:
            loss = sum((one.sum() for one in network(batch["target"]).values()), torch.zeros(()))
            if pose_network is not None:
                motions = pose_network(batch["target"].repeat(pairs, 2, 1, 1))
                loss = loss + motions[0].sum() + motions[1].sum()
            return loss

        try:
            objective = build_objective(config.objective, network, pose_network).train()
            counts = [_saved(lambda batch: objective(batch).loss, whole, config, size) for size in (2, 3)]
        except Exception:  # what the objective lacks here can fail anywhere in it
            counts = [_saved(loss_of_networks, whole, config, size) for size in (2, 3)]
    parameters = sum(parameter.numel() for parameter in whole.parameters())
    return MemoryNeed(PARAMETER * parameters, counts[1] - counts[0])


def _saved(loss: Any, networks: nn.Module, config: TrainConfig, size: int) -> int:
    """Return the bytes that a forward pass of `size` samples saves for the backward pass, without the weights."""
    weights = {parameter.untyped_storage()._cdata for parameter in networks.parameters()}
    saved: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            saved[storage._cdata] = storage  # held, so that no other gets its address
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(_batch(config, size))
    return sum(storage.nbytes() for storage in saved.values())


def _batch(config: TrainConfig, size: int) -> Batch:
    height, width = config.size
    sources = len(config.objective.frames)
    batch = {
        **{key: torch.empty(size, 3, height, width) for key in ("target", "target_augmented")},
        **{key: torch.empty(size, sources, 3, height, width) for key in ("sources", "sources_augmented")},
        "intrinsics": torch.empty(size, 3, 3),
        "stereo_pose": torch.empty(size, 4, 4),
        "source_valid": torch.ones(size, sources, dtype=torch.bool),
        "item": torch.zeros(size, dtype=torch.long),
    }
    return cast(Batch, batch)


def free_memory(device: str) -> float | None:
    """Return the GiB that are free on the device that a training uses; None if that is not known.

    Raises:
        InputError: there is no such device.
    """
    if choose_device(device).type == "cuda":
        return float(torch.cuda.mem_get_info()[0]) / GIB
    available = available_memory()
    return None if available is None else available / 2**10


def fit_memory(config: TrainConfig) -> TrainConfig:
    """State what a training needs; where less is free, split its batches, with the same number of samples a step.

    A run that is resumed keeps the batches it began with.

    Raises:
        InputError: there is no such device.
    """
    if (begun := _begun(config)) is not None:
        return begun
    need, free = memory_need(config), free_memory(config.device)
    stated = f"{config.output}: a step of {config.batch_size} keeps about {need.of(config.batch_size):.1f} GiB"
    fitted = config if free is None else split_batches(config, need, free)
    if free is not None:
        stated += f", {free:.1f} GiB are free"
    if fitted is config:
        log.info("%s", stated)
        return config
    log.warning(
        "%s: trained in %d batches of %d a step, about %.1f GiB, with averaged gradients; batch norm then sees %d "
        "samples at once, not %d",
        stated, fitted.accumulate // config.accumulate, fitted.batch_size, need.of(fitted.batch_size),
        fitted.batch_size, config.batch_size,
    )  # fmt: skip
    return fitted


def split_batches(config: TrainConfig, need: MemoryNeed, free: float) -> TrainConfig:
    """Return the config with the largest batches that fit into GiB, of 1 if none does, and the same samples a step."""
    for parts in range(1, config.batch_size + 1):
        size = config.batch_size // parts
        if config.batch_size % parts == 0 and (size == 1 or need.of(size) <= USABLE * free):
            break
    return config if parts == 1 else replace(config, batch_size=size, accumulate=config.accumulate * parts)


def _begun(config: TrainConfig) -> TrainConfig | None:
    """Return the config with the batches of the unfinished run in its folder, if the samples a step are the same."""
    folder = Path(config.output)
    if not (folder / "last.ckpt").is_file():
        return None
    try:
        stored = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        size, accumulate = int(stored["batch_size"]), int(stored["accumulate"])
    except (*MALFORMED, OSError, yaml.YAMLError):
        return config
    same = size * accumulate == config.batch_size * config.accumulate
    return replace(config, batch_size=size, accumulate=accumulate) if same else config


def release_memory() -> None:
    """Free what a training that ran out of memory has left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
