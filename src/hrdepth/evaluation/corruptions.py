"""How much a network loses on corrupted pictures, in the manner of KITTI-C.

Source: Kong et al., RoboDepth: Robust Out-of-Distribution Depth Estimation under Corruptions, NeurIPS 2023, section 3;
the corruptions themselves: Hendrycks, Dietterich, Benchmarking Neural Network Robustness, ICLR 2019, through the
package imagecorruptions (Michaelis et al., 2019).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from hrdepth.config import DepthProtocol
from hrdepth.config.robustness import CorruptionsConfig
from hrdepth.data.ground_truth import GroundTruthSet, build_ground_truth
from hrdepth.errors import InputError
from hrdepth.evaluation.extra_packages import extra_module
from hrdepth.evaluation.run import Predict, evaluate_network
from hrdepth.files import existing_file, output_folder, write_json
from hrdepth.predictor import Predictor
from hrdepth.provenance import provenance
from hrdepth.registry import lookup
from hrdepth.tables import ResultTable

__all__ = ["KITTI_C", "corrupted", "corruptions", "estimation_error", "measure", "relative_errors", "resilience"]

KITTI_C = (
    "brightness", "dark", "fog", "frost", "snow", "contrast", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
    "elastic_transform", "color_quant", "gaussian_noise", "impulse_noise", "shot_noise", "iso_noise", "pixelate",
    "jpeg_compression",
)  # fmt: skip
SEVERITIES = (1, 2, 3, 4, 5)
CLEAN = "clean"

Errors = dict[str, dict[str, dict[str, float]]]  # kind -> severity -> metric


def corruptions(config: CorruptionsConfig) -> dict[str, Any]:
    """Evaluate, print a table, and write corruptions.json and table.md where `config.out` says so.

    Returns:
        What corruptions.json holds.

    Raises:
        InputError: the library is missing, a kind is unknown or lacking, or as `evaluate_network`.
    """
    kinds, lacking = _checked(config)
    truths = build_ground_truth(config.data)
    if config.out is not None:
        output_folder(config.out, overwrite=config.overwrite)
    measured = measure(_predictor(config, config.weights), truths, config.protocol, kinds, config.severities)
    base = _base(config, truths, kinds)
    found: dict[str, Any] = {
        "weights": Path(config.weights).name,
        "errors": measured,
        "resilience": resilience(measured),
        "lacking": lacking,
        "ground_truth": truths.description,
        "images": len(truths),
        "severities": config.severities,
        "protocol": asdict(config.protocol),
    }
    if base is not None:
        found |= {"relative_errors": relative_errors(measured, base), "base": Path(str(config.base)).name}
    table = _table(found)
    table.show(config.format)
    if config.out is not None:
        table.write(Path(config.out) / "table.md")
        write_json(Path(config.out) / "corruptions.json", {**found, "provenance": provenance()})
    return found


def measure(
    predict: Predict, truths: GroundTruthSet, protocol: DepthProtocol, kinds: Sequence[str], severities: Sequence[int]
) -> Errors:
    """Return the metrics on clean pictures (`clean`, severity 0) and for each kind and severity."""
    runs = [(CLEAN, 0), *((kind, severity) for kind in kinds for severity in severities)]
    found: Errors = {}
    for kind, severity in track(runs, description="corruptions", transient=True):
        wrapped = predict if kind == CLEAN else corrupted(predict, kind, severity)
        found.setdefault(kind, {})[str(severity)] = evaluate_network(wrapped, truths, protocol, progress=False).mean
    return found


def corrupted(predict: Predict, kind: str, severity: int) -> Predict:
    """Corrupt each picture before it is predicted; what is drawn depends on picture, kind and severity alone."""
    corrupt: Callable[..., NDArray[Any]] = _library().corrupt

    def run(image: Image.Image) -> NDArray[np.float32]:
        pixels = np.asarray(image)
        before = np.random.get_state()  # noqa: NPY002 - the library draws from numpy's global generator
        np.random.seed(zlib.crc32(f"{kind} {severity}".encode(), zlib.crc32(pixels.tobytes())))  # noqa: NPY002
        try:
            changed = corrupt(pixels, corruption_name=kind, severity=severity)
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
    """Return each kind's corruption error, the DEE over severities as a share of the base's, and `mCE`, their mean."""
    found = {kind: _summed(measured[kind]) / _summed(base[kind]) for kind in measured if kind != CLEAN}
    return {**found, "mCE": float(np.mean(list(found.values())))}


def resilience(measured: Errors) -> dict[str, float]:
    """Return each kind's resilience rate, mean 1 - DEE as a share of that on clean pictures, and `mRR`, their mean."""
    clean = 1 - estimation_error(measured[CLEAN]["0"])
    found = {
        kind: float(np.mean([1 - estimation_error(metrics) for metrics in by_severity.values()])) / clean
        for kind, by_severity in measured.items()
        if kind != CLEAN
    }
    return {**found, "mRR": float(np.mean(list(found.values())))}


