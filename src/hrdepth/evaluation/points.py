"""Point-cloud metrics of predicted depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError, require
from hrdepth.evaluation.depth import Pixels

__all__ = ["cloud_distances", "describe_points", "point_errors", "points_of"]

# Maximum number of points, about that of KITTI's laser; dense depth is subsampled, at the same pixels for both clouds.
MOST = 20000


def point_errors(
    pixels: Pixels, predicted: NDArray[np.float64], intrinsics: NDArray[Any], threshold: float
) -> dict[str, float]:
    """Compare the points of the compared pixels.

    Args:
        pixels: with true depth (N), metres.
        predicted: depth (N), metres.
        intrinsics: (3,3) in pixels of the true depth.
        threshold: metres.

    Returns:
        chamfer (metres) and f_score, see `cloud_distances`.
    """
    chosen = np.unique(np.linspace(0, len(predicted) - 1, min(MOST, len(predicted))).astype(np.intp))
    x, y = pixels.columns[chosen], pixels.rows[chosen]
    true = points_of(x, y, pixels.depth[chosen], intrinsics)
    chamfer, score = cloud_distances(true, points_of(x, y, predicted[chosen], intrinsics), threshold)
    return {"chamfer": chamfer, "f_score": score}


def describe_points(threshold: float) -> dict[str, Any]:
    """Describe the point-cloud metrics, in words and values."""
    return {
        "in_words": "points of the compared pixels through the camera's K, after scaling and clamping; thinned evenly "
        "to most_pixels where they are more, the same ones of both clouds. Chamfer distance: mean distances there and "
        "back, added, metres; F-score of the shares within threshold_m",
        "threshold_m": threshold,
        "most_pixels": MOST,
    }


def points_of(
    x: NDArray[Any], y: NDArray[Any], depth: NDArray[np.float64], intrinsics: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the points (N,3), metres, of pixels x, y (N) at depths (N), with intrinsics (3,3)."""
    across = (x - intrinsics[0, 2]) / intrinsics[0, 0] * depth
    down = (y - intrinsics[1, 2]) / intrinsics[1, 1] * depth
    return np.stack([across, down, depth], axis=1)


def cloud_distances(true: NDArray[np.float64], predicted: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Return Chamfer distance and F-score of two clouds (N,3) and (M,3).

    Chamfer: mean distance of predicted points to the nearest true one, plus the mean of true points to the nearest
    predicted one. F-score: 2PR / (P + R), P and R the shares of these distances below `threshold`.

    Raises:
        InputError: a cloud is empty or not an array of finite points.

    Source: Knapitsch et al., Tanks and Temples, 2017; Ornek et al., From 2D to 3D: Re-thinking Benchmarking of
        Monocular Depth Prediction, 2022.
    """
    spatial = require("scipy.spatial", "metrics", "point-cloud metrics need")
    for cloud, what in ((true, "true"), (predicted, "predicted")):
        if cloud.ndim != 2 or cloud.shape[1] != 3 or not len(cloud) or not np.isfinite(cloud).all():
            raise InputError(f"the {what} points must be finite (N,3), not of shape {cloud.shape}")
    there = spatial.cKDTree(true).query(predicted)[0]
    back = spatial.cKDTree(predicted).query(true)[0]
    precision, recall = float((there < threshold).mean()), float((back < threshold).mean())
    score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return float(there.mean() + back.mean()), score
