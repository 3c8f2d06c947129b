"""predict.json: what was done, what the numbers mean, and whether a run may be resumed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hrdepth.config import Outputs
from hrdepth.inference.predictor import Predictor
from hrdepth.io.media import MediaInfo
from hrdepth.networks.intrinsics import LearnedCamera

__all__ = ["MANIFEST", "settings"]

MANIFEST = "predict.json"


def settings(
    predictor: Predictor,
    source: Path,
    info: MediaInfo,
    outputs: Outputs,
    camera: ArrayLike | LearnedCamera | None,
) -> dict[str, Any]:
    """Return all that decides what the results are, JSON-able."""
    scale = predictor.scale
    metric = scale.metres_per_unit is not None
    factor = "" if scale.canonical_focal is None or camera is None else ", x fx / (canonical_focal x width)"
    coded = f"16 bits, value / 256 = {'metres' if metric else 'network units'}, 0 = none, 65535 = 255.996 or more"
    return {
        "input": {"name": source.name or source.resolve().name, "kind": info.kind, "fps": info.fps},
        "network": {
            "weights": None if predictor.source is None else predictor.source.name,
            "sha256": predictor.source_sha256,
            "runtime": predictor.runtime,
            "precision": predictor.precision,
            "device": str(predictor.device),
            "size": list(predictor.size),
            **asdict(scale),
            "flip": predictor.flip,
        },
        "outputs": asdict(outputs),
        "intrinsics": _describe(camera),
        "units": {
            "disparity": "the network's sigmoid output in (0,1)",
            "depth": f"network units, 1 / (1/max_depth + (1/min_depth - 1/max_depth) x disparity){factor}",
            "metres": f"depth x {scale.metres_per_unit:g}" if metric else None,
            "depth_png": coded,
            "depth_video": coded,
            "points": f"x right, y down, z forward, in {'metres' if metric else 'network units'}",
        },
    }


def _describe(camera: ArrayLike | LearnedCamera | None) -> Any:
    if isinstance(camera, LearnedCamera):
        return {"learned": asdict(camera)}
    return None if camera is None else np.asarray(camera).tolist()
