"""A few numbers that tell whether a step went well, and the judge who counts those that did not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hrdepth.config import GuardConfig
from hrdepth.data.sample import Batch
from hrdepth.geometry import scaled_disparity

__all__ = ["Finding", "Health", "Judge", "Step", "measure"]

LOOK_AT_DEPTH = (
    "see whether the camera moves between these frames and K is in pixels of the images, then lower "
    "optimiser.learning_rate or the objective's smoothness"
)
LOOK_AT_POSE = (
    "see whether neighbours in time follow each other closely (frame rate, cuts, order) and K is right, then lower "
    "optimiser.learning_rate"
)


@dataclass
class Step:
    """What the networks and the objective made of a batch, all detached.

    Attributes:
        batch: what went in.
        losses: what the objective gave.
        disparities: what the depth network gave.
        axis_angle: what the pose network gave first, (P,3) in radians; the P pairs are the batch's samples, once for
            each neighbour.
        translation: what it gave second, (P,3) in network units.
    """

    batch: Batch | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    disparities: dict[int, Tensor] = field(default_factory=dict)
    axis_angle: Tensor | None = None
    translation: Tensor | None = None

    @property
    def samples(self) -> int:
        """Samples of the batch."""
        return 0 if self.batch is None else len(self.batch["target"])


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
def measure(step: Step, objective: nn.Module) -> Health:
    """Reduce a step to its `Health`; waits once for the device."""
    loss = step.losses["loss"].float()
    zero = torch.zeros_like(loss)
    small = [value for value in (step.batch or {}).values() if isinstance(value, Tensor) and value.ndim < 4]
    inputs = torch.stack([value.float().sum() for value in small]).sum() if small else zero
    gradients = [weight.grad for weight in objective.parameters() if weight.grad is not None]
    # One kernel for all. It may overflow where no gradient does; then the search finds nothing, and nothing is said.
    gradient = torch.stack(torch._foreach_norm(gradients)).max().float() if gradients else zero
    spread = nearness = motion = rotation = zero
    if step.disparities:
        spreads, near = _spread_and_nearness(step, objective)
        spread, nearness = spreads.max(), near.mean()
    if step.disparities and step.translation is not None and step.axis_angle is not None:
        motion = _motions(step, objective).mean()
        rotation = _angles(step).mean()
    return Health(*torch.stack([inputs, loss, gradient, spread, nearness, motion, rotation]).tolist())


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

    def judge(self, health: Health, number: int, step: Step, objective: nn.Module) -> Finding | None:
        """Return what has been bad for too long, None while nothing has; `number` counts the steps of the run."""
        config = self.config
        self._widest = max(self._widest, health.spread)
        # An untrained network is nearly constant, too: a collapse is of one that has varied, or should have by now.
        grown = self._widest > 10 * config.min_spread or number >= config.warmup_steps
        bad = {
            "disparity": bool(step.disparities) and grown and health.spread < config.min_spread,
            "translation": health.motion > config.max_motion,
            "rotation": health.rotation > config.max_rotation,
        }
        self._counts = {name: self._counts[name] + config.every_steps if is_bad else 0 for name, is_bad in bad.items()}
        for name, count in self._counts.items():
            if count >= config.patience:
                return self._describe(name, health, step, objective)
        return None

    @torch.no_grad()
    def _describe(self, name: str, health: Health, step: Step, objective: nn.Module) -> Finding:
        steps = f"for {self._counts[name]} steps"
        if name == "disparity":
            what = (
                f"disparity at scale {min(step.disparities)} is nearly constant {steps}: 1/depth varies by "
                f"{health.spread:.2g} of its mean within an image, depth is about {1 / health.nearness:.3g} units"
            )
            return Finding(what, LOOK_AT_DEPTH)
        if name == "translation":
            assert step.translation is not None
            limit, values = self.config.max_motion, _motions(step, objective)
            length = float(step.translation.float().norm(dim=1).max())
            seen = f"up to {length:.3g} units, on average {health.motion:.3g} times the predicted depth"
        else:
            limit, values = self.config.max_rotation, _angles(step)
            seen = f"on average {health.rotation:.3g} radians"
            name = "axis-angle"
        worst = values.view(-1, step.samples).amax(dim=0)  # (B,)
        samples = [sample for sample, value in enumerate(worst.tolist()) if not value <= limit]
        what = f"{name} of the pose network explodes: {seen}, above {limit:g} {steps}"
        return Finding(what, LOOK_AT_POSE, samples)


def _spread_and_nearness(step: Step, objective: nn.Module) -> tuple[Tensor, Tensor]:
    """Return each image's relative standard deviation and mean of 1/depth at the finest scale, (B,) each.

    Of 1/depth, not of disparity: a disparity of 0 or 1 all over the image is as constant as one in between.
    """
    network: Any = objective.network
    disparity = step.disparities[min(step.disparities)].float()
    near = scaled_disparity(disparity, network.min_depth, network.max_depth)
    variance, mean = torch.var_mean(near.flatten(1), dim=1)
    return variance.sqrt() / mean, mean


def _motions(step: Step, objective: nn.Module) -> Tensor:
    """Return the length of each translation (P,) as a multiple of its image's (harmonic mean) depth."""
    assert step.translation is not None
    near = _spread_and_nearness(step, objective)[1]
    lengths: Tensor = step.translation.float().norm(dim=1)
    return (lengths.view(-1, len(near)) * near).flatten()


def _angles(step: Step) -> Tensor:
    """Return the angle of each rotation (P,) in radians."""
    assert step.axis_angle is not None
    angles: Tensor = step.axis_angle.float().norm(dim=1)
    return angles
