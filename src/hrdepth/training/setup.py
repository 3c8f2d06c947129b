"""Prepare a run: check settings; build loaders, networks and objective."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed
from PIL import Image
from torch import nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.utils.data import DataLoader

from hrdepth.compute import choose_device, compile_module, has_depthwise, use_fast_depthwise
from hrdepth.config import NetworkConfig, TrainConfig, check_values
from hrdepth.data import OpenData, mix, open_data
from hrdepth.data.cache import open_cache
from hrdepth.data.mixing import Mix, MixedSampler, SharedSampler, draws, metres_per_unit
from hrdepth.data.reader import FrameReader
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.io.images import read_image
from hrdepth.networks import build_network, build_pose_network, check_networks
from hrdepth.networks.blocks import channels_last
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives import OBJECTIVES, Objective, build_objective, check_objective, reads_depth
from hrdepth.training.checkpoint_schedule import ignore_signals
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = [
    "build_loaders",
    "build_training_objective",
    "check_training",
    "complete_settings",
    "rejoin",
    "with_launcher",
]

log = logging.getLogger(__name__)

# Network units. A pose network starts at motions near 0; measured with ResNet-18 and EfficientNet-Lite0 on rendered
# streets, depth collapsed within 70 to 210 steps from an initial depth of 3 without stereo.
NEAR_START = 1.0


def with_launcher(config: TrainConfig) -> TrainConfig:
    """Return the config with the numbers of processes and machines of torchrun or srun, if one of them started this.

    Raises:
        InputError: the machines have different numbers of processes.
    """
    found = os.environ
    if "TORCHELASTIC_RUN_ID" in found:
        devices, processes = int(found["LOCAL_WORLD_SIZE"]), int(found["WORLD_SIZE"])
    elif "SLURM_STEP_ID" in found and found.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        processes = int(found.get("SLURM_STEP_NUM_TASKS", 1))
        devices = processes // int(found.get("SLURM_STEP_NUM_NODES", 1))
    else:
        return config
    if not devices or processes % devices:
        raise InputError(f"{processes} processes, {devices} on this machine: start the same number on each machine")
    return replace(config, devices=devices, nodes=processes // devices)


def rejoin(config: TrainConfig) -> None:
    """Join the other processes in a store of their own if torchrun has restarted this one.

    After a restart torchrun gives its processes the store of the attempt before (torch 2.14), which still holds the
    addresses of the dead ones: who reads them before they are replaced cannot connect. Keys with the attempt's number
    cannot be confused.
    """
    found = os.environ
    attempt = found.get("TORCHELASTIC_RESTART_COUNT", "0")
    if attempt == "0" or found.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return
    rank, processes = int(found["RANK"]), int(found["WORLD_SIZE"])
    store = TCPStore(found["MASTER_ADDR"], int(found["MASTER_PORT"]), processes, is_master=False)
    torch.distributed.init_process_group(
        "nccl" if choose_device(config.device).type == "cuda" else "gloo",
        store=PrefixStore(f"attempt {attempt}", store),
        rank=rank,
        world_size=processes,
    )


def check_training(config: TrainConfig) -> None:
    """Check all settings that can be checked without reading the data.

    Raises:
        InputError: the first invalid setting.
    """
    check_values(config)
    check_networks(config.network, config.pose_network)
    check_objective(config.objective)
    if (config.augment.zoom > 1 or config.augment.crop) and config.canonical_focal is None:
        log.warning(
            "with augment.zoom or augment.crop and without canonical_focal, the size of objects no longer determines "
            "their depth; set canonical_focal to your camera's fx / width"
        )
    frames = config.objective.frames
    motion_alone = bool(frames) and "s" not in frames  # without frames there is no pose network
    if motion_alone and (config.initial_depth or 0) > NEAR_START and config.init is None:
        log.warning(
            "initial_depth %g without stereo: depth may collapse before the pose network reaches motions that fit it; "
            "leave it null, or below %g", config.initial_depth, NEAR_START
        )  # fmt: skip
    if choose_device(config.device).type != "cuda" and config.sync_batch_norm:
        raise InputError("sync_batch_norm needs CUDA devices; set it to false")


def build_training_objective(
    config: TrainConfig, cameras: LearnedIntrinsics | None = None, inputs: Mapping[str, Any] | None = None
) -> Objective:
    """Build networks and objective, with initial weights from `config.init` if it is given.

    Args:
        config: see `TrainConfig`.
        cameras: those that are learned, see `training.cameras`.
        inputs: see `build_objective`.

    Raises:
        InputError: unknown names or options, or an init checkpoint of another network.
    """
    network = build_network(config.network)
    network.scale = replace(
        network.scale, metres_per_unit=config.metres_per_unit, canonical_focal=config.canonical_focal
    )
    if config.initial_depth is not None:
        network.start_at(config.initial_depth)
    temporal = any(frame != "s" for frame in config.objective.frames)
    pose_network = build_pose_network(config.pose_network) if temporal else None
    if config.init is not None:
        file = locate_weights(config.init)
        start = read_checkpoint(file)
        _start_from(network, config.network, start.network, start.network_config, config.init)
        origin = f"{file.parent.name}/{file.name}, SHA-256 {start.file_sha256}"
        network.initial_weights = origin  # type: ignore[assignment]
        _check_canonical_focal(start.scale.canonical_focal, config)
        ranges = [(module.min_depth, module.max_depth) for module in (start.network, network)]
        if ranges[0] != ranges[1]:
            raise InputError(
                f"the weights file {config.init} has depths {ranges[0][0]:g} to {ranges[0][1]:g}, the run "
                f"{ranges[1][0]:g} to {ranges[1][1]:g}; set min_depth and max_depth in network.options to the file's"
            )
        if pose_network is not None and start.pose_network is not None and start.pose_network_config is not None:
            _start_from(pose_network, config.pose_network, start.pose_network, start.pose_network_config, config.init)
            pose_network.initial_weights = origin  # type: ignore[assignment]
    for what, module in (("the depth network", network), ("the pose network", pose_network)):
        if module is None:
            continue
        if config.channels_last:
            channels_last(module)
        if config.compile_networks:
            compile_module(module, what)
        elif config.precision != "32-true" and has_depthwise(module):
            use_fast_depthwise(module)
    return build_objective(config.objective, network, pose_network, cameras, inputs)


def _check_canonical_focal(start: float | None, config: TrainConfig) -> None:
    # A file without one can start any run, since its camera is unknown.
    if start is not None and start != config.canonical_focal:
        wanted = "none" if config.canonical_focal is None else config.canonical_focal
        raise InputError(
            f"the depth of the weights file {config.init} holds for canonical_focal {start}, the run has {wanted}; "
            f"set canonical_focal to {start}"
        )


def _start_from(
    network: nn.Module, config: NetworkConfig, start: nn.Module, start_config: NetworkConfig, path: str
) -> None:
    try:
        if start_config.name != config.name:
            raise RuntimeError
        network.load_state_dict(start.state_dict())
    except RuntimeError as error:
        raise InputError(
            f"the weights file {path} holds {start_config.name} {start_config.options or ''}, the run wants "
            f"{config.name} {config.options or ''}; set network or pose_network to that, or init to null"
        ) from error


def build_loaders(
    config: TrainConfig, data: dict[str, list[OpenData]] | None = None, objective: Objective | None = None
) -> dict[str, DataLoader[Batch]]:
    """Build the loaders `train` and `validation`.

    Args:
        config: see `TrainConfig`.
        data: the opened data sets of both, see `check.scan.check_data`; None opens those of the config.
        objective: whose layers the samples have; None for images alone.

    Raises:
        InputError: a weight leaves a data set without samples, or there are too few samples for a batch.
    """
    if data is None:
        check = config.scan == "off"  # else the scan does
        configs = {"train": config.train, "validation": config.validation}
        frames, depth_suffices = config.objective.frames, reads_depth(config.objective)
        data = {use: open_data(parts, frames, check, depth_suffices) for use, parts in configs.items()}
    sets = [part.neighbours for parts in data.values() for part in parts]
    device = choose_device(config.device)
    layers = [] if objective is None else objective.layers(config, sets, device)
    read: Callable[[Path], Image.Image] = read_image
    if config.cache is not None:
        read = open_cache(config.cache, config, sets).read
    training = mix(data["train"], config.size, config.augment, config.seed, layers, read)
    validation = mix(data["validation"], config.size, layers=layers, read=read)
    _check_weights(config, training)
    sampler = MixedSampler(
        [len(part) for part in training.datasets],
        [data.weight for data in config.train],
        config.seed,
        [config.size, *config.sizes] if config.sizes else None,
        config.batch_size,
        [_shards(part.reader) for part in training.datasets],
    )
    processes = config.devices * config.nodes
    if len(sampler) < config.batch_size * processes:
        raise InputError(
            f"{len(sampler)} training samples do not fill one batch of {config.batch_size}"
            + (f" in each of {processes} processes" if processes > 1 else "")
        )
    if len(validation) < processes:
        raise InputError(f"{len(validation)} validation samples are too few for {processes} processes")
    shared = {
        "batch_size": config.batch_size,
        "num_workers": config.workers,
        "persistent_workers": config.workers > 0,
        "worker_init_fn": partial(_start_worker, yields=device.type == "cpu"),
        # From pinned memory the copy to the GPU runs beside the computation; Lightning then asks for it.
        "pin_memory": device.type == "cuda",
    }
    return {
        "train": DataLoader(training, sampler=sampler, drop_last=True, **shared),  # type: ignore[arg-type]
        "validation": DataLoader(validation, sampler=SharedSampler(len(validation)), **shared),  # type: ignore[arg-type]
    }


def _check_weights(config: TrainConfig, training: Mix) -> None:
    """Refuse a data set of which no epoch would draw a sample."""
    for part, samples in zip(config.train, training.datasets, strict=True):
        if draws(len(samples), part.weight) == 0:
            raise InputError(
                f"data set '{part.dataset}' at {part.root}: weight {part.weight:g} of its {len(samples)} samples is "
                f"less than one an epoch; give at least {1 / len(samples):.3g}, or leave the data set out"
            )


def _shards(reader: FrameReader) -> tuple[list[int], int] | None:
    """Return the shard of each target and how many are mixed at a time; None for a set that is mixed as a whole."""
    return None if reader.window is None else ([reader.shard(line) for line in reader.targets], reader.window)


def _start_worker(worker: int, *, yields: bool) -> None:
    """Prepare a loader's process.

    If the networks run on the same cores, it lowers its priority: their threads wait for the slowest one, so that
    sharing one core slows all of them down.
    """
    ignore_signals()
    if yields and hasattr(os, "nice"):
        os.nice(5)


def complete_settings(config: TrainConfig, data: dict[str, list[OpenData]]) -> tuple[TrainConfig, dict[str, Any]]:
    """Fill in settings that are left open but follow from the cameras' baselines or from the objective.

    Returns:
        The settings, and the objective's inputs, see `build_training_objective`.

    Raises:
        InputError: the settings contradict the objective.
    """
    kind = OBJECTIVES[config.objective.name]
    inputs = kind.read_inputs(config.objective)
    training = mix(data["train"], config.size, config.augment, config.seed)
    return kind.complete(_with_scale(config, data["train"]), training, **inputs), inputs


def _with_scale(config: TrainConfig, training: Sequence[OpenData]) -> TrainConfig:
    """Fill in the metres of a unit if stereo pairs determine them and the config leaves them open."""
    if "s" not in config.objective.frames:
        return config
    try:
        derived = metres_per_unit(part.neighbours.reader for part in training)
    except InputError as reason:
        if config.metres_per_unit is None:
            log.info("depth will have no unit: %s", reason)
        return config
    if config.metres_per_unit is None:
        log.info("a unit of depth is %g m, by the rigs' baselines", derived)
        return replace(config, metres_per_unit=derived)
    if not 0.98 < config.metres_per_unit / derived < 1.02:
        log.warning("warning: metres_per_unit is %g, but %g by the rigs' baselines", config.metres_per_unit, derived)
    return config
