"""Faults of training steps: statistics of a step, the first tensor that is not finite, collapse over several steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hrdepth.check.diagnosis import lengths, spread_and_nearness
from hrdepth.config import GuardConfig
from hrdepth.data.sample import Batch
from hrdepth.objectives import Objective, Output

__all__ = ["CollapseDetector", "StepFault", "StepRecord", "StepStatistics", "find_not_finite", "step_statistics"]

LOOK_AT_DEPTH = (
    "check that the camera moves between these frames and that K is in pixels of the images, then lower "
    "optimiser.learning_rate or the objective's smoothness"
)

LOOK_AT_POSE = (
    "check that neighbouring frames are close in time (frame rate, cuts, order) and that K is right, then lower "
    "optimiser.learning_rate"
)

LOWER_RATE = "lower optimiser.learning_rate, or set precision to 32-true if it is not"

INPUT_ADVICE = {
    "intrinsics": "check the camera of these recordings",
    "view": "check the size of these recordings' images",
    "stereo_pose": "check the baseline of these recordings",
}


@dataclass(frozen=True)
class StepRecord:
    """A batch and the objective's output for it.

    Attributes:
        batch: the input.
        output: of the objective, detached.
    """

    batch: Batch
    output: Output

    @property
    def samples(self) -> int:
        """Number of samples in the batch."""
        return len(self.batch["target"])


class StepStatistics(NamedTuple):
    """Numbers of a step that show a fault.

    Attributes:
        inputs: sum of the batch's small tensors (cameras and baselines), only to see whether it is finite.
        loss: what is minimised.
        gradient: the largest norm of the gradient of a parameter.
        spread: standard deviation of 1/depth over an image, as a share of its mean; the largest of the batch.
        nearness: mean of 1/depth over the batch, in 1/network units.
        motion: length of the predicted translation times the image's mean of 1/depth, averaged over the pairs.
        rotation: predicted angle in radians, averaged over the pairs.
    """

    inputs: float
    loss: float
    gradient: float
    spread: float
    nearness: float
    motion: float
    rotation: float


class StepFault(NamedTuple):
    """A fault of a step.

    Attributes:
        what: which tensor, and what is wrong with it.
        advice: what to check.
        samples: of the batch that have the fault; None for all.
    """

    what: str
    advice: str
    samples: list[int] | None = None


@torch.no_grad()
def step_statistics(step: StepRecord, objective: Objective) -> StepStatistics:
    """Reduce a step to its `StepStatistics`; synchronises with the device once."""
    output = step.output
    loss = output.loss.float()
    zero = torch.zeros_like(loss)
    small = [value for value in step.batch.values() if isinstance(value, Tensor) and value.ndim < 4]
    inputs = torch.stack([value.float().sum() for value in small]).sum() if small else zero
    gradients = [weight.grad for weight in objective.parameters() if weight.grad is not None]
    # One kernel for all. The norm may overflow although no gradient did; then the search finds no fault.
    gradient = torch.stack(torch._foreach_norm(gradients)).max().float() if gradients else zero
    spreads, near = spread_and_nearness(output, objective.network)
    motion = rotation = zero
    if output.motions is not None:
        motion = (lengths(output.motions[1]) * near).mean()
        rotation = lengths(output.motions[0]).mean()
    return StepStatistics(*torch.stack([inputs, loss, gradient, spreads.max(), near.mean(), motion, rotation]).tolist())


class CollapseDetector:
    """Counts consecutive steps with a collapsed disparity or an exploded pose.

    Args:
        config: thresholds, and the number of steps that is a fault.
    """

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self._counts = {"disparity": 0, "translation": 0, "rotation": 0}
        self._widest = 0.0
        self._last = -1

    @property
    def is_suspicious(self) -> bool:
        """Whether the last step was bad."""
        return any(self._counts.values())

    def state_dict(self) -> dict[str, Any]:
        """Return the counts from which a resumed run continues."""
        return {"counts": dict(self._counts), "widest": self._widest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the counts."""
        self._counts, self._widest = dict(state["counts"]), state["widest"]

    def update(
        self, statistics: StepStatistics, number: int, step: StepRecord, objective: Objective
    ) -> StepFault | None:
        """Count a step and return a fault that has lasted too long, if any.

        `number` counts the run's optimiser steps: of several accumulated batches the first bad one counts.
        """
        config = self.config
        new, self._last = number != self._last, number
        self._widest = max(self._widest, statistics.spread)
        # An untrained network is nearly constant too: only one that has varied, or should have by now, can collapse.
        grown = self._widest > 10 * config.min_spread or number >= config.warmup_steps
        bad = {
            "disparity": grown and statistics.spread < config.min_spread,
            "translation": statistics.motion > config.max_motion,
            "rotation": statistics.rotation > config.max_rotation,
        }
        added = {name: config.every_steps if new or not count else 0 for name, count in self._counts.items()}
        self._counts = {name: self._counts[name] + added[name] if is_bad else 0 for name, is_bad in bad.items()}
        for name, count in self._counts.items():
            if count >= config.patience:
                return self._describe(name, statistics, step, objective)
        return None

    @torch.no_grad()
    def _describe(self, name: str, statistics: StepStatistics, step: StepRecord, objective: Objective) -> StepFault:
        steps = f"for {self._counts[name]} steps"
        if name == "disparity":
            what = (
                f"disparity at scale {min(step.output.disparities)} is nearly constant {steps}: 1/depth varies by "
                f"{statistics.spread:.2g} of its mean within an image, depth is about "
                f"{1 / statistics.nearness:.3g} units"
            )
            return StepFault(what, LOOK_AT_DEPTH)
        assert step.output.motions is not None
        axis_angle, translation = (lengths(motion) for motion in step.output.motions)  # (T,B)
        if name == "translation":
            limit, values = self.config.max_motion, translation * spread_and_nearness(step.output, objective.network)[1]
            seen = (
                f"up to {float(translation.max()):.3g} units, on average {statistics.motion:.3g} times the "
                "predicted depth"
            )
        else:
            limit, values = self.config.max_rotation, axis_angle
            seen = f"on average {statistics.rotation:.3g} radians"
            name = "axis-angle"
        worst = values.amax(dim=0)  # (B,)
        samples = [sample for sample, value in enumerate(worst.tolist()) if not value <= limit]
        what = f"{name} of the pose network explodes: {seen}, above {limit:g} {steps}"
        return StepFault(what, LOOK_AT_POSE, samples)


