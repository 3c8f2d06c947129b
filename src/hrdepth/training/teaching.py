"""What a run takes over from a teacher before it begins: units, a first guess, and what it sees in the images."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch

from hrdepth.compute import choose_device
from hrdepth.config import TrainConfig
from hrdepth.data.hints import Hints, use_hints
from hrdepth.data.mixing import Mix
from hrdepth.errors import InputError
from hrdepth.objectives.distillation import Distillation
from hrdepth.objectives.objective import Objective
from hrdepth.objectives.teacher import Teacher, typical_depth
from hrdepth.objectives.teacher_cache import TeacherCache, fill

__all__ = ["use_depth_hints", "use_teacher_cache", "with_teacher"]

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


def use_depth_hints(config: TrainConfig, mixes: list[Mix]) -> None:
    """Let samples carry the depth hints that the config names.

    Raises:
        InputError: there are none, or for another canonical focal length, or zoom without one.
    """
    folder = config.objective.options.get("hints")
    if folder is None:
        return
    hints = Hints.open(folder)
    if hints.canonical_focal != config.canonical_focal:
        raise InputError(
            f"the depth hints in {folder} hold for canonical_focal {hints.canonical_focal}, the run has "
            f"{config.canonical_focal}; make them anew with hrdepth prepare hints, or set canonical_focal to theirs"
        )
    _check_zoom(config, "depth hints are of whole images")
    use_hints(hints, [part for mix in mixes for part in mix.datasets])


def use_teacher_cache(config: TrainConfig, objective: Objective, mixes: list[Mix]) -> None:
    """Let the teacher look at every target image once, and let samples carry what it saw, where the config asks.

    Raises:
        InputError: a zoom without a canonical focal length, in which the cached depth has no meaning, or as
            `teacher_cache.fill`.
    """
    folder = config.objective.options.get("cache")
    if not isinstance(objective, Distillation) or objective.teacher is None or folder is None:
        return
    _check_zoom(config, "the teacher's cache holds whole images")
    cache = TeacherCache.of(objective.teacher, folder)
    parts = [part for mix in mixes for part in mix.datasets]
    images = [image for part in parts for image in part.targets()]
    fill(cache, objective.teacher, images, choose_device(config.device))
    for part in parts:
        part.teacher = cache.read


def _check_zoom(config: TrainConfig, kept: str) -> None:
    if config.augment.zoom > 1 and config.canonical_focal is None:
        raise InputError(
            f"{kept}, and augment.zoom cuts parts out of them; set canonical_focal, which says what a zoom does "
            "to depth, or leave one of the two out"
        )
