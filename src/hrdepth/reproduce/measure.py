"""Measure rows, each of their weights once: reused while weights, true depth and protocol are the same."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.compute import is_out_of_memory
from hrdepth.config import DepthProtocol, NetworkConfig, ReproduceConfig
from hrdepth.errors import MALFORMED, InputError
from hrdepth.evaluation.depth import METRICS, Comparison
from hrdepth.evaluation.edges import edges_installed, is_dense
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.evaluation.extras import Extras
from hrdepth.evaluation.regions import ENLARGED, REGIONS, depth_regions, region_errors
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256, read_json, write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.run_folder import validation_curve
from hrdepth.networks.summary import summarise
from hrdepth.paper import PaperRow
from hrdepth.reproduce.context import MEASURED_FOLDER, Context
from hrdepth.reproduce.plan import run_folder, run_name, stored_network
from hrdepth.reproduce.runs import Weights, find_weights, learned_from, train_missing
from hrdepth.truth import GroundTruth

__all__ = [
    "BY_REGION",
    "EDGES",
    "MEASURED",
    "MeasuredRow",
    "RowMeasurement",
    "by_metric",
    "describe_weights",
    "measure_again",
    "measure_row",
    "open_predictor",
]

log = logging.getLogger(__name__)

# Figures at edges of the true depth, beside the paper's metrics.
EDGES = ("near_edge_abs_rel", "boundary_f1")
# Abs Rel by region of dense true depth and way of enlarging, as in Figure 2.
BY_REGION = tuple(f"abs_rel, {region}, {how}" for how in ENLARGED for region in REGIONS)
MEASURED = (*METRICS, *EDGES, *BY_REGION)


@dataclass(frozen=True)
class RowMeasurement:
    """One weights file on one set.

    Attributes:
        values: by image, each of `MEASURED` (N,M); NaN where an image has none, as sparse true depth no boundaries.
        content: of its file: key, what `describe_weights` returns, metrics, parameters and more.
        weights: the file; None where it is not here any more.
    """

    values: NDArray[np.float64]
    content: Mapping[str, Any]
    weights: Weights | None = None

    @property
    def about(self) -> dict[str, Any]:
        """The content without what was measured by image."""
        return {key: value for key, value in self.content.items() if key != "pictures"}


@dataclass(frozen=True)
class MeasuredRow:
    """A row of the paper, and what was measured with its weights, one a seed.

    Attributes:
        row: the paper's.
        found: by the protocol of the settings, in the order of the seeds; empty where nothing was measured.
        reason: why nothing was, or which seeds are missing and why; or "".
        in_metres: the same weights' measurements by fixed factors to metres, by their scaling in words.
    """

    row: PaperRow
    found: Sequence[RowMeasurement]
    reason: str = ""
    in_metres: Mapping[str, Sequence[RowMeasurement]] = field(default_factory=dict)

    @property
    def by_scaling(self) -> dict[str, Sequence[RowMeasurement]]:
        """All measurements, by their scaling in words; none where nothing was measured."""
        return {"measured": self.found, **self.in_metres} if self.found else {}


@dataclass(frozen=True)
class _EdgesAndRegions(Extras):
    """Metrics at edges and by region, from the prediction that the paper's metrics are measured with."""

    def __call__(self, truth: GroundTruth, found: Comparison) -> dict[str, float]:
        values = super().__call__(truth, found)
        if edges_installed() and is_dense(truth.depth):
            errors = region_errors(truth.depth, found, depth_regions(truth.depth))
            values |= {
                f"abs_rel, {name}, {enlarged}": one for enlarged, by in errors.items() for name, one in by.items()
            }
        return values


def by_metric(values: NDArray[np.float64], names: tuple[str, ...] = MEASURED) -> dict[str, Any]:
    """Return some of the metrics, for JSON, from values (M) or intervals (M,2) of each of `MEASURED`."""
    found = {name: values[MEASURED.index(name)] for name in names}
    return {name: one.tolist() if np.isfinite(one).all() else None for name, one in found.items()}


def measure_row(row: PaperRow, context: Context) -> MeasuredRow:
    """Train what is missing if asked to, and measure what is there.

    Where a run's folder is not there, what was measured of a training by the same settings counts without its weights.

    Raises:
        InputError: as `find_weights` and `train_missing`; or weights or images that cannot be read.
    """
    config = context.config
    earlier = dict[int | None, RowMeasurement]()
    for seed in config.seeds if context.truths is not None and row.name not in context.given else ():
        absent = not run_folder(config, row.name, seed).exists()
        if absent and (known := _measured_before(row, seed, context, config.protocol)):
            earlier[seed] = known
    seeds = [seed for seed in context.seeds if seed not in earlier]
    if seeds and config.train and (row.config is not None or row.name in context.given):
        train_missing(row, context, seeds)
    weights, reason = find_weights(row, context, seeds)
    if context.truths is None and weights:
        return MeasuredRow(row, [], "no true depth was given")
    found = list(earlier.values())
    for file in weights:
        log.info("measuring %s by %s", row.name, file.path)
        try:
            found.append(_measure(row, file, context, config.protocol))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("%s: out of memory while it was measured", file.path)
            reason = "; ".join(filter(None, (reason, f"out of memory while {file.path} was measured")))
    order = {seed: place for place, seed in enumerate(config.seeds)}
    return MeasuredRow(row, sorted(found, key=lambda one: order.get(one.content["seed"], 0)), reason)


