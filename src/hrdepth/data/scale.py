"""What a unit of depth is in metres, as the rigs tell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hrdepth.data.frames import FrameDataset
from hrdepth.errors import InputError

__all__ = ["metres_per_unit"]

# How far rigs may differ and still share one factor: KITTI's days do by 1 %.
TOLERANCE = 0.02


def metres_per_unit(datasets: Iterable[FrameDataset]) -> float:
    """Derive the metres that one unit of predicted depth stands for from the baselines of all recordings.

    Each is its baseline in metres over its baseline in units; both are the same where a config leaves the latter
    alone, which gives 1.

    Raises:
        InputError: no recording has a second eye, one does not tell its baseline in metres, or they disagree.
    """
    factors: dict[float, str] = {}
    for data in datasets:
        seen = set()
        for line in data.reader.targets:
            if (line.folder, line.side) in seen or data.reader.image(line, "s") is None:
                continue
            seen.add((line.folder, line.side))
            camera = data.reader.camera(line)
            if camera.baseline is None or camera.baseline_metres is None:
                raise InputError(f"{camera.source} does not give the baseline in metres")
            factors.setdefault(camera.baseline_metres / camera.baseline, camera.source)
    if not factors:
        raise InputError("no recording has a second eye")
    low, high = min(factors), max(factors)
    if high > low * (1 + TOLERANCE):
        raise InputError(
            f"the rigs disagree: a unit is {low:.4g} m by {factors[low]}, {high:.4g} m by {factors[high]}; "
            "set the option baseline of each to the same share of its metres"
        )
    return float(f"{np.median(list(factors)):.4g}")
