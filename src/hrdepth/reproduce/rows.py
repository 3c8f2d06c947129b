"""All measurements of a row: its trainings are made where they are missing, and their weights measured."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hrdepth.config import DepthProtocol, ReproduceConfig
from hrdepth.paper import PaperRow
from hrdepth.reproduce.measure import Measurement, ReproductionContext, measure, measured_before
from hrdepth.reproduce.memory import is_out_of_memory
from hrdepth.reproduce.plan import run_folder
from hrdepth.reproduce.runs import Weights, find_weights, learned_from, train_missing

__all__ = ["MeasuredRow", "measure_otherwise", "measure_row"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredRow:
    """A row's weights and what was measured with them, one a seed.

    Attributes:
        found: by the protocol of the settings, in the order of the seeds.
        reason: why nothing was, or which seeds are missing and why; or "".
        weights: of `found`, each; None where the weights are not here any more.
    """

    found: Sequence[Measurement]
    reason: str = ""
    weights: Sequence[Weights | None] = ()


def measure_row(row: PaperRow, config: ReproduceConfig, context: ReproductionContext) -> MeasuredRow:
    """Train what is missing if asked to, and measure what is there.

    Where a run's folder is not there, what was measured of a training by the same settings counts without its weights.

    Raises:
        InputError: as `find_weights`, `train_missing` and `measure`.
    """
    earlier = _without_weights(row, config, context)
    left = replace(config, seeds=[seed for seed in config.seeds if seed not in earlier])
    weights, reason = list[Weights](), ""
    if left.seeds or not config.seeds:
        if config.train and (row.config is not None or row.name in context.given):
            train_missing(row, left, context.given)
        weights, reason = find_weights(row, left, context.given)
    if context.truths is None and weights:
        return MeasuredRow([], "no true depth was given")
    pairs: list[tuple[Measurement, Weights | None]] = [(one, None) for one in earlier.values()]
    for file in weights:
        log.info("measuring %s by %s", row.name, file.path)
        try:
            pairs.append((measure(row.name, file, context, config, config.protocol), file))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("%s: out of memory while it was measured", file.path)
            reason = "; ".join(filter(None, (reason, f"out of memory while {file.path} was measured")))
    order = {seed: place for place, seed in enumerate(config.seeds)}
    pairs.sort(key=lambda pair: order.get(pair[0].content["seed"], 0))
    return MeasuredRow([one for one, _ in pairs], reason, [file for _, file in pairs])


def measure_otherwise(
    row: PaperRow, one: int, measured: MeasuredRow, config: ReproduceConfig, context: ReproductionContext,
    protocol: DepthProtocol,
) -> Measurement | None:  # fmt: skip
    """Measure the weights of one measurement by another protocol; None if they are not here and never were so."""
    weights, seed = measured.weights[one], measured.found[one].content["seed"]
    if weights is not None:
        return measure(row.name, weights, context, config, protocol)
    return measured_before(row.name, seed, learned_from(row, config, seed, context.given), context, config, protocol)


def _without_weights(row: PaperRow, config: ReproduceConfig, context: ReproductionContext) -> dict[int, Measurement]:
    """Return measurements of trainings by these settings whose weights are not here, by seed."""
    found = {}
    for seed in config.seeds if context.truths is not None and row.name not in context.given else ():
        if not run_folder(config, row.name, seed).exists():
            training = learned_from(row, config, seed, context.given)
            known = measured_before(row.name, seed, training, context, config, config.protocol)
            if known is not None:
                found[seed] = known
    return found
