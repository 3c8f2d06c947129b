"""`hrdepth corruptions`: robustness of a network to corrupted images, as in KITTI-C."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hrdepth.config import CorruptionsConfig
from hrdepth.errors import MALFORMED, InputError
from hrdepth.evaluation.corruption_errors import (
    KITTI_C,
    SEVERITIES,
    Errors,
    estimation_error,
    library,
    measure,
    relative_errors,
    resilience,
)
from hrdepth.evaluation.evaluate import protocol_for
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes.source import Description
from hrdepth.io.files import existing_file, file_sha256, last_parts, output_folder, parse_json, resume, write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable
from hrdepth.registry import lookup
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.truth.base import data_digest
from hrdepth.weights.find import locate_weights

__all__ = ["corruptions"]

BASE = "monodepth2"
RESULT, TABLE = "corruptions.json", "table.md"
# In OUT: the measurements so far and the settings that affect them; removed at the very end, so that as long as it is
# there the same command may write into OUT.
UNFINISHED = "unfinished.json"
# Keys of the facts about a network; see `_network`.
ABOUT = (
    "weights", "weights_sha256", "network", "size", "canonical_focal", "runtime", "precision", "weights_provenance",
)  # fmt: skip


def corruptions(config: CorruptionsConfig) -> dict[str, Any]:
    """Evaluate, print a table, and write corruptions.json and table.md into `config.out`, if given.

    Measurements are stored there after each step, and the same command resumes an interrupted run.

    Returns:
        The content of corruptions.json.

    Raises:
        InputError: the library is missing, a kind is unknown or missing in the library, the base is not a Monodepth2,
            `config.out` holds another result, or as `evaluate_network`.
    """
    kinds, lacking = _checked(config)
    predictor, about = _network(config, config.weights)
    protocol = protocol_for(predictor.scale, depth_protocol(config.data.kind, config.protocol))
    truths = build_ground_truth(config.data)
    shared: dict[str, Any] = {
        "ground_truth": truths.description,
        "images": len(truths),
        "data": data_digest(truths),
        "severities": config.severities,
        "protocol": asdict(protocol),
    }
    base, about_base = (None, None) if config.base is None else _base(config, config.base, kinds, shared)
    settings = {
        "weights": about,
        "base": about_base,
        **shared,
        "kinds": kinds,
        "device": predictor.device,
        "library": [part for part in provenance()["versions"].items() if "imagecorruptions" in part[0]],
    }
    partial = PartialResults(config.out, settings, overwrite=config.overwrite)

    def measured(part: str, predictor: Predictor) -> Errors:
        return measure(
            predictor.scaled_disparity,
            truths,
            protocol,
            kinds,
            config.severities,
            canonical_focal=predictor.canonical_focal,
            known=partial[part],
            store=lambda errors: partial.store(part, errors),
        )

    errors = measured("weights", predictor)
    found: dict[str, Any] = {
        "weights": about["weights"],
        "errors": errors,
        "resilience": resilience(errors),
        "lacking": lacking,
        **shared,
    }
    if base is not None:
        of_base = measured("base", base) if isinstance(base, Predictor) else base
        found |= {"relative_errors": relative_errors(errors, of_base), "base": about_base}
    found["provenance"] = provenance(**about)
    table = _table(found)
    if config.out is not None:
        write_json(Path(config.out) / RESULT, found)
        table.write(Path(config.out) / TABLE)
    table.show(config.format)
    partial.done()
    return found


def _checked(config: CorruptionsConfig) -> tuple[list[str], list[str]]:
    """Return the kinds to measure, and those of KITTI-C that the library lacks."""
    known = set(library().get_corruption_names("all"))
    lacking = [kind for kind in KITTI_C if kind not in known]
    for kind in config.kinds or []:
        lookup(dict.fromkeys(KITTI_C), kind, "corruption")
        if kind in lacking:
            raise InputError(f"imagecorruptions has no '{kind}'; of KITTI-C's kinds it lacks {', '.join(lacking)}")
    kinds = config.kinds or [kind for kind in KITTI_C if kind in known]
    if not config.severities or not set(config.severities) <= set(SEVERITIES):
        raise InputError(f"severities {config.severities}: give some of 1 to 5")
    if config.protocol.post_process:
        raise InputError("flip post-processing would corrupt the mirrored image in another way; leave it out")
    return kinds, lacking


def _network(config: CorruptionsConfig, source: str) -> tuple[Predictor, dict[str, Any]]:
    """Return a predictor, and facts about it for the results."""
    weights = locate_weights(source)
    predictor = Predictor.from_file(weights, **config.keywords())
    described = getattr(predictor.network, "description", Description())
    # An OpenVINO model has its weights in a second file.
    file = weights.with_suffix(".bin") if weights.suffix == ".xml" else weights
    return predictor, {
        "weights": weights.name,
        "weights_sha256": file_sha256(file),
        "network": described.network,
        "size": list(predictor.size),
        "canonical_focal": predictor.canonical_focal,
        "runtime": predictor.runtime,
        "precision": predictor.precision,
        "weights_provenance": described.provenance,
    }


def _base(
    config: CorruptionsConfig, source: str, kinds: Sequence[str], now: Mapping[str, Any]
) -> tuple[Predictor | Errors, dict[str, Any]]:
    """Return the base of mCE: a network to measure, or its errors, and facts about it.

    Raises:
        InputError: it is not a Monodepth2, or was measured in another way.
    """
    if not source.endswith(".json"):
        predictor, about = _network(config, source)
        return predictor, _checked_base(about, source)
    path = existing_file(source, "the base's results")
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        same = all(content[name] == now[name] for name in ("images", "ground_truth", "protocol"))
        same &= content.get("data", now["data"]) == now["data"]  # earlier versions did not write it
        errors = {
            kind: {str(severity): content["errors"][kind][str(severity)] for severity in config.severities}
            for kind in kinds
        }
        about = {name: content["provenance"].get(name) for name in ABOUT}
    except MALFORMED as error:
        raise InputError(f"{path} is not a corruptions.json with these kinds and severities ({error!r})") from error
    if not same:
        raise InputError(f"{path} was measured with other frames or another protocol; give the base's weights")
    return errors, {**_checked_base(about, source), "measured_in": last_parts(path.resolve())}


def _checked_base(about: dict[str, Any], source: str) -> dict[str, Any]:
    name = (about["network"] or {}).get("name")
    if name != BASE:
        what = f"is of a network '{name}'" if name else "does not name its network"
        raise InputError(f"mCE compares with a network '{BASE}', and the base {source} {what}; give its weights")
    return about


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
    against = f"CE: DEE as a share of that of {found['base']['weights']}" if relative else "no CE: --base was not given"
    lacking = f"; the library lacks {', '.join(found['lacking'])}" if found["lacking"] else ""
    return ResultTable(
        ("corruption", "Abs Rel", "δ < 1.25", "DEE", "CE", "RR"),
        tuple(rows),
        f"{found['weights']}, mean over severities {', '.join(map(str, found['severities']))}",
        f"{found['images']} images. {against}. RR: 1 - DEE as a share of that on clean images{lacking}",
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


class PartialResults:
    """Measurements so far, by part, JSON-able; stored so that an interrupted run can be resumed.

    Args:
        folder: of the results; None stores nothing.
        settings: that affect the measurements, JSON-able. Measurements with other settings are not resumed.
        overwrite: start again if the folder has other content.

    Raises:
        InputError: the folder has content, but no partial results of these settings, and `overwrite` is false; or it
            cannot be written.
    """

    def __init__(self, folder: str | Path | None, settings: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self._settings: dict[str, Any] = parse_json(json.dumps(settings))  # tuples become lists, as in the file
        self._measured: dict[str, Any] = {}
        self._file = None if folder is None else Path(folder) / UNFINISHED
        if self._file is None or folder is None:
            return
        output_folder(folder, overwrite=overwrite or self._file.is_file())
        if self._file.is_file():
            begun = resume(self._file, {"settings": self._settings}, overwrite=overwrite)
            self._measured = {} if begun is None else begun["measured"]

    def __getitem__(self, part: str) -> dict[str, Any]:
        """Return the measurements of a part so far."""
        found: dict[str, Any] = self._measured.get(part, {})
        return found

    def store(self, part: str, measured: Mapping[str, Any]) -> None:
        """Store the measurements of a part so far."""
        self._measured[part] = measured
        if self._file is not None:
            write_json(self._file, {"settings": self._settings, "measured": self._measured})

    def done(self) -> None:
        """Remove the file, once the results are written."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
