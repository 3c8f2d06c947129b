"""The interface of objectives (contract 3): the networks to train, their output for a batch, and the losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from hrdepth.camera import DepthScale
from hrdepth.config import ObjectiveConfig, TrainConfig
from hrdepth.data.layers import Layer
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics

__all__ = ["GIVEN", "Objective", "Output", "check_number_options", "check_scales", "mask_of", "mean_inside"]

Self = TypeVar("Self", bound="Output")

# Arguments of an objective that are not options: the run sets them.
GIVEN = ("network", "pose_network", "frames", "cameras")


@dataclass(frozen=True)
class Output:
    """The predictions of an objective's networks for a batch of B samples, and the losses once they are computed.

    An objective with further predictions uses a subclass.

    Attributes:
        disparities: of the target at each scale s, (B,1,H/2^s,W/2^s) in (0,1).
        poses: target to source, (B,S,4,4).
        intrinsics: K in pixels of the target, (B,3,3): the batch's, or that of learned cameras.
        motions: axis-angle in radians and translation in network units, (T,B,3) each, the pose network's output for
            the T sources that are neighbours in time; None without a pose network.
        source_disparities: of the sources at full size, (B,S,1,H,W); None if the losses need none.
        losses: scalars by name; `"loss"` is minimised, the others are logged.
    """

    disparities: dict[int, Tensor]
    poses: Tensor
    intrinsics: Tensor
    motions: tuple[Tensor, Tensor] | None = None
    source_disparities: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The loss to minimise, a scalar."""
        return self.losses["loss"]

    def map(self: Self, change: Callable[[Tensor], Tensor]) -> Self:
        """Return a copy with a function, such as `Tensor.detach`, applied to every tensor."""
        return replace(self, **{part.name: _changed(getattr(self, part.name), change) for part in fields(self)})

    def rows(self: Self, chosen: Tensor) -> Self:
        """Return the output for the samples where (B,) bool is true, without losses."""
        part = replace(self, motions=None, losses={}).map(lambda tensor: tensor[chosen])
        motions = self.motions
        return part if motions is None else replace(part, motions=(motions[0][:, chosen], motions[1][:, chosen]))


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, dict):
        return {key: _changed(inner, change) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_changed(inner, change) for inner in value)
    return change(value) if isinstance(value, Tensor) else value


class Objective(nn.Module):
    """Owns the networks that it trains. `objective(batch)` returns predictions and losses.

    Attributes:
        network: the depth network.
        pose_network: the pose network, or None if none is trained.
        cameras: those whose K is learned, or None if all are known.
        frames: the sources, see `ObjectiveConfig`.
        reads_depth: whether it learns from the true depth of data sets that have it.
    """

    network: DepthNetwork
    pose_network: nn.Module | None
    cameras: LearnedIntrinsics | None
    frames: tuple[int | str, ...]
    reads_depth: ClassVar[bool] = False

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """Check settings that do not depend on data and networks; the options' types are checked already.

        Raises:
            InputError: a setting is invalid.
        """

    @classmethod
    def read_inputs(cls, config: ObjectiveConfig) -> dict[str, Any]:
        """Read the files that the options name, once in a run and before its networks are built.

        Returns:
            Arguments of the constructor that replace these options.
        """
        return {}

    @classmethod
    def complete(cls, config: TrainConfig, training: Mix, **inputs: Any) -> TrainConfig:
        """Fill in the settings that follow from the inputs and that the config leaves open.

        Args:
            config: of the run.
            training: its images.
            inputs: from `read_inputs`.

        Raises:
            InputError: the config contradicts the inputs.
        """
        return config

    def layers(self, config: TrainConfig, sets: Sequence[Neighbours], device: torch.device) -> list[Layer]:
        """Return the layers that samples need besides images, checked and ready to be read.

        Args:
            config: of the run.
            sets: all its data sets.
            device: on which maps are computed.

        Raises:
            InputError: something is missing, or does not fit the run.
        """
        return []

    def forward(self, batch: Batch) -> Output:
        """Return the output of `predict`, with `losses` filled in."""
        output = self.predict(batch)
        return replace(output, losses=self.losses(output, batch))

    def predict(self, batch: Batch) -> Output:
        """Run the networks, each image of the target through the depth network once."""
        raise NotImplementedError

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return `{"loss": scalar, ...}`, in float32 even under autocast.

        Args:
            output: from `predict`.
            batch: the same batch.
        """
        raise NotImplementedError

    def panels(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return images that show a batch, in the order of the panel: (B,C,H,W), C 1 or 3, by name.

        `target` is one of them. `disparity`, `teacher` and `depth` are drawn as disparities, `error` as an error,
        others as images or grey levels in [0,1].
        """
        raise NotImplementedError

    def kept_pixels(self, output: Output, batch: Batch) -> Tensor | None:
        """Return 1 for pixels that neither auto-mask nor mask excludes (B,1,H,W); None without an auto-mask."""
        return None

    def learned_scale(self) -> DepthScale:
        """Return the scale of the network's depth, without what the losses leave open."""
        return self.network.scale

    def about(self) -> dict[str, Any]:
        """Return JSON-able facts about this objective for the weights file's provenance."""
        return {}


def check_number_options(
    options: Mapping[str, Any], names: Iterable[str], what: str, maximum: float = math.inf
) -> None:
    """Check options that are set: finite, 0 or more, `maximum` or less.

    Raises:
        InputError: one is not; the message names it and `what` it is an option of.

    Example:
        >>> check_number_options({"smoothness": -1.0}, ["smoothness"], "objective 'view_synthesis'")
        Traceback (most recent call last):
        ...
        hrdepth.errors.InputError: the option smoothness -1 of objective 'view_synthesis' must be 0 or more, and finite
    """
    for name in names:
        value = options.get(name, 0)
        if not (0 <= value <= maximum and math.isfinite(value)):
            bounds = "be 0 or more, and finite" if math.isinf(maximum) else f"lie between 0 and {maximum:g}"
            raise InputError(f"the option {name} {value:g} of {what} must {bounds}")


def check_scales(options: Mapping[str, Any], what: str) -> None:
    """Check the option `scales`, if it is set.

    Raises:
        InputError: it is empty, or names a scale that depth networks do not have.
    """
    scales = options.get("scales", (0,))
    if not scales or not set(scales) <= {0, 1, 2, 3}:
        raise InputError(f"the option scales {list(scales)} of {what}: give some of 0, 1, 2, 3")


def mask_of(batch: Batch) -> Tensor:
    """Return the batch's mask (B,1,H,W), ones if it has none."""
    return batch["mask"] if "mask" in batch else torch.ones_like(batch["target"][:, :1])


def mean_inside(values: Tensor, mask: Tensor) -> Tensor:
    """Return each sample's mean of (B,1,H,W) where the mask (B,1,H,W) is 1: (B,1,1,1), at least 1e-6."""
    inside = (mask > 0.5).float()
    total = (values * inside).sum(dim=(1, 2, 3), keepdim=True)
    return (total / inside.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)).clamp(min=1e-6)
