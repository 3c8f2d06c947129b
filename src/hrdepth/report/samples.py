"""An image with its truth and a network's prediction, in metres by the protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import from_numpy
from torch.nn.functional import max_pool2d

from hrdepth.config import DepthProtocol
from hrdepth.evaluation.depth import evaluate_image, resize_disparity, valid_pixels
from hrdepth.evaluation.run import predict_image
from hrdepth.inference.predictor import Predictor
from hrdepth.io.images import read_image
from hrdepth.truth import GroundTruth

__all__ = ["WORST", "Sample", "predict_sample", "visible"]

WORST = 0.5
"""The relative error of the brightest colour."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A prediction for one image.

    Attributes:
        name: of the image.
        image: uint8 (H,W,3) at the size of the true depth.
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
    assert truth.image is not None  # or it could not have been predicted
    height, width = truth.depth.shape
    nearest, farthest = protocol.depth_range
    result = evaluate_image(truth.depth, small, protocol)
    full = resize_disparity(small, (height, width)) / (result.ratio if result else 1.0)
    return Sample(
        truth.name,
        np.asarray(read_image(truth.image).resize((width, height), Image.Resampling.LANCZOS)),
        np.clip(full, 1 / farthest, 1 / nearest).astype(np.float32),
        np.where(valid_pixels(truth.depth, protocol), truth.depth, np.nan).astype(np.float32),
        result.errors if result else None,
    )


def visible(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Let each laser point of a sparse map cover 3x3 pixels, since one pixel cannot be seen on paper."""
    if np.isnan(values).mean() < 0.5:
        return values
    filled = from_numpy(np.where(np.isnan(values), np.float32(-np.inf), values))
    spread = max_pool2d(filled[None, None], 3, stride=1, padding=1)[0, 0].numpy()
    return np.where(np.isinf(spread), np.float32(np.nan), spread)
