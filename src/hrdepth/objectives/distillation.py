"""Distillation from a teacher's disparity or from depth hints: alone (T) or with self-supervision (MT)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.config import ObjectiveConfig, TrainConfig
from hrdepth.data.layers import Layer
from hrdepth.data.map_cache import DepthHints
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.geometry import scaled_disparity
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives.base import Objective, Output, check_numbers, check_scales
from hrdepth.objectives.teacher import Teacher, TeacherMaps
from hrdepth.objectives.view_synthesis import ViewSynthesis, check_nested
from hrdepth.registry import lookup

__all__ = ["NORMS", "Distillation"]

NORMS = {
    "l1": "mean absolute difference of disparities",
    "l2": "mean squared difference of disparities",
    "log-l1": "mean absolute difference of the logarithms of 1/depth",
}


class Distillation(Objective):
    """Learn a frozen teacher's disparity (paper, eq. 10).

    Only the student's image has colour augmentation; flip and zoom are the same for both. Pixels outside the batch's
    mask are ignored.

    Args:
        network: the student, a depth network.
        pose_network: of the self-supervised loss; None without it, or if all poses are known.
        frames: the sources of the self-supervised loss; [] without it.
        teacher: a weights file, or a teacher that was read; its network may have another architecture and size. "" for
            none, if there are `hints`.
        norm: a key of `NORMS`.
        scales: of the student's disparities, resized to full size; [0] uses the finest only.
        block: compare means over blocks of so many pixels a side, so that a teacher's blurred edges are not learned;
            1 compares pixels. With `log-l1` the means are those of log depth.
        weight: of the distance to the teacher in the loss.
        self_supervision: weight of the self-supervised loss; 0 learns from the teacher only (T), above 0 from both
            (MT).
        view_synthesis: options of the self-supervised loss, see `ViewSynthesis`.
        hints: a folder of depth hints, see `DepthHints`. A pixel with a hint learns it instead of the teacher's
            disparity; without a teacher only these pixels are learned.
        elsewhere: in images with hints, the weight of pixels without a hint, which learn from the teacher.
        cache: a folder for the teacher's disparities, computed once, see `TeacherMaps`; None computes them in each
            epoch.
        teacher_focal: the canonical focal length of the teacher's depth, in image widths, if its file has none; such as
            0.58 for published KITTI weights. If the student has one too, the teacher's depth is converted to it.
        teacher_aspect: the teacher sees each image at the image's aspect ratio, not squashed to its own size.
        teacher_mirrored: its disparity is the mean of those of the image and of its mirror image.
        cameras: of the self-supervised loss, see `ViewSynthesis`.

    Raises:
        InputError: settings that contradict each other, or a teacher that does not fit the student.

    Source: paper, eq. 10.

    Note:
        The paper does not specify the norm; its tables call this supervision T. The release has no distillation.
    """

    def __init__(
        self,
        network: DepthNetwork,
        pose_network: nn.Module | None,
        frames: Sequence[int | str] = (),
        teacher: str | Teacher = "",
        norm: str = "l1",
        scales: Sequence[int] = (0, 1, 2, 3),
        block: int = 1,
        weight: float = 1.0,
        self_supervision: float = 0.0,
        view_synthesis: dict[str, Any] | None = None,
        hints: str | None = None,
        elsewhere: float = 0.1,
        cache: str | None = None,
        teacher_focal: float | None = None,
        teacher_aspect: bool = False,
        teacher_mirrored: bool = False,
        cameras: LearnedIntrinsics | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.frames = tuple(frames)
        if isinstance(teacher, str):
            self.teacher = None
            if teacher:
                self.teacher = Teacher.read(teacher, teacher_focal, teacher_aspect, teacher_mirrored)
        else:
            self.teacher = teacher
        self.norm = norm
        self.scales = tuple(scales)
        self.block = block
        self.weight = weight
        self.weight_without_hint = elsewhere
        self.self_supervision = self_supervision
        self.view_synthesis: ViewSynthesis | None = None
        if self_supervision:
            options = view_synthesis or {}
            self.view_synthesis = ViewSynthesis(network, pose_network, frames, cameras=cameras, **options)
        self.pose_network = None if self.view_synthesis is None else self.view_synthesis.pose_network
        self.cameras = None if self.view_synthesis is None else self.view_synthesis.cameras
        self.auto_mask = self.view_synthesis is not None and self.view_synthesis.auto_mask
        self._factor = 1.0
        if self.teacher is not None:
            self._check_ranges(self.teacher)
            self._factor = self._depth_factor(self.teacher)

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        options = config.options
        if not options.get("teacher"):
            if not options.get("hints"):
                raise InputError(
                    "objective 'distillation' needs something to learn: set its option teacher to a weights file, or "
                    "hints to a folder of depth hints"
                )
            if options.get("cache"):
                raise InputError("the option cache of objective 'distillation' is for a teacher, and none is set")
        lookup(NORMS, options.get("norm", "l1"), "norm of the distillation")
        what = "objective 'distillation'"
        check_numbers(options, ("weight", "self_supervision"), what)
        check_numbers(options, ("elsewhere",), what, most=1)
        check_scales(options, what)
        if options.get("block", 1) < 1:
            raise InputError(f"the option block {options['block']} of {what} must be at least 1")
        if not options.get("weight", 1.0):
            raise InputError("the option weight of objective 'distillation' is 0; use objective 'view_synthesis'")
        if not options.get("self_supervision") and config.frames:
            raise InputError(
                f"frames {list(config.frames)}: distillation alone uses no sources; set objective.frames to [], or the "
                "option self_supervision to a weight"
            )
        check_nested(config)

    @classmethod
    def read_inputs(cls, config: ObjectiveConfig) -> dict[str, Any]:
        """See `Objective.read_inputs`: the teacher."""
        options = config.options
        if not (path := options.get("teacher")):
            return {}
        own_aspect, mirrored = options.get("teacher_aspect", False), options.get("teacher_mirrored", False)
        return {"teacher": Teacher.read(path, options.get("teacher_focal"), own_aspect, mirrored)}

    @classmethod
    def complete(cls, config: TrainConfig, training: Mix, **inputs: Any) -> TrainConfig:
        """See `Objective.complete`: the metres of a unit, and the student's initial depth."""
        teacher: Teacher | None = inputs.get("teacher")
        return config if teacher is None else teacher.complete(config, training)

    def layers(self, config: TrainConfig, sets: Sequence[Neighbours], device: torch.device) -> list[Layer]:
        """See `Objective.layers`: the teacher's maps and depth hints."""
        options = config.objective.options
        layers: list[Layer] = []
        if self.teacher is not None and options.get("cache") is not None:
            _check_zoom(config, "the teacher's cache holds whole images")
            maps = TeacherMaps.of(self.teacher, options["cache"])
            maps.fill(self.teacher, (image for part in sets for image in part.targets()), device)
            layers.append(maps)
        if options.get("hints") is not None:
            _check_zoom(config, "depth hints are of whole images")
            hints = DepthHints.open(options["hints"])
            hints.check((part.reader for part in sets), config.canonical_focal)
            layers.append(hints)
        return layers

    def predict(self, batch: Batch) -> Output:
        """See `Objective.predict`; without self-supervision there are no poses."""
        if self.view_synthesis is not None:
            return self.view_synthesis.predict(batch)
        disparities = self.network(batch["target_augmented"])
        no_poses = batch["target"].new_zeros(len(batch["target"]), 0, 4, 4)
        return Output(disparities, no_poses, batch["intrinsics"])

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return `{"loss": scalar, "loss/distillation": ..., "loss/distillation/scale0": ..., ...}`.

        With self-supervision also `"loss/view_synthesis"` and what `ViewSynthesis` gives.
        """
        with torch.autocast(batch["target"].device.type, enabled=False):
            target, weights = self.target(batch), self._weights(batch)
            distances = {
                f"loss/distillation/scale{scale}": self._distance(output.disparities[scale].float(), target, weights)
                for scale in self.scales
            }
            distance = torch.stack(list(distances.values())).mean()
        losses = {"loss": self.weight * distance, "loss/distillation": distance, **distances}
        if self.view_synthesis is not None:
            synthesis = self.view_synthesis.losses(output, batch)
            losses["loss/view_synthesis"] = synthesis.pop("loss")
            losses["loss"] = losses["loss"] + self.self_supervision * losses["loss/view_synthesis"]
            losses |= synthesis
        return losses

    @torch.no_grad()
    def target(self, batch: Batch) -> Tensor:
        """Return the disparity (B,1,H,W) in [0,1] that the student should predict; 0 where it is unknown."""
        if self.teacher is None:
            seen = torch.zeros_like(batch["hint"])
        else:
            seen = batch["teacher"] if "teacher" in batch else self.teacher.scaled_disparity(batch["target"])
        if "hint" in batch:
            seen = torch.where(batch["hint"] > 0, batch["hint"] * self._factor, seen)
        low, high = 1 / self.network.max_depth, 1 / self.network.min_depth
        return ((seen / self._factor - low) / (high - low)).clamp(0, 1)

    @torch.no_grad()
    def panels(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """See `Objective.panels`: `target`, `disparity`, `teacher`, `error`.

        `error` is the absolute logarithm of the ratio of depths. With self-supervision: the panels of `ViewSynthesis`,
        and the teacher.
        """
        target = self.target(batch)
        if self.view_synthesis is not None:
            return {**self.view_synthesis.panels(output, batch), "teacher": target}
        disparity = output.disparities[0].float()
        error = (self._scaled(disparity) / self._scaled(target)).log().abs()
        if self.teacher is None:
            error = error * (batch["hint"] > 0)
        return {"target": batch["target"], "disparity": disparity, "teacher": target, "error": error}

    def about(self) -> dict[str, Any]:
        """See `Objective.about`."""
        options = {"norm": self.norm, "self_supervision": self.self_supervision}
        return {"hints": options} if self.teacher is None else {"teacher": self.teacher.about() | options}

    def _weights(self, batch: Batch) -> Tensor | None:
        """Return each pixel's weight (B,1,H,W), 1 on average; None if all weights are equal."""
        if "hint" not in batch and "mask" not in batch:
            return None
        weights = torch.ones_like(batch["target"][:, :1])
        if "hint" in batch:
            known = batch["hint"] > 0
            # An image without any hint learns from the teacher in all pixels.
            counts = known if self.teacher is None else known | ~known.flatten(1).any(1)[:, None, None, None]
            weights = torch.where(counts, 1.0, 0.0 if self.teacher is None else self.weight_without_hint)
        if "mask" in batch:
            weights = weights * (batch["mask"] > 0.5)
        return weights / weights.mean().clamp(min=torch.finfo(torch.float32).tiny)

    def _distance(self, disparity: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
        """Compare a disparity (B,1,H/2^s,W/2^s) with the target (B,1,H,W), at its size."""
        disparity = F.interpolate(disparity, target.shape[-2:], mode="bilinear", align_corners=False)
        if self.norm == "log-l1":
            difference = self._scaled(disparity).log() - self._scaled(target).log()
        else:
            difference = disparity - target
        if self.block > 1:
            difference, weights = self._block_means(difference, weights)
        distance = difference.square() if self.norm == "l2" else difference.abs()
        return (distance if weights is None else weights * distance).mean()

    def _block_means(self, difference: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return weighted means over blocks, and the blocks' weights."""

        def mean(values: Tensor) -> Tensor:
            return F.avg_pool2d(values, self.block, ceil_mode=True)

        if weights is None:
            return mean(difference), None
        block_weights = mean(weights)
        tiny = torch.finfo(torch.float32).tiny
        return mean(difference * weights) / block_weights.clamp(min=tiny), block_weights

    def _scaled(self, disparity: Tensor) -> Tensor:
        return scaled_disparity(disparity, self.network.min_depth, self.network.max_depth)

    def _check_ranges(self, teacher: Teacher) -> None:
        teacher_range, student_range = ((part.min_depth, part.max_depth) for part in (teacher, self.network))
        if teacher_range != student_range:
            raise InputError(
                f"the teacher {teacher.path} has depths {teacher_range[0]:g} to {teacher_range[1]:g}, the student "
                f"{student_range[0]:g} to {student_range[1]:g}; set min_depth and max_depth in network.options to the "
                "teacher's"
            )

    def _depth_factor(self, teacher: Teacher) -> float:
        """Return the factor from the teacher's depth to the student's.

        For one object at one distance, the network with the shorter canonical focal length predicts the smaller depth.
        """
        canonical_focal, teacher_focal = self.network.scale.canonical_focal, teacher.canonical_focal
        if teacher_focal is None and canonical_focal is None:
            return 1.0
        if teacher_focal is None:
            raise InputError(
                f"the depth of the teacher {teacher.path} holds for the unknown camera of its training, the "
                f"run's for canonical_focal {canonical_focal:g}; set the option teacher_focal to fx / width of the "
                "teacher's camera, or remove canonical_focal"
            )
        if canonical_focal is None:
            raise InputError(
                f"the depth of the teacher {teacher.path} holds for canonical_focal {teacher_focal:g}, the run has "
                f"none; set canonical_focal to {teacher_focal:g}"
            )
        return canonical_focal / teacher_focal


def _check_zoom(config: TrainConfig, maps: str) -> None:
    if config.augment.zoom > 1 and config.canonical_focal is None:
        raise InputError(
            f"{maps}, and augment.zoom crops them; set canonical_focal, which determines how a zoom changes depth, or "
            "use only one of the two"
        )
