"""Images with truth and prediction; the frames of the page: the best, the median and the worst one, or some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import from_numpy
from torch.nn.functional import max_pool2d

from hrdepth.camera import choose_camera
from hrdepth.config import DatasetConfig, DepthProtocol
from hrdepth.data import build_reader
from hrdepth.data.folder import Images
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.sample import resized_intrinsics
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import check_disparity, compare_depth, resize_disparity, valid_pixels
from hrdepth.evaluation.predictions import predict_image, read_true_image
from hrdepth.evaluation.results import Evaluation
from hrdepth.inference.outputs import cloud_intrinsics
from hrdepth.inference.predictor import Predictor
from hrdepth.io.images import read_image
from hrdepth.io.pointcloud import KITTI_FOCAL, assumed_intrinsics
from hrdepth.io.visualize import colorize_disparity, colorize_error, disparity_range
from hrdepth.report.render import Cloud, data_url, encode_cloud
from hrdepth.truth import GroundTruth, GroundTruthSet

__all__ = ["WORST", "Sample", "Shown", "chosen_frames", "plain_frames", "predict_sample", "visible"]

COUNT = 3
WORST = 0.5
"""The relative error of the brightest colour."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A prediction for one image.

    Attributes:
        name: of the image.
        image: uint8 (H,W,3) at the size of the true depth: the part of the image that the depth is of.
        scaled_disparity: (H,W), 1/metres.
        truth: (H,W), metres, NaN where there is none or the protocol leaves it out.
        errors: the metrics, None where nothing could be compared.
    """

    name: str
    image: NDArray[np.uint8]
    scaled_disparity: NDArray[np.float32]
    truth: NDArray[np.float32]
    errors: dict[str, float] | None

    @property
    def relative_error(self) -> NDArray[np.float32]:
        """|prediction - truth| / truth (H,W), NaN where there is no truth."""
        return np.asarray(np.abs(1 / self.scaled_disparity - self.truth) / self.truth, dtype=np.float32)


def predict_sample(predictor: Predictor, truth: GroundTruth, protocol: DepthProtocol) -> Sample:
    """Predict for an image of a set with true depth.

    Raises:
        InputError: the image is missing or damaged.
    """
    small = predict_image(predictor.scaled_disparity, truth, protocol, predictor.canonical_focal)
    height, width = truth.depth.shape
    nearest, farthest = protocol.depth_range
    found = compare_depth(truth.depth, check_disparity(small), protocol)
    full = resize_disparity(small, (height, width)) if found is None else 1 / found.full_depth()
    return Sample(
        truth.name,
        np.asarray(read_true_image(truth).resize((width, height), Image.Resampling.LANCZOS)),
        np.clip(full, 1 / farthest, 1 / nearest).astype(np.float32),
        np.where(valid_pixels(truth.depth, protocol), truth.depth, np.nan).astype(np.float32),
        None if found is None else found.errors,
    )


def visible(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let each laser point of a sparse map cover 3x3 pixels, since one pixel cannot be seen on paper."""
    if np.isnan(values).mean() < 0.5:
        return values
    filled = from_numpy(np.where(np.isnan(values), np.float32(-np.inf), values))
    spread = max_pool2d(filled[None, None], 3, stride=1, padding=1)[0, 0].numpy()
    return np.where(np.isinf(spread), np.float32(np.nan), spread)


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame on the page.

    Attributes:
        label: why this one: `best`, `median`, `worst`, or `image N`.
        name: of the frame.
        abs_rel: its error, or None where there is no truth.
        views: what it is and the image as a data URL: image, disparity, truth, error.
        image: uint8 (H,W,3).
        depth: (H,W), metres, or network units where metres are not known; None where the network gives none.
        intrinsics: (3,3) in pixels.
        assumed: whether these are a guess.
        unit: of depth, in words.
    """

    label: str
    name: str
    abs_rel: float | None
    views: dict[str, str]
    image: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    intrinsics: NDArray[np.float64]
    assumed: bool
    unit: str

    def cloud(self, max_points: int) -> Cloud | None:
        """Return the points of the viewer, or None where no depth is usable."""
        if self.depth is None:
            return None
        try:
            return encode_cloud(self.depth, self.image, self.intrinsics, max_points, self.unit, assumed=self.assumed)
        except InputError:
            return None


def chosen_frames(predictor: Predictor, truths: GroundTruthSet, evaluation: Evaluation) -> list[Shown]:
    """Return the frames with the lowest, the median and the highest Abs Rel; none where they are of another set.

    Raises:
        InputError: an image is missing or damaged.
    """
    order = np.argsort([row.errors["abs_rel"] for row in evaluation.rows], kind="stable")
    places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    shown = []
    for label, place in places.items():
        truth = _find(truths, evaluation, int(place))
        if truth is None or truth.image is None:
            return []
        shown.append(_compared(label, predictor, truth, evaluation))
    return shown


def plain_frames(predictor: Predictor, parts: Sequence[DatasetConfig]) -> list[Shown]:
    """Return some images of the first validation set that is there, with disparity alone."""
    for part in parts:
        try:
            reader = build_reader(part)
            targets = reader.targets
            places = sorted({round(at) for at in np.linspace(0, len(targets) - 1, min(COUNT, len(targets)))})
            lines = [targets[place] for place in places]
            return [
                _plain(f"image {number}", predictor, reader, line)
                for number, line in enumerate(lines, 1)
                if reader.image(line, 0) is not None
            ]
        except InputError:
            continue
    return []


def _find(truths: GroundTruthSet, evaluation: Evaluation, place: int) -> GroundTruth | None:
    """Return the truth of a row: images that were skipped or failed lie before it, at most."""
    name = evaluation.rows[place].name
    last = min(place + len(evaluation.skipped) + len(evaluation.failed) + 1, len(truths))
    return next((truth for at in range(place, last) if (truth := truths[at]).name == name), None)


def _compared(label: str, predictor: Predictor, truth: GroundTruth, evaluation: Evaluation) -> Shown:
    sample = predict_sample(predictor, truth, evaluation.protocol)
    known = ~np.isnan(sample.truth)
    matrix = truth.intrinsics
    if matrix is None:
        matrix = assumed_intrinsics(sample.truth.shape, predictor.canonical_focal or KITTI_FOCAL)
    low, high = disparity_range(np.concatenate([sample.scaled_disparity[known], 1 / sample.truth[known]]))
    views: dict[str, NDArray[Any]] = {
        "image": sample.image,
        "disparity: near is bright": colorize_disparity(sample.scaled_disparity, low, high),
        "truth": colorize_disparity(visible(np.asarray(1 / sample.truth, dtype=np.float32)), low, high),
        f"relative error: bright is {100 * WORST:.0f} % and more": colorize_error(
            visible(sample.relative_error), vmax=WORST
        ),
    }
    return Shown(
        label,
        sample.name,
        None if sample.errors is None else sample.errors["abs_rel"],
        {what: data_url(view) for what, view in views.items()},
        sample.image,
        np.asarray(1 / sample.scaled_disparity, dtype=np.float32),
        matrix,
        truth.intrinsics is None,
        "metres",
    )


def _plain(label: str, predictor: Predictor, reader: FrameReader, line: SplitLine) -> Shown:
    path = reader.image(line, 0)
    assert path is not None  # checked by the caller
    image = read_image(path)
    prediction = predictor(image, _known_intrinsics(predictor, reader, line, (image.height, image.width)))
    depth = prediction.best_depth if prediction.depth_scale.has_depth else None
    views = {
        "image": data_url(prediction.image),
        "disparity: near is bright": data_url(colorize_disparity(prediction.scaled_disparity)),
    }
    unit = "metres" if prediction.metres_per_unit is not None else "network units"
    assumed = prediction.intrinsics is None
    return Shown(label, line.name, None, views, prediction.image, depth, cloud_intrinsics(prediction), assumed, unit)


def _known_intrinsics(
    predictor: Predictor, reader: FrameReader, line: SplitLine, size: tuple[int, int]
) -> NDArray[np.float64] | None:
    """Return K (3,3) in pixels of an image of `size` (height, width); None where the camera is not known."""
    if isinstance(reader, Images):  # whose cameras are guesses
        return None
    try:
        camera = reader.camera(line)
    except InputError:
        return None
    if camera.learn:  # the data's K is where the learning began
        learned = choose_camera(predictor.cameras)
        return None if learned is None else learned.intrinsics(size)
    return resized_intrinsics(camera, size).double().numpy()