def measure_again(
    row: PaperRow, before: RowMeasurement, context: Context, protocol: DepthProtocol
) -> RowMeasurement | None:
    """Measure the same weights by another protocol; None if they are not here any more and were not so measured."""
    if before.weights is not None:
        return _measure(row, before.weights, context, protocol)
    return _measured_before(row, before.content["seed"], context, protocol)


def _measure(row: PaperRow, weights: Weights, context: Context, protocol: DepthProtocol) -> RowMeasurement:
    """Evaluate weights, or read what was measured of them before."""
    assert context.truths is not None
    about = describe_weights(row.name, weights)
    key, stem = _key(about["weights_sha256"], context, protocol), run_name(row.name, weights.seed)
    file = context.folder / MEASURED_FOLDER / f"{stem}-{key[:12]}.json"
    known = _read(file)
    if known is not None and known.content["key"] == key:
        log.info("%s: measured before, on %s", stem, known.content["provenance"]["date"][:10])
        return _updated(file, known, about, weights)  # where the weights are now
    predictor = open_predictor(weights.path, context.config)
    evaluation = evaluate_network(
        predictor.scaled_disparity,
        context.truths,
        protocol,
        canonical_focal=predictor.canonical_focal,
        extras=_EdgesAndRegions(near_edges=True, edges="dense"),
    )
    values = {image.name: {**image.errors, **image.extras} for image in evaluation.rows}
    content = {
        "key": key,
        **about,
        "metres_per_unit": predictor.metres_per_unit,
        "parameters": _parameters(weights.path, about["network"]),
        "data": evaluation.ground_truth,
        "images": len(evaluation.rows),
        "protocol": asdict(protocol),
        "metrics": evaluation.mean,
        "pictures": {image: [found.get(metric, np.nan) for metric in MEASURED] for image, found in values.items()},
        "provenance": provenance(weights.seed),
    }
    write_json(file, content)
    known = _read(file)
    if known is None:
        raise InputError(f"{file} cannot be read back; two images of the true depth have the same name")
    return replace(known, weights=weights)


def open_predictor(path: Path, config: ReproduceConfig) -> Predictor:
    """Return the network of a file, which must predict depth, on the device and runtime of the settings."""
    predictor = Predictor.from_file(path, device=config.device, runtime=config.runtime, trust=config.trust)
    predictor.scale.check_depth()
    return predictor


def _measured_before(
    row: PaperRow, seed: int | None, context: Context, protocol: DepthProtocol
) -> RowMeasurement | None:
    """Return what was measured of the checkpoint of a training by these settings, on the same true depth.

    Its weights need not be here.

    None if it was not measured, or no config gives the row.
    """
    training = learned_from(row, context, seed)
    identity = _training_identity(training)
    files = (context.folder / MEASURED_FOLDER).glob(f"{run_name(row.name, seed)}-*.json") if identity else ()
    for file in sorted(files):
        known = _read(file)
        if known is None or (known.content.get("trained_by"), known.content.get("seed")) != (identity, seed):
            continue
        if Path(known.content["weights"]).stem != context.config.checkpoint:
            continue
        if known.content["key"] == _key(known.content["weights_sha256"], context, protocol):
            return _updated(file, known, {"training": training})  # files of older versions have the hash alone
    return None


def _updated(
    file: Path, known: RowMeasurement, about: Mapping[str, Any], weights: Weights | None = None
) -> RowMeasurement:
    """Add what is now known of the weights to a measurement, and to its file if the row's own settings trained them."""
    content = {**known.content, **about}
    if about["training"] and content != known.content:
        write_json(file, content)
    return RowMeasurement(known.values, content, weights)


def _key(weights: str, context: Context, protocol: DepthProtocol) -> str:
    settings = {"protocol": asdict(protocol), "runtime": context.config.runtime, "metrics": MEASURED}
    return _hash({"weights": weights, "truth": context.identity, **settings})


def _training_identity(training: Mapping[str, Any]) -> str:
    return _hash(training) if training else ""


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def describe_weights(name: str, weights: Weights) -> dict[str, Any]:
    """Describe what is measured or shown of the row of this name: the file, its training and its network.

    Raises:
        InputError: it is not a weights file.
    """
    network, size = stored_network(weights.path)
    return {
        "name": name,
        "seed": weights.seed,
        "given": weights.given,
        "place": weights.place,
        "weights": f"{weights.path.parent.name}/{weights.path.name}",
        "weights_sha256": file_sha256(weights.path),
        "network": network and asdict(network),
        "size": list(size),
        "note": weights.note,
        "training": weights.training,
        "trained_by": _training_identity(weights.training),
        "curve": [] if weights.given else validation_curve(weights.path.parent),
    }


def _read(file: Path) -> RowMeasurement | None:
    """Return what a file holds, whatever its key; None of one that is absent, damaged or of other metrics."""
    try:
        content = read_json(file)
        values = np.array(list(content["pictures"].values()), dtype=np.float64)
        complete = isinstance(content["key"], str) and isinstance(content["weights_sha256"], str)
        if not complete or values.shape != (content["images"], len(MEASURED)):
            return None
    except (*MALFORMED, OSError):
        return None  # it is measured again
    return RowMeasurement(values, content)


def _parameters(path: Path, network: Mapping[str, Any] | None) -> dict[str, int] | None:
    """Count the network's parameters, as they run and as the paper counts; None of an exported file."""
    if path.suffix != ".safetensors" or network is None:
        return None
    found = summarise(NetworkConfig(**network), sizes=())
    return {"run": found.parameters, "as_in_paper": found.parameters_as_in_paper}
