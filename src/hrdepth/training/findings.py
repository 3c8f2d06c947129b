"""Which tensor was the first that held a NaN or an infinity, and for which samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hrdepth.data.sample import Batch
from hrdepth.training.health import Finding, Step

__all__ = ["find_not_finite"]

LOWER_RATE = "lower optimiser.learning_rate, or set precision to 32-true where it is another"
INPUT_ADVICE = {
    "intrinsics": "check the camera of these recordings",
    "view": "check the size of these recordings' images",
    "stereo_pose": "check the baseline of these recordings",
}


class Suspect(NamedTuple):
    """A tensor that may be the culprit; the first dimension counts samples, or pairs of them, where `by_sample`."""

    name: str
    tensor: Tensor
    advice: str
    by_sample: bool = False


@torch.no_grad()
def find_not_finite(step: Step | None, objective: nn.Module) -> Finding | None:
    """Find the first tensor with a NaN or an infinity, in the order of cause: the others got it from there.

    Inputs, parameters, disparities, poses, losses, gradients; in validation running statistics too, which training
    does not read.

    Returns:
        None where all are finite.
    """
    for name, tensor, advice, by_sample in _suspects(step, objective):
        finite = tensor.isfinite()
        if finite.all():
            continue
        samples = None
        if by_sample and step is not None:
            rows = (~finite.flatten(1).all(dim=1)).nonzero()[:, 0].tolist()
            samples = sorted({row % step.samples for row in rows})
        return Finding(f"{name} holds {'NaN' if tensor.isnan().any() else 'infinity'}", advice, samples)
    return None


def _suspects(step: Step | None, objective: nn.Module) -> Iterator[Suspect]:
    if step is not None:
        yield from _inputs(step.batch)
    for name, weight in objective.named_parameters():
        yield Suspect(f"parameter {name}", weight, "see whether the file that init names is sound; " + LOWER_RATE)
    if not objective.training:
        for name, statistic in objective.named_buffers():
            yield Suspect(f"running statistic {name}", statistic, LOWER_RATE)
    if step is None:
        return
    for scale, disparity in step.output.disparities.items():
        yield Suspect(f"disparity at scale {scale}", disparity, LOWER_RATE, by_sample=True)
    for name, motion in zip(("axis-angle", "translation"), step.output.motions or (), strict=False):
        yield Suspect(f"{name} of the pose network", motion.flatten(0, 1), LOWER_RATE, by_sample=True)
    # "loss" is made of the others.
    for name, loss in sorted(step.output.losses.items(), key=lambda item: item[0] == "loss"):
        yield Suspect(f"'{name}'", loss, "look at these frames and their neighbours; " + LOWER_RATE)
    # Backwards, as gradients flow: each gets it from the one behind.
    for name, weight in reversed(list(objective.named_parameters())):
        if weight.grad is not None:
            yield Suspect(f"gradient of {name}", weight.grad, LOWER_RATE)


def _inputs(batch: Batch) -> Iterator[Suspect]:
    for name, value in batch.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            kind = "input" if name in INPUT_ADVICE else "input image"
            advice = INPUT_ADVICE.get(name, "look at these images, and at augment")
            yield Suspect(f"{kind} '{name}'", value, advice, by_sample=True)