def _summed(by_severity: Mapping[str, Mapping[str, float]]) -> float:
    return sum(estimation_error(metrics) for metrics in by_severity.values())


def _library() -> Any:
    return extra_module("imagecorruptions", "corruptions", "corruptions")


def _checked(config: CorruptionsConfig) -> tuple[list[str], list[str]]:
    """Return the kinds to measure, and those of KITTI-C that the library lacks."""
    known = set(_library().get_corruption_names("all"))
    lacking = [kind for kind in KITTI_C if kind not in known]
    for kind in config.kinds or []:
        lookup(dict.fromkeys(KITTI_C), kind, "corruption")
        if kind in lacking:
            raise InputError(f"imagecorruptions has no '{kind}'; of KITTI-C's kinds it lacks {', '.join(lacking)}")
    kinds = config.kinds or [kind for kind in KITTI_C if kind in known]
    if not config.severities or not set(config.severities) <= set(SEVERITIES):
        raise InputError(f"severities {config.severities}: give some of 1 to 5")
    if config.protocol.post_process:
        raise InputError("flip post-processing would corrupt the mirrored picture in another way; leave it out")
    return kinds, lacking


def _predictor(config: CorruptionsConfig, weights: str) -> Predict:
    return Predictor.from_file(
        weights, size=config.size, device=config.device, runtime=config.runtime, precision=config.precision,
        threads=config.threads,
    ).scaled_disparity  # fmt: skip


def _base(config: CorruptionsConfig, truths: GroundTruthSet, kinds: Sequence[str]) -> Errors | None:
    if config.base is None:
        return None
    if not config.base.endswith(".json"):
        return measure(_predictor(config, config.base), truths, config.protocol, kinds, config.severities)
    path = existing_file(config.base, "the base's results")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        now = {"images": len(truths), "ground_truth": truths.description, "protocol": asdict(config.protocol)}
        same = all(content[name] == value for name, value in now.items())
        errors = {
            kind: {str(severity): content["errors"][kind][str(severity)] for severity in config.severities}
            for kind in kinds
        }
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no corruptions.json with these kinds and severities ({error!r})") from error
    if not same:
        raise InputError(f"{path} was measured on other frames or by another protocol; give the base's weights instead")
    return errors


def _table(found: Mapping[str, Any]) -> ResultTable:
    relative, rows = found.get("relative_errors", {}), []
    for kind, by_severity in found["errors"].items():
        abs_rel, delta1, error = (
            float(np.mean([value(metrics) for metrics in by_severity.values()]))
            for value in (lambda m: m["abs_rel"], lambda m: m["delta1"], estimation_error)
        )
        shares = [_percent(relative.get(kind)), _percent(found["resilience"].get(kind))]
        rows.append((kind.replace("_", " "), f"{abs_rel:.3f}", f"{delta1:.3f}", f"{error:.3f}", *shares))
    rows.append(("mean", "", "", "", _percent(relative.get("mCE")), _percent(found["resilience"]["mRR"])))
    against = f"CE: DEE as a share of that of {found['base']}" if relative else "no CE: --base was not given"
    lacking = f"; the library lacks {', '.join(found['lacking'])}" if found["lacking"] else ""
    return ResultTable(
        ("corruption", "Abs Rel", "δ < 1.25", "DEE", "CE", "RR"),
        tuple(rows),
        f"{found['weights']}, mean over severities {', '.join(map(str, found['severities']))}",
        f"{found['images']} pictures. {against}. RR: 1 - DEE as a share of that on clean pictures{lacking}",
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
