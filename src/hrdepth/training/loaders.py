"""The loaders of a training, and the metres of a unit of depth."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader

from hrdepth.compute import choose_device
from hrdepth.config import TrainConfig
from hrdepth.data import OpenData, mix, open_data
from hrdepth.data.cache import open_cache
from hrdepth.data.layers import Layer
from hrdepth.data.mixing import MixedSampler, SharedSampler, metres_per_unit
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.io.images import read_image
from hrdepth.training.checkpointing import ignore_signals

__all__ = ["build_loaders", "with_scale"]

log = logging.getLogger(__name__)


def build_loaders(
    config: TrainConfig, data: dict[str, list[OpenData]] | None = None, layers: Sequence[Layer] = ()
) -> dict[str, DataLoader[Batch]]:
    """Build the loaders `train` and `validation`.

    Args:
        config: see `TrainConfig`.
        data: the opened data sets of both, see `check.scan.check_data`; None opens those of the config.
        layers: what samples have beside images.
    """
    if data is None:
        check = config.scan == "off"  # else the scan does
        sets = {"train": config.train, "validation": config.validation}
        data = {use: open_data(configs, config.objective.frames, check) for use, configs in sets.items()}
    read: Callable[[Path], Image.Image] = read_image
    if config.cache is not None:
        read = open_cache(config.cache, config, [part.neighbours for parts in data.values() for part in parts]).read
    training = mix(data["train"], config.size, config.augment, config.seed, layers, read)
    validation = mix(data["validation"], config.size, layers=layers, read=read)
    sampler = MixedSampler(
        [len(part) for part in training.datasets], [data.weight for data in config.train], config.seed
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
        "worker_init_fn": partial(_start_worker, yields=_computes_on_cpu(config)),
        # From pinned memory the copy to the GPU runs beside the computation; Lightning then asks for it.
        "pin_memory": config.device in ("auto", "cuda") and torch.cuda.is_available(),
    }
    return {
        "train": DataLoader(training, sampler=sampler, drop_last=True, **shared),  # type: ignore[arg-type]
        "validation": DataLoader(validation, sampler=SharedSampler(len(validation)), **shared),  # type: ignore[arg-type]
    }


def _start_worker(worker: int, *, yields: bool) -> None:
    """Prepare a loader's process.

    Where the networks run on the same cores, it yields to them: their threads wait for the slowest, so that a core
    which one of them has to share costs all of them time.
    """
    ignore_signals()
    if yields and hasattr(os, "nice"):
        os.nice(5)


def _computes_on_cpu(config: TrainConfig) -> bool:
    return config.device == "cpu" or (config.device == "auto" and choose_device().type == "cpu")


def with_scale(config: TrainConfig, training: Sequence[OpenData]) -> TrainConfig:
    """Fill in the metres of a unit where stereo fixes them and the config does not say."""
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