class Suspect(NamedTuple):
    """A tensor that may be at fault; if `by_sample`, its first dimension counts samples or pairs of them."""

    name: str
    tensor: Tensor
    advice: str
    by_sample: bool = False


@torch.no_grad()
def find_not_finite(step: StepRecord | None, objective: nn.Module) -> StepFault | None:
    """Find the first tensor with NaN or infinity, in the order of computation, since later ones inherit it.

    The order is inputs, parameters, disparities, poses, losses, gradients; in validation also running statistics, which
    training does not read.

    Returns:
        The fault, None if all are finite.
    """
    for name, tensor, advice, by_sample in _suspects(step, objective):
        finite = tensor.isfinite()
        if finite.all():
            continue
        samples = None
        if by_sample and step is not None:
            rows = (~finite.flatten(1).all(dim=1)).nonzero()[:, 0].tolist()
            samples = sorted({row % step.samples for row in rows})
        return StepFault(f"{name} holds {'NaN' if tensor.isnan().any() else 'infinity'}", advice, samples)
    return None


def _suspects(step: StepRecord | None, objective: nn.Module) -> Iterator[Suspect]:
    for name, value in step.batch.items() if step is not None else ():
        if isinstance(value, Tensor) and value.is_floating_point():
            kind = "input" if name in INPUT_ADVICE else "input image"
            advice = INPUT_ADVICE.get(name, "look at these images, and at augment")
            yield Suspect(f"{kind} '{name}'", value, advice, by_sample=True)
    for name, weight in objective.named_parameters():
        yield Suspect(f"parameter {name}", weight, "check the weights file of init; " + LOWER_RATE)
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
    # In reverse, as gradients flow.
    for name, weight in reversed(list(objective.named_parameters())):
        if weight.grad is not None:
            yield Suspect(f"gradient of {name}", weight.grad, LOWER_RATE)
