"""predict.json: what was done, what the numbers mean, and whether a run may be resumed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hrdepth.config import Outputs
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.io.media import MediaInfo
from hrdepth.networks.intrinsics import LearnedCamera

__all__ = ["MANIFEST", "settings"]

MANIFEST = "predict.json"


def settings(
    predictor: Predictor,
    source: Path,
    info: MediaInfo,
    outputs: Outputs,
    weights: str | Path | None,
    camera: ArrayLike | LearnedCamera | None,
) -> dict[str, Any]:
    """Return all that decides what the results are, JSON-able."""
    metric = predictor.metres_per_unit is not None
    factor = "" if predictor.canonical_focal is None or camera is None else ", x fx / (canonical_focal x width)"
    coded = f"16 bits, value / 256 = {'metres' if metric else 'network units'}, 0 = none, 65535 = 255.996 or more"
    file = None if weights is None else Path(weights)
    return {
        "input": {"name": source.name or source.resolve().name, "kind": info.kind, "fps": info.fps},
        "network": {
            "weights": None if file is None else file.name,
            "sha256": file_sha256(file) if file is not None and file.is_file() else None,
            "runtime": predictor.runtime,
            "precision": predictor.precision,
            "device": str(predictor.device),
            "size": list(predictor.size),
            "min_depth": predictor.min_depth,
            "max_depth": predictor.max_depth,
            "metres_per_unit": predictor.metres_per_unit,
            "canonical_focal": predictor.canonical_focal,
            "flip": predictor.flip,
        },
        "outputs": asdict(outputs),
        "intrinsics": _describe(camera),
        "units": {
            "disparity": "the network's sigmoid output in (0,1)",
            "depth": f"network units, 1 / (1/max_depth + (1/min_depth - 1/max_depth) x disparity){factor}",
            "metres": f"depth x {predictor.metres_per_unit:g}" if metric else None,
            "depth_png": coded,
            "depth_video": coded,
            "points": f"x right, y down, z forward, in {'metres' if metric else 'network units'}",
        },
    }


def _describe(camera: ArrayLike | LearnedCamera | None) -> Any:
    if isinstance(camera, LearnedCamera):
        return {"learned": asdict(camera)}
    return None if camera is None else np.asarray(camera).tolist()
