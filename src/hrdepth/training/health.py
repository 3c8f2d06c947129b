"""Whether a step went well: a few numbers, the first tensor that is not finite, and steps in a row that went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hrdepth.check.diagnosis import lengths, spread_and_nearness
from hrdepth.config import GuardConfig
from hrdepth.data.sample import Batch
from hrdepth.objectives import Objective, Output

__all__ = ["Finding", "Health", "Judge", "Step", "find_not_finite", "measure"]

LOOK_AT_DEPTH = (
    "see whether the camera moves between these frames and K is in pixels of the images, then lower "
    "optimiser.learning_rate or the objective's smoothness"
)

LOOK_AT_POSE = (
    "see whether neighbours in time follow each other closely (frame rate, cuts, order) and K is right, then lower "
    "optimiser.learning_rate"
)

LOWER_RATE = "lower optimiser.learning_rate, or set precision to 32-true where it is another"

INPUT_ADVICE = {
    "intrinsics": "check the camera of these recordings",
    "view": "check the size of these recordings' images",
    "stereo_pose": "check the baseline of these recordings",
}


@dataclass(frozen=True)
class Step:
    """A batch and what the objective made of it.

    Attributes:
        batch: what went in.
        output: what came out, detached.
    """

    batch: Batch
    output: Output

    @property
    def samples(self) -> int:
        """Samples of the batch."""
        return len(self.batch["target"])


class Health(NamedTuple):
    """The numbers of a step that tell whether it went well.

    Attributes:
        inputs: sum of the batch's small tensors (cameras and baselines), of interest only where it is not finite.
        loss: what is minimised.
        gradient: the largest norm of the gradient of a parameter.
        spread: standard deviation of 1/depth over an image, as a share of its mean; the largest of the batch.
        nearness: mean of 1/depth over the batch, in 1/network units.
        motion: length of the predicted translation times the image's mean of 1/depth, averaged over the pairs.
        rotation: predicted angle in radians, averaged likewise.
    """

    inputs: float
    loss: float
    gradient: float
    spread: float
    nearness: float
    motion: float
    rotation: float

    @property
    def is_finite(self) -> bool:
        """Whether there is neither NaN nor infinity among them."""
        return all(map(math.isfinite, self))


class Finding(NamedTuple):
    """What is wrong.

    Attributes:
        what: which tensor, and what about it.
        advice: what to look at.
        samples: those of the batch that show it; None for all.
    """

    what: str
    advice: str
    samples: list[int] | None = None


@torch.no_grad()
def measure(step: Step, objective: Objective) -> Health:
    """Reduce a step to its `Health`; waits once for the device."""
    output = step.output
    loss = output.loss.float()
    zero = torch.zeros_like(loss)
    small = [value for value in step.batch.values() if isinstance(value, Tensor) and value.ndim < 4]
    inputs = torch.stack([value.float().sum() for value in small]).sum() if small else zero
    gradients = [weight.grad for weight in objective.parameters() if weight.grad is not None]
    # One kernel for all. It may overflow where no gradient does; then the search finds nothing, and nothing is said.
    gradient = torch.stack(torch._foreach_norm(gradients)).max().float() if gradients else zero
    spreads, near = spread_and_nearness(output, objective.network)
    motion = rotation = zero
    if output.motions is not None:
        motion = (lengths(output.motions[1]) * near).mean()
        rotation = lengths(output.motions[0]).mean()
    return Health(*torch.stack([inputs, loss, gradient, spreads.max(), near.mean(), motion, rotation]).tolist())


class Judge:
    """Counts the steps in a row whose disparity has collapsed or whose pose has exploded.

    Args:
        config: where that begins, and for how many steps it may last.
    """

    def __init__(self, config: GuardConfig) -> None:
        self.config = config
        self._counts = {"disparity": 0, "translation": 0, "rotation": 0}
        self._widest = 0.0

    @property
    def suspects(self) -> bool:
        """Whether the last step was a bad one."""
        return any(self._counts.values())

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on counting from."""
        return {"counts": dict(self._counts), "widest": self._widest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from it."""
        self._counts, self._widest = dict(state["counts"]), state["widest"]

    def judge(self, health: Health, number: int, step: Step, objective: Objective) -> Finding | None:
        """Return what has been bad for too long, None while nothing has; `number` counts the steps of the run."""
        config = self.config
        self._widest = max(self._widest, health.spread)
        # An untrained network is nearly constant, too: a collapse is of one that has varied, or should have by now.
        grown = self._widest > 10 * config.min_spread or number >= config.warmup_steps
        bad = {
            "disparity": grown and health.spread < config.min_spread,
            "translation": health.motion > config.max_motion,
            "rotation": health.rotation > config.max_rotation,
        }
        self._counts = {name: self._counts[name] + config.every_steps if is_bad else 0 for name, is_bad in bad.items()}
        for name, count in self._counts.items():
            if count >= config.patience:
                return self._describe(name, health, step, objective)
        return None

    @torch.no_grad()
    def _describe(self, name: str, health: Health, step: Step, objective: Objective) -> Finding:
        steps = f"for {self._counts[name]} steps"
        if name == "disparity":
            what = (
                f"disparity at scale {min(step.output.disparities)} is nearly constant {steps}: 1/depth varies by "
                f"{health.spread:.2g} of its mean within an image, depth is about {1 / health.nearness:.3g} units"
            )
            return Finding(what, LOOK_AT_DEPTH)
        assert step.output.motions is not None
        axis_angle, translation = (lengths(motion) for motion in step.output.motions)  # (T,B)
        if name == "translation":
            limit, values = self.config.max_motion, translation * spread_and_nearness(step.output, objective.network)[1]
            seen = (
                f"up to {float(translation.max()):.3g} units, on average {health.motion:.3g} times the predicted depth"
            )
        else:
            limit, values = self.config.max_rotation, axis_angle
            seen = f"on average {health.rotation:.3g} radians"
            name = "axis-angle"
        worst = values.amax(dim=0)  # (B,)
        samples = [sample for sample, value in enumerate(worst.tolist()) if not value <= limit]
        what = f"{name} of the pose network explodes: {seen}, above {limit:g} {steps}"
        return Finding(what, LOOK_AT_POSE, samples)


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
