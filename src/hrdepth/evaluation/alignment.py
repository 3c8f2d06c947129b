"""Scale and shift of disparity by least squares, for networks whose disparity is known up to both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol

__all__ = ["aligned_depth", "scale_and_shift"]


def scale_and_shift(true: NDArray[np.float64], disparity: NDArray[np.float64]) -> tuple[float, float]:
    """Return s and t that minimise the sum of (s disparity + t - true)^2.

    Args:
        true: 1/depth (N).
        disparity: (N); where it is the same everywhere, s is 0 and t the mean of `true`.

    Source: Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2020, section 5.

    Example:
        >>> scale_and_shift(np.array([3.0, 5.0, 7.0]), np.array([1.0, 2.0, 3.0]))
        (2.0, 1.0)
    """
    centre = disparity.mean()
    spread = float(((disparity - centre) ** 2).sum())
    # Rounding leaves a little where all are equal.
    steady = spread <= 1e-24 * len(disparity) * float(centre) ** 2
    scale = 0.0 if steady else float(((disparity - centre) * (true - true.mean())).sum()) / spread
    return scale, float(true.mean() - scale * centre)


def aligned_depth(
    true: NDArray[np.float64], disparity: NDArray[np.float64], protocol: DepthProtocol
) -> NDArray[np.float64]:
    """Return predicted depth (N), metres, after alignment with the truth, within the protocol's range.

    Args:
        true: depth (N), metres.
        disparity: scaled disparity (N), 1/depth up to scale and shift.
        protocol: whose range the result is clamped to; a disparity that comes out negative is as far as that goes.
    """
    scale, shift = scale_and_shift(1 / true, disparity)
    nearest, farthest = protocol.depth_range
    return np.asarray(1 / np.clip(scale * disparity + shift, 1 / farthest, 1 / nearest))
