"""Errors of a network on corrupted images, and the summary figures mCE and mRR.

Source: Kong et al., RoboDepth: Robust Out-of-Distribution Depth Estimation under Corruptions, NeurIPS 2023, section 3;
the corruptions themselves: Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019, through the
package imagecorruptions (Michaelis et al., 2019).
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError, require
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.evaluation.predictions import Predict
from hrdepth.truth import GroundTruthSet

__all__ = [
    "CLEAN",
    "KITTI_C",
    "SEVERITIES",
    "Errors",
    "corrupted",
    "estimation_error",
    "library",
    "measure",
    "relative_errors",
    "resilience",
]

KITTI_C = (
    "brightness", "dark", "fog", "frost", "snow", "contrast", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
    "elastic_transform", "color_quant", "gaussian_noise", "impulse_noise", "shot_noise", "iso_noise", "pixelate",
    "jpeg_compression",
)  # fmt: skip
SEVERITIES = (1, 2, 3, 4, 5)
CLEAN = "clean"
SMALLEST = 32  # pixels; the library needs as many on the image's shorter side

Errors = dict[str, dict[str, dict[str, float]]]  # kind -> severity -> metric


def measure(
    predict: Predict,
    truths: GroundTruthSet,
    protocol: DepthProtocol,
    kinds: Sequence[str],
    severities: Sequence[int],
    *,
    canonical_focal: float | None = None,
    known: Errors | None = None,
    store: Callable[[Errors], None] | None = None,
) -> Errors:
    """Return the metrics on clean images (`clean`, severity 0) and for each kind and severity.

    Args:
        predict: see `evaluate_network`.
        truths: images and their true depth.
        protocol: how depth is compared.
        kinds: of corruption.
        severities: of each.
        canonical_focal: see `evaluate_network`.
        known: earlier measurements, which are not repeated.
        store: called with all measurements so far after each kind and severity.
    """
    runs = [(CLEAN, 0), *((kind, severity) for kind in kinds for severity in severities)]
    found: Errors = {kind: dict(by_severity) for kind, by_severity in (known or {}).items()}
    for kind, severity in track(runs, description="corruptions", transient=True):
        if str(severity) in found.get(kind, {}):
            continue
        wrapped = predict if kind == CLEAN else corrupted(predict, kind, severity)
        evaluation = evaluate_network(wrapped, truths, protocol, canonical_focal=canonical_focal, progress=False)
        found.setdefault(kind, {})[str(severity)] = evaluation.mean
        if store is not None:
            store(found)
    return found


def corrupted(predict: Predict, kind: str, severity: int) -> Predict:
    """Corrupt each image before prediction; random numbers depend on image, kind and severity only.

    Raises:
        InputError: an image is too small for the library; raised when it is predicted.
    """
    functions = library()
    corrupt: Callable[..., NDArray[Any]] = functions.corrupt
    # A few have their own random generators, which numpy's seed does not affect.
    function = getattr(functions, kind, None)
    takes_seed = function is not None and "seed" in inspect.signature(function).parameters

    def run(image: Image.Image) -> NDArray[np.float32]:
        if min(image.size) < SMALLEST:
            raise InputError(
                f"the image is {image.width}x{image.height} (width x height); corruptions need at least {SMALLEST} "
                "pixels each way"
            )
        pixels = np.asarray(image)
        seed = zlib.crc32(f"{kind} {severity}".encode(), zlib.crc32(pixels.tobytes()))
        before = np.random.get_state()  # noqa: NPY002 - the library draws from numpy's global generator
        np.random.seed(seed)  # noqa: NPY002
        try:
            more = {"seed": seed} if takes_seed else {}
            changed = corrupt(pixels, corruption_name=kind, severity=severity, **more)
        finally:
            np.random.set_state(before)  # noqa: NPY002
        return predict(Image.fromarray(np.asarray(changed, dtype=np.uint8)))

    return run


def estimation_error(metrics: Mapping[str, float]) -> float:
    """Return the depth estimation error (DEE): the mean of Abs Rel and of 1 - delta1.

    Example:
        >>> estimation_error({"abs_rel": 0.25, "delta1": 0.75})
        0.25
    """
    return (metrics["abs_rel"] + 1 - metrics["delta1"]) / 2


def relative_errors(measured: Errors, base: Errors) -> dict[str, float]:
    """Return each kind's corruption error (DEE over severities relative to the base's), and `mCE`, their mean."""
    found = {kind: _summed(measured[kind]) / _summed(base[kind]) for kind in measured if kind != CLEAN}
    return {**found, "mCE": float(np.mean(list(found.values())))}


def resilience(measured: Errors) -> dict[str, float]:
    """Return each kind's resilience rate (mean 1 - DEE relative to clean images), and `mRR`, their mean."""
    clean = 1 - estimation_error(measured[CLEAN]["0"])
    found = {
        kind: float(np.mean([1 - estimation_error(metrics) for metrics in by_severity.values()])) / clean
        for kind, by_severity in measured.items()
        if kind != CLEAN
    }
    return {**found, "mRR": float(np.mean(list(found.values())))}


def _summed(by_severity: Mapping[str, Mapping[str, float]]) -> float:
    return sum(estimation_error(metrics) for metrics in by_severity.values())


def library() -> Any:
    """Return the library of corruptions.

    Raises:
        InputError: it is not installed.
    """
    return require("imagecorruptions", "corruptions", "corruptions need")
