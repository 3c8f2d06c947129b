"""Settings that cannot work, found before anything is built."""

from __future__ import annotations

import logging

import torch

from hrdepth.compute import choose_device
from hrdepth.config import TrainConfig
from hrdepth.errors import InputError
from hrdepth.objectives import check_objective
from hrdepth.training.optimiser import check_optimiser

__all__ = ["check_settings"]

log = logging.getLogger(__name__)


def check_settings(config: TrainConfig) -> None:
    """Check what can be checked without looking at the data.

    Raises:
        InputError: the first setting that cannot work.
    """
    height, width = config.size
    if height < 64 or width < 64 or height % 32 or width % 32:
        raise InputError(f"size {height}x{width} (height x width): both must be multiples of 32, at least 64")
    counts = {
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "accumulate": config.accumulate,
        "devices": config.devices,
        "nodes": config.nodes,
        "log.every_steps": config.log.every_steps,
        "log.panels": config.log.panels,
        "guard.every_steps": config.guard.every_steps,
        "guard.patience": config.guard.patience,
        "guard.keep_every_steps": config.guard.keep_every_steps,
    }
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{name} {count} must be at least 1")
    check_optimiser(config.optimiser)
    check_objective(config.objective)
    if config.average is not None and not 0 < config.average < 1:
        raise InputError(f"average {config.average:g} must lie between 0 and 1, such as 0.999; null averages nothing")
    if config.early_stop is not None and config.early_stop < 1:
        raise InputError(f"early_stop {config.early_stop} must be at least 1; null never stops early")
    if not config.checkpoint_minutes >= 0:
        raise InputError(f"checkpoint_minutes {config.checkpoint_minutes:g} must be 0 or more")
    if config.freeze_depth_steps < 0:
        raise InputError(f"freeze_depth_steps {config.freeze_depth_steps} must be 0 or more")
    if config.workers < 0:
        raise InputError(f"workers {config.workers} must be 0 or more")
    if not 0 <= config.augment.hue <= 0.5:
        raise InputError(f"augment.hue {config.augment.hue:g} must lie between 0 and 0.5")
    if config.canonical_focal is not None and not 0.1 < config.canonical_focal < 20:
        raise InputError(
            f"canonical_focal {config.canonical_focal:g} must lie between 0.1 and 20: "
            "a focal length in image widths, such as 0.58 for KITTI"
        )
    if config.augment.zoom > 1 and config.canonical_focal is None:
        log.warning(
            "augment.zoom without canonical_focal unties the size of things from their depth; "
            "set canonical_focal to your camera's fx / width"
        )
    choose_device(config.device)
    if config.sync_batch_norm and (config.device not in ("auto", "cuda") or not torch.cuda.is_available()):
        raise InputError("sync_batch_norm needs CUDA devices; set it to false")
    if config.precision not in ("32-true", "bf16-mixed"):
        raise InputError(f"precision '{config.precision}': give '32-true' or 'bf16-mixed'")
