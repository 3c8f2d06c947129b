"""What a run takes over from a teacher before it begins: units, a first guess, and what it sees in the images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from hrdepth.config import TrainConfig
from hrdepth.data.layers import Layer, Objects
from hrdepth.data.map_cache import DepthHints
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import Neighbours
from hrdepth.errors import InputError
from hrdepth.objectives.base import Objective
from hrdepth.objectives.distillation import Distillation
from hrdepth.objectives.teacher import Teacher, TeacherMaps, typical_depth

__all__ = ["objective_layers", "with_teacher"]

log = logging.getLogger(__name__)

# Images that the first guess is taken from.
LOOKED_AT = 8


def with_teacher(config: TrainConfig, training: Mix) -> TrainConfig:
    """Fill in what the teacher fixes, where there is one and the config does not say: metres of a unit, first guess.

    Raises:
        InputError: the config says otherwise.
    """
    options = config.objective.options
    if not options.get("teacher"):
        return config
    teacher = Teacher.read(options["teacher"], options.get("teacher_focal"))
    own, theirs = config.metres_per_unit, teacher.metres_per_unit
    if own is None:
        config = replace(config, metres_per_unit=theirs)
    elif theirs is not None and not 0.98 < own / theirs < 1.02:
        raise InputError(
            f"a unit of depth is {theirs:g} m to the teacher {teacher.path}, but metres_per_unit is {own:g}: the "
            "student learns the teacher's units; leave metres_per_unit out, or bring the baselines to these units"
        )
    if config.initial_depth is None and config.init is None:
        step = max(1, len(training) // LOOKED_AT)
        images = torch.stack([training[item]["target"] for item in range(0, len(training), step)[:LOOKED_AT]])
        depth = typical_depth(teacher, images)
        if config.canonical_focal is not None and teacher.canonical_focal is not None:
            depth *= config.canonical_focal / teacher.canonical_focal
        config = replace(config, initial_depth=depth)
        log.info("the student begins at a depth of %g units, the middle of what the teacher sees", depth)
    return config


def objective_layers(
    config: TrainConfig, objective: Objective, sets: Sequence[Neighbours], device: torch.device
) -> list[Layer]:
    """Return what the objective wants samples to have beside images.

    Args:
        config: of the run.
        objective: with its teacher.
        sets: all data sets of the run.
        device: on which the teacher runs.

    Raises:
        InputError: no object masks or hints, hints of another canonical focal length, or zoom without one.
    """
    options = config.objective.options
    layers: list[Layer] = []
    if objective.uses_objects:
        layers.append(Objects.of(image for part in sets for image in part.images()))
    if isinstance(objective, Distillation) and objective.teacher is not None and options.get("cache") is not None:
        _check_zoom(config, "the teacher's cache holds whole images")
        maps = TeacherMaps.of(objective.teacher, options["cache"])
        maps.fill(objective.teacher, (image for part in sets for image in part.targets()), device)
        layers.append(maps)
    if options.get("hints") is not None:
        hints = DepthHints.open(options["hints"])
        if hints.canonical_focal != config.canonical_focal:
            raise InputError(
                f"the depth hints in {hints.folder} hold for canonical_focal {hints.canonical_focal}, the run has "
                f"{config.canonical_focal}; make them anew with hrdepth prepare hints, or set canonical_focal to theirs"
            )
        _check_zoom(config, "depth hints are of whole images")
        hints.check(image for part in sets for image in part.targets())
        layers.append(hints)
    return layers


def _check_zoom(config: TrainConfig, kept: str) -> None:
    if config.augment.zoom > 1 and config.canonical_focal is None:
        raise InputError(
            f"{kept}, and augment.zoom cuts parts out of them; set canonical_focal, which says what a zoom does "
            "to depth, or leave one of the two out"
        )
