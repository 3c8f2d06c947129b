"""Supervised depth: exact (rendered) or a sensor's, alone or beside another objective, mixed sample by sample."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.camera import DepthScale
from hrdepth.config import ObjectiveConfig, TrainConfig
from hrdepth.data.layers import Depth, Frames, Layer
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.sample import Batch, Window
from hrdepth.errors import InputError
from hrdepth.geometry import depth_to_disparity, disparity_to_depth, focal_factors
from hrdepth.losses import gradient_loss, log_ratio_loss
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives.base import GIVEN, Objective, Output, check_number_options, check_scales
from hrdepth.objectives.distillation import Distillation
from hrdepth.objectives.norms import learned_scale
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.registry import check_options, lookup

__all__ = ["OTHERS", "Supervised"]

log = logging.getLogger(__name__)

OTHERS: dict[str, type[Objective]] = {"distillation": Distillation, "view_synthesis": ViewSynthesis}
# Depth beyond this share of the network's range counts as far as sky.
FAR = 0.5


class Supervised(Objective):
    """Learn the true depth of the samples that have it (`data.layers.Depth`), and something else from the others.

    The loss of a sample with depth is the mean absolute difference of log depth less its median, its gradients at four
    scales, the median, and how much nearer than `FAR` times the largest depth the sky is predicted. The two kinds of
    samples count by their number.

    Args:
        network: the depth network.
        pose_network: of the other objective; None if it has none.
        frames: the sources of the other objective; [] without any.
        gradients: weight of the gradients of the log difference, which are large at edges.
        scale: weight of the median of the log difference, which ties depth to metres; 0 learns depth up to scale.
        sky: weight of the sky's log difference.
        scales: of the network's disparities, resized to full size.
        other: the objective of the samples without depth, as in
            `{name: distillation, options: {teacher: street, norm: log-l1, block: 16}}`: a key of `OTHERS` and its
            options. None leaves them out.
        other_weight: of its loss.
        other_with_depth: samples with depth learn from the other objective too.
        cameras: of the other objective, see `ViewSynthesis`.

    Raises:
        InputError: settings that contradict each other.

    Source: the median and the gradients as in Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2020
        (section 5), here of log depth and without its robust scale.
    """

    reads_depth = True

    def __init__(
        self,
        network: DepthNetwork,
        pose_network: nn.Module | None,
        frames: Sequence[int | str] = (),
        gradients: float = 0.5,
        scale: float = 0.2,
        sky: float = 0.1,
        scales: Sequence[int] = (0,),
        other: dict[str, Any] | None = None,
        other_weight: float = 1.0,
        other_with_depth: bool = False,
        cameras: LearnedIntrinsics | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.frames = tuple(frames)
        self.gradients = gradients
        self.scale = scale
        self.sky = sky
        self.scales = tuple(scales)
        self.other_weight = other_weight
        self.other_with_depth = other_with_depth
        self.other: Objective | None = None
        if other is not None:
            kind: Any = OTHERS[other["name"]]
            self.other = kind(network, pose_network, frames=frames, cameras=cameras, **(other.get("options") or {}))
        self.pose_network = None if self.other is None else self.other.pose_network
        self.cameras = None if self.other is None else self.other.cameras

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        options, what = config.options, "objective 'supervised'"
        check_number_options(options, ("gradients", "scale", "sky", "other_weight"), what)
        check_scales(options, what)
        if options.get("other") is None:
            if config.frames:
                raise InputError(
                    f"frames {list(config.frames)}: true depth alone uses no sources; set objective.frames to [], or "
                    "the option other to an objective that uses them"
                )
            return
        other = _other(config)
        what = f"the option other of {what}"
        if unknown := set(options["other"]) - {"name", "options"}:
            raise InputError(f"{what} has no '{min(unknown)}'; give name and options")
        kind = lookup(OTHERS, other.name, f"name in {what}")
        check_options(kind, other.options, what, GIVEN)
        kind.check(other)

    @classmethod
    def read_inputs(cls, config: ObjectiveConfig) -> dict[str, Any]:
        """See `Objective.read_inputs`: what the other objective reads."""
        if config.options.get("other") is None:
            return {}
        other = _other(config)
        inputs = OTHERS[other.name].read_inputs(other)
        return {"other": {"name": other.name, "options": {**other.options, **inputs}}} if inputs else {}

    @classmethod
    def complete(cls, config: TrainConfig, training: Mix, **inputs: Any) -> TrainConfig:
        """See `Objective.complete`: a unit of depth is a metre, if neither the config nor a teacher has another."""
        if inputs:
            other, read = _other(config.objective), inputs["other"]["options"]
            own = {name: value for name, value in read.items() if value is not other.options.get(name)}
            config = OTHERS[other.name].complete(config, training, **own)
        if config.metres_per_unit is None:
            if config.init is not None:
                raise InputError(
                    f"true depth is in metres: set metres_per_unit to that of the weights file {config.init} (1 if "
                    "its card names none)"
                )
            config = replace(config, metres_per_unit=1.0)
        return config

    def layers(self, config: TrainConfig, sets: Sequence[Neighbours], device: torch.device) -> list[Layer]:
        """See `Objective.layers`: the true depth, and the other objective's layers."""
        if not any(part.reader.has_depth() for part in sets):
            raise InputError(
                "objective 'supervised' needs data with depth, and no data set of the run has any; render some with "
                "hrdepth render, or put depth maps beside the images (docs/data.md)"
            )
        layers: list[Layer] = [Depth(config.metres_per_unit or 1.0)]
        if self.other is None:
            for part in sets:
                if not part.reader.has_depth():
                    log.warning(
                        "warning: a data set with frames such as %s has no depth, so that nothing is learned from it; "
                        "set the option other of objective 'supervised'",
                        part.reader.targets[0].name,
                    )
            return layers
        nested = replace(config, objective=_other(config.objective))
        if self.other_with_depth:
            return layers + self.other.layers(nested, sets, device)
        lines = [[line for line in part.reader.targets if not part.reader.has_depth_of(line)] for part in sets]
        without = [part.subset(rest) for part, rest in zip(sets, lines, strict=True) if rest]
        return layers + [_WithoutDepth(layer) for layer in self.other.layers(nested, without, device)]

    def predict(self, batch: Batch) -> Output:
        """See `Objective.predict`."""
        if self.other is not None:
            return self.other.predict(batch)
        no_poses = batch["target"].new_zeros(len(batch["target"]), 0, 4, 4)
        return Output(self.network(batch["target_augmented"]), no_poses, batch["intrinsics"])

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return `{"loss": ..., "loss/depth": ..., "loss/gradients": ..., ...}`.

        With another objective also its losses, `"loss/other"` in all.
        """
        known = (batch["depth"] > 0).flatten(1).any(1)  # (B,)
        total = output.disparities[0].sum() * 0.0  # has a gradient where a batch has nothing to learn
        losses: dict[str, Tensor] = {}
        if known.any():
            chosen = output.rows(known)
            with torch.autocast(batch["target"].device.type, enabled=False):
                losses = self._depth_losses(chosen, _rows(batch, known))
            weights = {"loss/depth": 1.0, "loss/gradients": self.gradients, "loss/scale": self.scale}
            weights["loss/sky"] = self.sky
            depth_loss = torch.stack([weight * losses[name] for name, weight in weights.items()]).sum()
            total = total + known.float().mean() * depth_loss
        rest = torch.ones_like(known) if self.other_with_depth else ~known
        if self.frames:
            rest = rest & batch["source_valid"].any(1)  # a frame that is kept for its depth may have no source
        if self.other is not None and rest.any():
            others = self.other.losses(output.rows(rest), _rows(batch, rest))
            losses["loss/other"] = others.pop("loss")
            losses |= others
            total = total + self.other_weight * rest.float().mean() * losses["loss/other"]
        return {"loss": total, **losses}

    def _depth_losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        true = self._canonical(batch["depth"], output.intrinsics)  # (B,1,H,W)
        inside = batch["mask"] > 0.5 if "mask" in batch else torch.ones_like(true, dtype=torch.bool)
        far = FAR * self.network.max_depth
        surface = inside & (true > self.network.min_depth) & (true < far)
        sky = inside & (true >= far)
        log_true = torch.where(surface, true, 1.0).log()
        parts: dict[str, list[Tensor]] = {name: [] for name in ("depth", "gradients", "scale", "sky")}
        for scale in self.scales:
            disparity = output.disparities[scale].float()
            disparity = F.interpolate(disparity, true.shape[-2:], mode="bilinear", align_corners=False)
            log_depth = disparity_to_depth(disparity, self.network.min_depth, self.network.max_depth).log()
            difference = log_depth - log_true
            spread, median = log_ratio_loss(difference, surface)
            parts["depth"].append(spread)
            parts["scale"].append(median)
            parts["gradients"].append(gradient_loss(difference, surface))
            nearer = (torch.log(true.new_tensor(far)) - log_depth).clamp(min=0)
            parts["sky"].append((nearer * sky).flatten(1).sum(1).mean() / sky[0].numel())
        return {f"loss/{name}": torch.stack(values).mean() for name, values in parts.items()}

    def _canonical(self, depth: Tensor, intrinsics: Tensor) -> Tensor:
        """Return a sample's depth (B,1,H,W) as the canonical camera would see it."""
        return depth / focal_factors(intrinsics, depth.shape[-1], self.network.scale.canonical_focal)

    @torch.no_grad()
    def panels(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """See `Objective.panels`: `target`, `disparity`, `depth` (the true disparity), `error`.

        `error` is the absolute logarithm of the ratio of depths, less its median. A sample without depth has neither.
        """
        disparity = output.disparities[0].float()
        true = self._canonical(batch["depth"], output.intrinsics)
        known = (true > 0) & (true < FAR * self.network.max_depth)
        low, high = self.network.min_depth, self.network.max_depth
        true_disparity = depth_to_disparity(true.clamp(low, high), low, high) * (true > 0)
        difference = disparity_to_depth(disparity, low, high).log() - torch.where(known, true, 1.0).log()
        error = torch.stack([
            (d - (d[k].median() if k.any() else 0)).abs() * k for d, k in zip(difference, known, strict=True)
        ])  # fmt: skip
        return {"target": batch["target"], "disparity": disparity, "depth": true_disparity, "error": error}

    def kept_pixels(self, output: Output, batch: Batch) -> Tensor | None:
        """See `Objective.kept_pixels`: that of the other objective."""
        return None if self.other is None else self.other.kept_pixels(output, batch)

    def learned_scale(self) -> DepthScale:
        """See `Objective.learned_scale`: without the weight `scale`, depth has that of the other objective."""
        if self.scale or "s" in self.frames:
            return self.network.scale
        if isinstance(self.other, Distillation):
            return self.other.learned_scale()
        return learned_scale("scale", self.network.scale)

    def about(self) -> dict[str, Any]:
        """See `Objective.about`: also that of the other objective."""
        options = {"gradients": self.gradients, "scale": self.scale, "sky": self.sky}
        return {"depth": options} | ({} if self.other is None else self.other.about())


class _WithoutDepth(Layer):
    """A layer of the frames without true depth alone; it knows nothing of the others."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.key = layer.key  # type: ignore[misc]

    def read(self, frames: Frames, size: tuple[int, int], window: Window) -> Tensor:
        """See `Layer.read`."""
        if frames.reader.has_depth_of(frames.line):
            return self.layer.unknown(frames, size)
        return self.layer.read(frames, size, window)

    def files(self, frames: Frames) -> Sequence[Path | None]:
        """See `Layer.files`."""
        return () if frames.reader.has_depth_of(frames.line) else self.layer.files(frames)

    def flip(self, plane: Tensor, width: int) -> Tensor:
        """See `Layer.flip`."""
        return self.layer.flip(plane, width)


def _other(config: ObjectiveConfig) -> ObjectiveConfig:
    """Return the config of the other objective."""
    other = config.options["other"]
    return replace(config, name=other.get("name", ""), options=other.get("options") or {})


def _rows(batch: Batch, chosen: Tensor) -> Batch:
    """Return the samples of a batch where (B,) bool is true."""
    return {key: value[chosen] for key, value in batch.items()}  # type: ignore[return-value, index]
