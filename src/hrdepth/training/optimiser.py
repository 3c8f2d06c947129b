"""Adam and its learning-rate schedule."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import replace

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hrdepth.config import OptimiserConfig, TrainConfig

__all__ = ["build_optimiser", "build_schedule", "learning_rate_factor", "scale_learning_rate"]

log = logging.getLogger(__name__)


def scale_learning_rate(config: TrainConfig) -> TrainConfig:
    """Return the config with the learning rate that `optimiser.reference_batch` asks for, and log it."""
    optimiser, samples = config.optimiser, config.batch_size * config.accumulate * config.devices * config.nodes
    if optimiser.reference_batch in (None, samples):
        return config
    rate = optimiser.learning_rate * samples / optimiser.reference_batch
    log.info("learning rate %g x %d / %d = %g: a step has %d samples, reference_batch is %d", optimiser.learning_rate,
             samples, optimiser.reference_batch, rate, samples, optimiser.reference_batch)  # fmt: skip
    # So that the run's config.yaml is not scaled again.
    return replace(config, optimiser=replace(optimiser, learning_rate=rate, reference_batch=samples))


def build_optimiser(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> Optimizer:
    """Build Adam, or AdamW with weight decay; fused on devices that support it."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in trained)
    if config.weight_decay:
        return AdamW(trained, config.learning_rate, weight_decay=config.weight_decay, fused=fused)
    return Adam(trained, config.learning_rate, fused=fused)


def build_schedule(optimiser: Optimizer, config: OptimiserConfig, steps: int, steps_an_epoch: int) -> LambdaLR:
    """Build the learning-rate schedule; see `learning_rate_factor`."""
    return LambdaLR(optimiser, lambda step: learning_rate_factor(config, step, steps, steps_an_epoch))


def learning_rate_factor(config: OptimiserConfig, step: int, steps: int, steps_an_epoch: int) -> float:
    """Return the factor of the learning rate at a step.

    Args:
        config: with the schedule.
        step: counted from 0.
        steps: of the whole run.
        steps_an_epoch: of one epoch.

    Returns:
        A factor between 0 and 1 that depends on the arguments only, so that a resumed run continues exactly.

    Example:
        >>> [learning_rate_factor(OptimiserConfig(decay_after=1), step, 4, 2) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "cosine":
        half_wave = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / steps))
        return warmup * (config.floor + (1 - config.floor) * half_wave)
    if config.schedule == "step":
        return float(warmup * config.decay ** (step // steps_an_epoch // config.decay_after))
    return warmup
