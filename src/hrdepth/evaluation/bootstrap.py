"""How sure a mean over images is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError

__all__ = ["LEVEL", "bootstrap_intervals"]

LEVEL = 0.95


def bootstrap_intervals(
    values: NDArray[np.float64], resamples: int, *, seed: int = 0, level: float = LEVEL
) -> NDArray[np.float64]:
    """Return intervals of the means by the percentile bootstrap over images.

    Args:
        values: (N images, M metrics); NaN where an image has none.
        resamples: so many sets of N images are drawn, with replacement.
        seed: of the draw; the same images are drawn for all metrics.
        level: the share of the resampled means inside.

    Returns:
        (M,2): lower and upper end; NaN where no image has the metric.

    Raises:
        InputError: fewer than one resample or image, or a level outside (0,1).

    Note:
        Images of one drive are alike, so that intervals over few drives are too narrow.

    Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if resamples < 1 or values.ndim != 2 or not len(values):
        raise InputError(f"the bootstrap needs a resample and an image at least, not {resamples} and {len(values)}")
    if not 0 < level < 1:
        raise InputError(f"the level {level:g} must lie between 0 and 1")
    count = len(values)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        means = (drawn @ np.where(known, values, 0.0)) / (drawn @ known)  # (resamples,M)
    ends = [50 * (1 - level), 50 * (1 + level)]
    intervals = np.full((values.shape[1], 2), np.nan)
    some = np.isfinite(means).any(axis=0)
    intervals[some] = np.nanpercentile(means[:, some], ends, axis=0).T
    return intervals
