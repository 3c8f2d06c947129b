"""What rows are measured with, and each of them once: reused while weights, true depth and protocol are the same."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import DepthProtocol, NetworkConfig, ReproduceConfig, ReproduceRegionsConfig
from hrdepth.errors import MALFORMED, InputError
from hrdepth.evaluation.depth import METRICS, ImageResult
from hrdepth.evaluation.edges import edges_installed, is_dense
from hrdepth.evaluation.extras import Extras
from hrdepth.evaluation.predictions import predict_image
from hrdepth.evaluation.results import mean_over_images
from hrdepth.evaluation.run import evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256, output_folder, read_json, write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.run_folder import validation_curve
from hrdepth.networks.summary import summarise
from hrdepth.paper import row_of
from hrdepth.registry import lookup
from hrdepth.reproduce.plan import content_hash, stored_network
from hrdepth.reproduce.regions import ENLARGED, REGIONS, depth_regions, enlarged_errors
from hrdepth.reproduce.runs import Given, Weights, given_weights
from hrdepth.truth import GroundTruthSet, build_ground_truth
from hrdepth.truth.base import data_digest

__all__ = [
    "BY_REGION",
    "EDGES",
    "MEASURED",
    "Measurement",
    "ReproductionContext",
    "describe",
    "measure",
    "measured_before",
    "open_context",
]

log = logging.getLogger(__name__)

# Figures at edges of the true depth, beside the paper's metrics.
EDGES = ("near_edge_abs_rel", "boundary_f1")
# Abs Rel by region of dense true depth and way of enlarging, as in Figure 2.
BY_REGION = tuple(f"abs_rel, {region}, {how}" for how in ENLARGED for region in REGIONS)
MEASURED = (*METRICS, *EDGES, *BY_REGION)
GRADIENT, EDGE_WIDTH = ReproduceRegionsConfig.gradient, ReproduceRegionsConfig.edge_width
FOLDER = "measured"


@dataclass(frozen=True)
class Measurement:
    """One weights file on one set.

    Attributes:
        values: by image, each of `MEASURED` (N,M); NaN where an image has none, as sparse true depth no boundaries.
        content: of its file: key, what `describe` returns, metrics, parameters and more.
        weights: the file; None where it is not here any more.
    """

    values: NDArray[np.float64]
    content: Mapping[str, Any]
    weights: Weights | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """Means over images (M)."""
        return mean_over_images(self.values)


@dataclass(frozen=True)
class ReproductionContext:
    """What the rows of a table or figure have in common.

    Attributes:
        folder: of results.
        given: weights by name.
        truths: images with true depth; None measures nothing.
        identity: their `data_digest`.
        wanted: names of the rows to measure and train.
    """

    folder: Path
    given: Given
    truths: GroundTruthSet | None
    identity: str
    wanted: frozenset[str]


def open_context(config: ReproduceConfig, names: Collection[str]) -> ReproductionContext:
    """Check the settings, render missing drives, find the true depth, make the folder.

    Args:
        config: the settings.
        names: of all rows.

    Raises:
        InputError: a name that no row has, weights without true depth, or missing data.
    """
    given = given_weights(config.weights)
    for name in config.row_training:
        row_of(name)
    for name in given:
        lookup(dict.fromkeys(names), name, "row")
    wanted = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in config.rows))
    if config.rows and not wanted:
        raise InputError(f"rows {', '.join(config.rows)}: no row has such a name; there are {', '.join(sorted(names))}")
    if given and config.data is None:
        raise InputError("weights are given, but no true depth to compare them with; give --data.kind and --data.root")
    for drive in (one for several in config.render for one in several.drives()):
        from hrdepth.synthetic import render_drive

        render_drive(**drive)
    truths = None if config.data is None else build_ground_truth(config.data)
    identity = "" if truths is None else data_digest(truths)
    return ReproductionContext(_results_folder(config), given, truths, identity, wanted | given.keys())


def _results_folder(config: ReproduceConfig) -> Path:
    """Make the folder of results, or reuse that of earlier commands."""
    known = (Path(config.out) / FOLDER).is_dir()
    folder = output_folder(config.out, overwrite=config.overwrite or known)
    (folder / FOLDER).mkdir(exist_ok=True)
    return folder


def measure(
    name: str, weights: Weights, context: ReproductionContext, config: ReproduceConfig, protocol: DepthProtocol
) -> Measurement:
    """Evaluate weights, or read what was measured before.

    Args:
        name: of the row.
        weights: the file.
        context: has the images with true depth.
        config: names device and runtime.
        protocol: how depth is compared.

    Raises:
        InputError: weights or images cannot be read, or no image has true depth.
    """
    assert context.truths is not None
    about = describe(name, weights)
    key = _key(about["weights_sha256"], context, config, protocol)
    seed = _seed(weights.seed)
    file = context.folder / FOLDER / f"{name}{seed}-{key[:12]}.json"
    known = _read(file)
    if known is not None and known.content["key"] == key:
        log.info("%s%s: measured before, on %s", name, seed, known.content["provenance"]["date"][:10])
        return _updated(file, known, about, weights)  # where the weights are now
    predictor = Predictor.from_file(weights.path, device=config.device, runtime=config.runtime, trust=config.trust)
    predictor.scale.check_depth()
    evaluation = evaluate_network(
        predictor.scaled_disparity,
        context.truths,
        protocol,
        canonical_focal=predictor.canonical_focal,
        extras=Extras(near_edges=True, edges="dense"),
    )
    regions = _errors_by_region(predictor, context.truths, protocol)
    content = {
        "key": key,
        **about,
        "metres_per_unit": predictor.metres_per_unit,
        "parameters": _parameters(weights.path, about["network"]),
        "data": evaluation.ground_truth,
        "images": len(evaluation.rows),
        "protocol": asdict(protocol),
        "metrics": evaluation.mean,
        "pictures": {row.name: _values(row, regions.get(row.name, {})) for row in evaluation.rows},
        "provenance": provenance(weights.seed),
    }
    write_json(file, content)
    known = _read(file)
    if known is None:
        raise InputError(f"{file} cannot be read back; two images of the true depth have the same name")
    return replace(known, weights=weights)


def measured_before(
    name: str, seed: int | None, training: Mapping[str, Any], context: ReproductionContext, config: ReproduceConfig,
    protocol: DepthProtocol,
) -> Measurement | None:  # fmt: skip
    """Return what an earlier command measured of weights that need not be here any more, on the same true depth.

    Args:
        name: of the row.
        seed: of its training.
        training: see `learned_from`; a measurement of weights of another training is not meant.
        context: has the images with true depth.
        config: names the runtime.
        protocol: how depth is compared.
    """
    identity = _training_identity(training)
    for file in sorted((context.folder / FOLDER).glob(f"{name}{_seed(seed)}-*.json")) if identity else ():
        known = _read(file)
        if known is None or (known.content.get("trained_by"), known.content.get("seed")) != (identity, seed):
            continue
        if known.content["key"] == _key(known.content["weights_sha256"], context, config, protocol):
            return _updated(file, known, {"training": training})  # files of older versions have the hash alone
    return None


def _updated(file: Path, known: Measurement, about: Mapping[str, Any], weights: Weights | None = None) -> Measurement:
    """Add what is now known of the weights to a measurement, and to its file if the row's own settings trained them."""
    content = {**known.content, **about}
    if about["training"] and content != known.content:
        write_json(file, content)
    return Measurement(known.values, content, weights)


