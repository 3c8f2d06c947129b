"""Distillation from a teacher's disparity or from depth hints: alone (T) or with self-supervision (MT)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hrdepth.camera import DepthScale
from hrdepth.config import ObjectiveConfig, TrainConfig
from hrdepth.data.layers import Layer, Objects
from hrdepth.data.map_cache import DepthHints
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.objectives.agreement import photometric_agreement
from hrdepth.objectives.base import Objective, Output, check_number_options, check_scales
from hrdepth.objectives.norms import NORMS, distance, learned_scale, norm_for, scaled
from hrdepth.objectives.view_synthesis import ViewSynthesis, check_nested
from hrdepth.registry import lookup
from hrdepth.teachers import Meaning, open_teacher, teacher_kind
from hrdepth.teachers.labelling import create_labels, label_images
from hrdepth.teachers.labels import Labels
from hrdepth.teachers.network import NetworkTeacher, TeacherMaps

__all__ = ["Distillation"]

log = logging.getLogger(__name__)

# Options of a teacher that maps are not made with yet.
OF_MAPS = ("cache", "teacher_focal", "teacher_aspect", "teacher_mirrored")
LABEL_SIZE = (192, 640)  # of new labels, (height, width); in other aspect ratios as many pixels
SAME_WIDTH = 1.01  # of an image, in widths of a sample as high, up to which a crop changes no depth worth mentioning


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
        norm: a key of `NORMS`; by default `l1`, `scale` or `affine`, as the labels' meaning needs. Of labels that leave
            scale and shift open, a student that learns nothing else has none either, see `learned_scale`.
        scales: of the student's disparities, resized to full size; [0] uses the finest only.
        block: compare means over blocks of so many pixels a side, so that a teacher's blurred edges are not learned;
            1 compares pixels. With `log-l1` the means are those of log depth. Hints, which are sharp, are compared
            pixel by pixel.
        weight: of the distance to the teacher in the loss.
        self_supervision: weight of the self-supervised loss; 0 learns from the teacher only (T), above 0 from both
            (MT).
        view_synthesis: options of the self-supervised loss, see `ViewSynthesis`.
        hints: a folder of depth hints, see `DepthHints`. A pixel with a hint learns it instead of the teacher's
            disparity; without a teacher only these pixels are learned.
        unhinted_weight: in images with hints, the weight of pixels without a hint, which learn from the teacher.
        labels: a folder of `hrdepth prepare labels`: maps of any depth model. With `teacher`, the name of any model
            (see `teachers.open_teacher`), missing ones are made before the training; without it none may be missing.
        agreement: with self-supervision, weigh pixels by how well the teacher's depth explains the sources, see
            `objectives.agreement`.
        objects: with self-supervision, learn pixels of objects (`data.layers.Objects`) from the teacher alone: they may
            move, and view synthesis would place them wrongly.
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
        teacher: str | NetworkTeacher = "",
        norm: str | None = None,
        scales: Sequence[int] = (0, 1, 2, 3),
        block: int = 1,
        weight: float = 1.0,
        self_supervision: float = 0.0,
        view_synthesis: dict[str, Any] | None = None,
        hints: str | None = None,
        unhinted_weight: float = 0.1,
        labels: str | Labels = "",
        agreement: bool = False,
        objects: bool = False,
        cache: str | None = None,
        teacher_focal: float | None = None,
        teacher_aspect: bool = False,
        teacher_mirrored: bool = False,
        cameras: LearnedIntrinsics | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.frames = tuple(frames)
        self.labels = (Labels.open(labels) if isinstance(labels, str) else labels) if labels else None
        self.teacher = None
        if isinstance(teacher, NetworkTeacher):
            self.teacher = teacher
        elif teacher and self.labels is None:
            self.teacher = NetworkTeacher.read(teacher, teacher_focal, teacher_aspect, teacher_mirrored)
        if self.teacher is not None and self.teacher.meaning != Meaning.METRIC:
            raise InputError(
                f"the teacher {self.teacher.path} gives no depth: its scale and shift are unknown; set the option "
                "labels to a folder for its maps"
            )
        if hints and self.labels is not None and self.labels.meaning_for(network.scale) != Meaning.METRIC:
            raise InputError(
                f"the hints in {hints} are depth, and the labels in {self.labels.folder} are not: use one of them"
            )
        self.norm = norm or "l1" if self.labels is None else norm_for(self.labels, network.scale, norm)
        if block > 1 and self.norm in ("scale", "affine"):
            log.warning(
                "warning: block %d of the distillation has no effect: norm '%s' compares pixels", block, self.norm
            )
        self.scales = tuple(scales)
        self.block = block
        self.weight = weight
        self.unhinted_weight = unhinted_weight
        self.self_supervision = self_supervision
        self.view_synthesis: ViewSynthesis | None = None
        if self_supervision:
            options = view_synthesis or {}
            self.view_synthesis = ViewSynthesis(network, pose_network, frames, cameras=cameras, **options)
        self.pose_network = None if self.view_synthesis is None else self.view_synthesis.pose_network
        self.cameras = None if self.view_synthesis is None else self.view_synthesis.cameras
        self.agreement, self.objects = agreement, objects
        self.hints = hints
        self._factor = 1.0
        if self.teacher is not None:
            self._factor = self.teacher.depth_factor(network.scale)

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        options = config.options
        if options.get("teacher") and not options.get("labels") and teacher_kind(options["teacher"]) != "weights":
            raise InputError(
                f"the teacher {options['teacher']} is no weights file of this package: set the option labels to a "
                "folder for its maps"
            )
        if not options.get("teacher"):
            if not (options.get("hints") or options.get("labels")):
                raise InputError(
                    "objective 'distillation' needs something to learn: set its option teacher to a weights file, "
                    "labels to a folder of hrdepth prepare labels, or hints to a folder of depth hints"
                )
            if options.get("cache"):
                raise InputError("the option cache of objective 'distillation' is for a teacher, and none is set")
        if options.get("labels") and (unused := [name for name in OF_MAPS if options.get(name)]):
            log.warning("warning: %s of the distillation has no effect beside labels, which are maps already",
                        ", ".join(unused))  # fmt: skip
        lookup(NORMS, options.get("norm") or "l1", "norm of the distillation")
        what = "objective 'distillation'"
        check_number_options(options, ("weight", "self_supervision"), what)
        check_number_options(options, ("unhinted_weight",), what, maximum=1)
        check_scales(options, what)
        for name in ("agreement", "objects"):
            if options.get(name) and not options.get("self_supervision"):
                raise InputError(
                    f"the option {name} of {what} is for a teacher beside view synthesis: set self_supervision"
                )
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
        """See `Objective.read_inputs`: the teacher, or the labels."""
        options = config.options
        if folder := options.get("labels"):
            if (name := options.get("teacher")) and not (Path(folder) / Labels.ABOUT).is_file():
                create_labels(Path(folder), open_teacher(name), LABEL_SIZE)
            return {"labels": Labels.open(folder)}
        if not (path := options.get("teacher")):
            return {}
        own_aspect, mirrored = options.get("teacher_aspect", False), options.get("teacher_mirrored", False)
        return {"teacher": NetworkTeacher.read(path, options.get("teacher_focal"), own_aspect, mirrored)}

    @classmethod
    def complete(cls, config: TrainConfig, training: Mix, **inputs: Any) -> TrainConfig:
        """See `Objective.complete`: the metres of a unit, and the student's initial depth."""
        labels: Labels | None = inputs.get("labels")
        if labels is not None and labels.metres_per_unit is not None and config.metres_per_unit is None:
            config = replace(config, metres_per_unit=labels.metres_per_unit)
        teacher: NetworkTeacher | None = inputs.get("teacher")
        return config if teacher is None else teacher.complete(config, training)

    def layers(self, config: TrainConfig, sets: Sequence[Neighbours], device: torch.device) -> list[Layer]:
        """See `Objective.layers`: the teacher's maps and depth hints."""
        options = config.objective.options
        layers: list[Layer] = []
        if self.teacher is not None and options.get("cache") is not None:
            _check_zoom(config, sets, "the teacher's cache holds whole images")
            maps = TeacherMaps(self.teacher, options["cache"])
            maps.fill(self.teacher, (image for part in sets for image in part.targets()), device)
            layers.append(maps)
        if self.labels is not None:
            _check_zoom(config, sets, "labels are of whole images")
            images = list(dict.fromkeys(image for part in sets for image in part.targets()))
            if options.get("teacher") and not all(self.labels.file(image).is_file() for image in images):
                teacher = open_teacher(options["teacher"], device)
                label_images(teacher, create_labels(self.labels.folder, teacher, self.labels.size), images)
            self.labels.check(images)
            layers += [self.labels, *([self.labels.confidence] if self.labels.confidence else [])]
        if self.objects:
            layers.append(Objects.of(image for part in sets for image in part.targets()))
        if options.get("hints") is not None:
            _check_zoom(config, sets, "depth hints are of whole images")
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
            target = self.target(batch)
            weights = self._weights(output, batch, target)
            distances = {
                f"loss/distillation/scale{s}": self._distance(output.disparities[s].float(), target, weights, batch)
                for s in self.scales
            }
            mean = torch.stack(list(distances.values())).mean()
        losses = {"loss": self.weight * mean, "loss/distillation": mean, **distances}
        if self.view_synthesis is not None:
            still = (batch["objects"][:, :1] == 0).float() if self.objects and "objects" in batch else None
            synthesis = self.view_synthesis.weighted_losses(output, batch, still)
            losses["loss/view_synthesis"] = synthesis.pop("loss")
            losses["loss"] = losses["loss"] + self.self_supervision * losses["loss/view_synthesis"]
            losses |= synthesis
        return losses

    @torch.no_grad()
    def target(self, batch: Batch) -> Tensor:
        """Return the disparity (B,1,H,W) in [0,1] that the student should predict; 0 where it is unknown."""
        if self.labels is not None:
            maps = torch.nan_to_num(batch["teacher"], nan=0.0)  # their weight is 0
            seen = self.labels.scaled_disparity(maps, batch["intrinsics"], self.network.scale)
        elif self.teacher is None:
            seen = torch.zeros_like(batch["hint"])
        else:
            # NaN, of which the teacher was not asked, has the weight 0.
            seen = (
                batch["teacher"].nan_to_num(nan=0.0)
                if "teacher" in batch
                else self.teacher.scaled_disparity(batch["target"])
            )
        if "hint" in batch:
            seen = torch.where(batch["hint"] > 0, batch["hint"] * self._factor, seen)
        if self.labels is not None and self.norm == "affine":
            return seen
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
            shown = self.view_synthesis.panels(output, batch)
            return {name: shown[name] for name in ("target", "disparity")} | {"teacher": target} | shown
        disparity = output.disparities[0].float()
        error = (scaled(disparity, self.network.scale) / scaled(target, self.network.scale)).log().abs()
        if self.norm == "affine":  # the map has a scale of its own
            low, high = (part.flatten(1)[:, :, None, None] for part in (target.amin((2, 3)), target.amax((2, 3))))
            target = (target - low) / (high - low).clamp(min=1e-12)
            error = torch.zeros_like(error)
        if self.teacher is None and self.labels is None:
            error = error * (batch["hint"] > 0)
        return {"target": batch["target"], "disparity": disparity, "teacher": target, "error": error}

    def kept_pixels(self, output: Output, batch: Batch) -> Tensor | None:
        """See `Objective.kept_pixels`: that of view synthesis."""
        return None if self.view_synthesis is None else self.view_synthesis.kept_pixels(output, batch)

    def learned_scale(self) -> DepthScale:
        """See `Objective.learned_scale`: view synthesis settles the shift, and with stereo pairs metres, too.

        Hints settle nothing, as `scale` and `affine` compare them as they compare the teacher.
        """
        if not self.self_supervision:
            return learned_scale(self.norm, self.network.scale)
        if "s" in self.frames:
            return self.network.scale
        return learned_scale("scale" if self.norm == "affine" else self.norm, self.network.scale)

    def about(self) -> dict[str, Any]:
        """See `Objective.about`."""
        options = {"norm": self.norm, "self_supervision": self.self_supervision}
        if self.labels is not None:
            return {"teacher": self.labels.about["teacher"] | options}
        return {"hints": options} if self.teacher is None else {"teacher": self.teacher.about() | options}

    def _distance(self, disparity: Tensor, target: Tensor, weights: Tensor | None, batch: Batch) -> Tensor:
        scale = self.network.scale
        if self.block == 1 or weights is None or "hint" not in batch:
            relative = self.view_synthesis is not None
            return distance(self.norm, disparity, target, weights, scale, self.block, relative=relative)
        hinted = batch["hint"] > 0
        sharp = distance(self.norm, disparity, target, weights * hinted, scale)
        return sharp + distance(self.norm, disparity, target, weights * ~hinted, scale, self.block)

    @torch.no_grad()
    def _weights(self, output: Output, batch: Batch, target: Tensor) -> Tensor | None:
        """Return each pixel's weight (B,1,H,W), 1 on average; None if all weights are equal."""
        known = batch["teacher"].isfinite() if "teacher" in batch else None
        if known is not None and known.all():
            known = None
        if not ({"hint", "mask", "confidence"} & batch.keys() or self.agreement or known is not None):
            return None
        weights = batch["confidence"] if "confidence" in batch else torch.ones_like(batch["target"][:, :1])
        if self.agreement and self.view_synthesis is not None:
            weights = weights * photometric_agreement(self.view_synthesis, output, batch, target, self.norm, known)
        if known is not None:
            weights = weights * known
        if "hint" in batch:
            hinted = batch["hint"] > 0
            # An image without any hint learns from the teacher in all pixels.
            taught = self.teacher is not None or self.labels is not None
            counts = hinted | ~hinted.flatten(1).any(1)[:, None, None, None] if taught else hinted
            weights = weights * torch.where(counts, 1.0, self.unhinted_weight if taught else 0.0)
        if "mask" in batch:
            weights = weights * (batch["mask"] > 0.5)
        return weights / weights.mean().clamp(min=torch.finfo(torch.float32).tiny)


def _check_zoom(config: TrainConfig, sets: Sequence[Neighbours], maps: str) -> None:
    """Check that it is known how depth changes where samples show a part of an image's width, larger."""
    if config.canonical_focal is not None:
        return
    cuts = "zoom" if config.augment.zoom > 1 else ""
    if config.augment.crop and not cuts:
        aspect = config.size[1] / config.size[0]
        cameras = [camera for part in sets for camera in part.cameras().values()]
        cuts = "crop" * any(camera.size[1] > SAME_WIDTH * aspect * camera.keep * camera.size[0] for camera in cameras)
    if cuts:
        raise InputError(
            f"{maps}, and augment.{cuts} crops them; set canonical_focal, which determines how a zoom changes depth, "
            "or use only one of the two"
        )
