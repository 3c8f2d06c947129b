"""Images on a Ray cluster: `evaluate --ray` and `prepare labels --ray`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hrdepth.compute import choose_device
from hrdepth.config import DepthProtocol, EvaluateConfig, PrepareLabelsConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import ImageResult
from hrdepth.evaluation.evaluate import combine_results, compare_one
from hrdepth.evaluation.extras import Extras
from hrdepth.evaluation.results import Evaluation
from hrdepth.fleet.units import stream, with_absolute_paths
from hrdepth.inference.predictor import Predictor
from hrdepth.io.objects import is_url
from hrdepth.teachers import open_teacher
from hrdepth.teachers.labelling import create_labels, label_images
from hrdepth.teachers.labels import Labels
from hrdepth.truth import GroundTruthSet, build_ground_truth

__all__ = ["evaluate_images", "label_on_cluster"]

log = logging.getLogger(__name__)

PART = 32
"""Images of one unit."""


def evaluate_images(
    config: EvaluateConfig, weights: Path, truths: GroundTruthSet, protocol: DepthProtocol, extras: Extras
) -> Evaluation:
    """Evaluate a network on a Ray cluster, with the numbers of `evaluate_network`.

    An image that cannot be evaluated is reported, and left out of the means.

    Args:
        config: of the command.
        weights: the network's file.
        truths: images and their true depth.
        protocol: how depth is compared.
        extras: additional metrics.

    Raises:
        InputError: as `units.stream`, or no image has true depth.
    """
    if is_url(config.data.root) or is_url(config.weights):
        raise InputError("with --ray, data and weights of evaluate must lie where all machines can read them as files")
    protocol = protocol.complete()
    data = with_absolute_paths(config.data, ("root", "split", "depths"))
    local = replace(with_absolute_paths(config, ("calibration",)), data=data, weights=str(weights.resolve()))
    make = partial(_Evaluating, local, protocol, extras)
    parts = [range(at, min(at + PART, len(truths))) for at in range(0, len(truths), PART)]
    results: dict[int, ImageResult | str] = {}
    failed: dict[int, str] = {}
    for done in stream(make, parts, config, "evaluating"):
        found = done.result or [(index, None, done.error) for index in parts[done.number]]
        for index, result, error in found:
            if error is not None:
                failed[index] = f"image {index}: {error}"
                log.warning("left out: %s", failed[index])
            else:
                results[index] = result
    ordered = [results[index] for index in sorted(results)]
    return combine_results(ordered, truths, protocol, extras, [failed[index] for index in sorted(failed)])


@dataclass
class _Evaluating:
    """Predicts images and compares them with the truth."""

    config: EvaluateConfig
    protocol: DepthProtocol
    extras: Extras

    def __post_init__(self) -> None:
        self.truths = build_ground_truth(self.config.data)
        keywords = {**self.config.keywords(), "threads": self.config.threads or max(1, int(self.config.ray_cpus))}
        self.predictor = Predictor.from_file(self.config.weights, **keywords)

    def __call__(self, part: Sequence[int]) -> list[tuple[int, Any, str | None]]:
        done: list[tuple[int, Any, str | None]] = []
        for index in part:
            try:
                predict, focal = self.predictor.scaled_disparity, self.predictor.canonical_focal
                result = compare_one(predict, self.truths, index, self.protocol, self.extras, canonical_focal=focal)
                done.append((index, result, None))
            except InputError as error:
                done.append((index, None, str(error)))
        return done


def label_on_cluster(config: PrepareLabelsConfig, images: Sequence[Path], folder: Path) -> Labels:
    """Label images on a Ray cluster, into a folder that all its machines share; what is labelled already stays.

    Raises:
        InputError: as `units.stream`; some images could not be labelled, which are named.
    """
    if any(map(is_url, (config.data, config.out))):
        raise InputError("with --ray, data and labels must lie in folders that all machines share")
    folder, config = folder.resolve(), with_absolute_paths(config, ("teacher",))
    labels = create_labels(folder, open_teacher(config.teacher, choose_device(config.device)), config.size)
    whole = [image.resolve() for image in images]
    todo = [image for image in whole if not labels.is_labelled(image, config.confidence)]
    parts = [todo[at : at + PART] for at in range(0, len(todo), PART)]
    failed: list[str] = []
    for done in stream(partial(_Labelling, config, folder), parts, config, "labels"):
        failed += done.result or ([done.error] if done.error is not None else [])
    if failed:
        raise InputError.several([f"not labelled: {sentence}" for sentence in failed])
    return labels


class _Labelling:
    """Labels images with one teacher."""

    def __init__(self, config: PrepareLabelsConfig, folder: Path) -> None:
        self.confidence = config.confidence
        self.teacher = open_teacher(config.teacher, choose_device(config.device))
        self.labels = Labels.open(folder)

    def __call__(self, part: Sequence[Path]) -> list[str]:
        """Return what is wrong with the images that could not be labelled."""
        try:
            label_images(self.teacher, self.labels, part, confidence=self.confidence, shared=False)
        except InputError:  # one by one, to find out which
            failed = []
            for image in part:
                try:
                    label_images(self.teacher, self.labels, [image], confidence=self.confidence, shared=False)
                except InputError as error:
                    failed.append(str(error))
            return failed
        return []