def _key(weights: str, context: ReproductionContext, config: ReproduceConfig, protocol: DepthProtocol) -> str:
    settings = {"truth": context.identity, "protocol": asdict(protocol), "runtime": config.runtime, "metrics": MEASURED}
    return content_hash({"weights": weights, **settings})


def _training_identity(training: Mapping[str, Any]) -> str:
    return content_hash(training) if training else ""


def _seed(seed: int | None) -> str:
    return "" if seed is None else f"-seed{seed}"


def describe(name: str, weights: Weights) -> dict[str, Any]:
    """Describe what is measured or shown: the file, its training and its network.

    Args:
        name: of the row.
        weights: the file.

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


def _read(file: Path) -> Measurement | None:
    """Return what a file holds, whatever its key; None of one that is absent, damaged or of other metrics."""
    try:
        content = read_json(file)
        values = np.array(list(content["pictures"].values()), dtype=np.float64)
        complete = isinstance(content["key"], str) and isinstance(content["weights_sha256"], str)
        if not complete or values.shape != (content["images"], len(MEASURED)):
            return None
    except (*MALFORMED, OSError):
        return None  # it is measured again
    return Measurement(values, content)


def _errors_by_region(
    predictor: Predictor, truths: GroundTruthSet, protocol: DepthProtocol
) -> dict[str, dict[str, float]]:
    """Return each of `BY_REGION` by image; nothing of sparse true depth."""
    found: dict[str, dict[str, float]] = {}
    for truth in (one for one in truths if edges_installed() and is_dense(one.depth)):
        masks = depth_regions(truth.depth, GRADIENT, EDGE_WIDTH)
        small = predict_image(predictor.scaled_disparity, truth, protocol, predictor.canonical_focal)
        errors = enlarged_errors(truth.depth, np.asarray(small, np.float64), masks, protocol)
        found[truth.name] = {f"abs_rel, {name}, {how}": one for how, by in errors.items() for name, one in by.items()}
    return found


def _values(row: ImageResult, regions: Mapping[str, float]) -> list[float | None]:
    """Return an image's value of each of `MEASURED`, None for NaN, which JSON does not have."""
    values = [float({**row.errors, **row.extras, **regions}.get(metric, np.nan)) for metric in MEASURED]
    return [value if np.isfinite(value) else None for value in values]


def _parameters(path: Path, network: Mapping[str, Any] | None) -> dict[str, int] | None:
    """Count the network's parameters, as they run and as the paper counts; None of an exported file."""
    if path.suffix != ".safetensors" or network is None:
        return None
    found = summarise(NetworkConfig(**network), sizes=())
    return {"run": found.parameters, "as_in_paper": found.parameters_as_in_paper}
