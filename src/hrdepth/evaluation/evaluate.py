"""Evaluate whole sets: predictions of another program, a network, or trivial baselines."""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import DepthScale
from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import ImageResult, check_disparity, compare_depth
from hrdepth.evaluation.extras import EXTRA_GROUPS, Extras
from hrdepth.evaluation.predictions import (
    Predict,
    check_shape,
    check_true_image,
    per_image,
    predict_image,
    read_disparities,
)
from hrdepth.evaluation.results import Evaluation
from hrdepth.io.parallel import parallel_map
from hrdepth.io.progress import progress_bar
from hrdepth.truth import GroundTruth, GroundTruthSet

__all__ = [
    "combine_results",
    "compare_one",
    "constant_depth_baseline",
    "evaluate_disparities",
    "evaluate_network",
    "mean_prediction_baseline",
    "protocol_for",
]

log = logging.getLogger(__name__)

TURNED_TOLERANCE = 0.5
"""Share by which true depth and a prediction may differ in aspect ratio, if one is upright and the other is not."""


def evaluate_disparities(
    scaled_disparities: Iterable[NDArray[Any]] | str | Path,
    ground_truths: GroundTruthSet,
    protocol: DepthProtocol | None = None,
    *,
    progress: bool = False,
    workers: int | None = None,
    processes: bool = False,
    extras: Extras | None = None,
) -> Evaluation:
    """Evaluate predictions of another program.

    Args:
        scaled_disparities: one (h,w) per image in the set's order, 1/depth in 1/metres or up to a factor; or
            an .npy or .npz file of them, see `read_disparities`.
        ground_truths: the images' true depth.
        protocol: by default that of published KITTI numbers.
        progress: show a bar on the terminal.
        workers: threads that read true depth and compare; None for one per core.
        processes: use processes instead of threads.
        extras: additional metrics.

    Raises:
        InputError: there are more or fewer predictions than images, one is not an (h,w) array of finite, non-negative
            values (the message names the image), flip post-processing is requested, or no image has true depth.
    """
    protocol = (protocol or DepthProtocol()).complete()
    if protocol.post_process:
        raise InputError("flip post-processing needs a network; remove it for another program's predictions")
    where = "the predictions"
    if isinstance(scaled_disparities, str | Path):
        where = str(scaled_disparities)
        scaled_disparities = read_disparities(scaled_disparities)
    elif isinstance(scaled_disparities, np.ndarray):
        scaled_disparities = per_image(scaled_disparities, where)
    if isinstance(scaled_disparities, Sized) and len(scaled_disparities) != len(ground_truths):
        raise InputError(_count_message(where, len(scaled_disparities), len(ground_truths)))
    remaining = iter(scaled_disparities)
    count = len(ground_truths)

    def items() -> Iterator[tuple[int, GroundTruth | None, NDArray[Any]]]:
        for index in range(count):
            disparity = next(remaining, None)
            if disparity is None:
                raise InputError(_count_message(where, index, count))
            yield index, None, disparity

    compare = _Compare(ground_truths, protocol, extras, where)
    evaluation = _evaluate(compare, items(), workers, processes, progress)
    if next(remaining, None) is not None:
        raise InputError(_count_message(where, f"more than {count}", count))
    return evaluation


def evaluate_network(
    predict: Predict,
    ground_truths: GroundTruthSet,
    protocol: DepthProtocol | None = None,
    *,
    canonical_focal: float | None = None,
    progress: bool = True,
    workers: int | None = None,
    processes: bool = False,
    extras: Extras | None = None,
) -> Evaluation:
    """Evaluate a network, or any function that predicts depth from an image.

    Args:
        predict: image (RGB, at its own size) -> scaled disparity (h,w) float32, 1/depth, at any size; for
            instance `Predictor.scaled_disparity`.
        ground_truths: images and their true depth.
        protocol: by default that of published KITTI numbers. With flip post-processing, `predict` is called for the
            mirrored image too, and must not do that itself.
        canonical_focal: fx, in image widths, of the camera that predictions hold for: they are converted to the camera
            of each image, if its K is known. Has no effect under median scaling. None for no conversion.
        progress: show a bar on the terminal.
        workers: threads that compare while the network predicts; None for one per core.
        processes: use processes instead of threads.
        extras: additional metrics.

    Raises:
        InputError: an image is missing or damaged, a prediction is not an array of finite, non-negative values, or
            no image has true depth.
    """
    protocol = (protocol or DepthProtocol()).complete()
    items = (
        (index, truth, predict_image(predict, truth, protocol, canonical_focal))
        for index, truth in enumerate(ground_truths)
    )
    return _evaluate(_Compare(ground_truths, protocol, extras), items, workers, processes, progress)


def compare_one(
    predict: Predict,
    ground_truths: GroundTruthSet,
    index: int,
    protocol: DepthProtocol,
    extras: Extras | None = None,
    *,
    canonical_focal: float | None = None,
) -> ImageResult | str:
    """Evaluate a network on one image; return only its name if it has no true depth. See `evaluate_network`."""
    truth = ground_truths[index]
    disparity = predict_image(predict, truth, protocol, canonical_focal)
    return _Compare(ground_truths, protocol, extras)((index, truth, disparity))


def protocol_for(scale: DepthScale, protocol: DepthProtocol) -> DepthProtocol:
    """Return the protocol by which a network of this scale can be evaluated.

    Raises:
        InputError: a fixed factor for a network whose shift is unknown.
    """
    if scale.has_depth or protocol.scaling == "affine":
        return protocol
    if not isinstance(protocol.scaling, str):
        raise InputError(f"scaling {protocol.scaling:g}: {scale.sentence}; give --protocol.scaling affine")
    log.info("each image's disparity is aligned by scale and shift: %s", scale.sentence)
    return replace(protocol, scaling="affine")


def constant_depth_baseline(
    ground_truths: GroundTruthSet, protocol: DepthProtocol | None = None, depth: float = 1.0
) -> Evaluation:
    """Evaluate the same depth for every pixel of every image.

    Args:
        ground_truths: the images' true depth.
        protocol: by default that of published KITTI numbers.
        depth: in units that a fixed factor converts to metres; has no effect under median scaling.
    """
    if not 0 < depth < float("inf"):
        raise InputError(f"the constant depth {depth:g} must be positive")
    return mean_prediction_baseline(np.full((1, 1), 1 / depth), ground_truths, protocol)


def mean_prediction_baseline(
    mean_disparity: NDArray[Any], ground_truths: GroundTruthSet, protocol: DepthProtocol | None = None
) -> Evaluation:
    """Evaluate one scaled disparity (h,w), such as the mean training prediction, for every image."""
    return evaluate_disparities(itertools.repeat(mean_disparity, len(ground_truths)), ground_truths, protocol)


@dataclass(frozen=True)
class _Compare:
    """Compares one image, in any thread or process; returns only its name if it has no true depth."""

    ground_truths: GroundTruthSet
    protocol: DepthProtocol
    extras: Extras | None = None
    where: str | None = None  # source of the predictions, for messages; None for a network

    def __call__(self, item: tuple[int, GroundTruth | None, NDArray[Any]]) -> ImageResult | str:
        index, truth, disparity = item
        truth = self.ground_truths[index] if truth is None else truth
        if self.where is not None:  # a network's predictions have been checked
            try:
                disparity = check_disparity(disparity)
                # A network may have squeezed the image, but it cannot have turned it.
                (height, width), (rows, columns) = disparity.shape, truth.depth.shape
                if (height - width) * (rows - columns) < 0:
                    check_shape(truth, disparity.shape, "the prediction", TURNED_TOLERANCE)
                check_true_image(truth)
            except InputError as error:
                raise InputError(f"{self.where}, number {index} ({truth.name}): {error}") from error
        try:
            found = compare_depth(truth.depth, np.asarray(disparity, dtype=np.float64), self.protocol)
            if found is None:
                return truth.name
            more = self.extras(truth, found) if self.extras else {}
        except InputError as error:
            raise InputError(f"{truth.name}: {error}") from error
        depth = found.pixels.depth
        digest = hashlib.sha256(depth.astype(np.float32).tobytes()).hexdigest()
        return ImageResult(found.errors, found.ratio, depth.size, truth.name, more, digest, found.falls)


def _evaluate(
    compare: _Compare,
    items: Iterable[tuple[int, GroundTruth | None, NDArray[Any]]],
    workers: int | None,
    processes: bool,
    progress: bool,
) -> Evaluation:
    truths = compare.ground_truths
    with progress_bar(shown=progress, transient=True) as bar:
        found = parallel_map(compare, items, workers, processes=processes)
        results = list(bar.track(found, len(truths), description="evaluating"))
    return combine_results(results, truths, compare.protocol, compare.extras)


def combine_results(
    results: Sequence[ImageResult | str],
    truths: GroundTruthSet,
    protocol: DepthProtocol,
    extras: Extras | None,
    failed: Sequence[str] = (),
) -> Evaluation:
    """Return the evaluation of a set from its images' results, in its order.

    Args:
        results: of each image; its name alone if it has no true depth.
        truths: the set.
        protocol: of the comparison.
        extras: additional metrics.
        failed: images that could not be evaluated, and why.

    Raises:
        InputError: no image has true depth, or none could be evaluated.
    """
    rows = tuple(one for one in results if isinstance(one, ImageResult))
    if not rows:
        if failed:
            raise InputError(f"{len(failed)} of {len(truths)} images could not be evaluated; the first is {failed[0]}")
        raise InputError(
            f"none of the {len(truths)} images has true depth between {protocol.min_depth:g} and "
            f"{protocol.max_depth:g} m inside the crop '{protocol.crop}'; is the depth in metres?"
        )
    if 2 * (falling := sum(row.falls for row in rows)) > len(rows):
        log.warning(
            "in %d of %d images the predictions fall where 1/true depth rises: are they depth? Disparity, 1/depth, is "
            "compared", falling, len(rows),
        )  # fmt: skip
    skipped = tuple(one for one in results if isinstance(one, str))
    measured = {name for row in rows for name in row.extras}
    how = extras.describe() if extras else {}
    how = {group: about for group, about in how.items() if not measured.isdisjoint(EXTRA_GROUPS[group])}
    return Evaluation(rows, skipped, protocol, truths.description, how, tuple(failed))


def _count_message(where: str, found: int | str, expected: int) -> str:
    return f"{where}: {found} predictions for {expected} images; give one per image, in the order of the list"
