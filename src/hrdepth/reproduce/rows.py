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

__all__ = ["MeasuredRow", "measure_again", "measure_row"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MeasuredRow:
    """What was measured with a row's weights, one a seed.

    Attributes:
        found: by the protocol of the settings, in the order of the seeds.
        reason: why nothing was, or which seeds are missing and why; or "".
    """

    found: Sequence[Measurement]
    reason: str = ""


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
    found = list(earlier.values())
    for file in weights:
        log.info("measuring %s by %s", row.name, file.path)
        try:
            found.append(measure(row.name, file, context, config, config.protocol))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            log.warning("%s: out of memory while it was measured", file.path)
            reason = "; ".join(filter(None, (reason, f"out of memory while {file.path} was measured")))
    order = {seed: place for place, seed in enumerate(config.seeds)}
    return MeasuredRow(sorted(found, key=lambda one: order.get(one.content["seed"], 0)), reason)


def measure_again(
    row: PaperRow, before: Measurement, config: ReproduceConfig, context: ReproductionContext, protocol: DepthProtocol
) -> Measurement | None:
    """Measure the same weights by another protocol; None if they are not here any more and were not so measured."""
    if before.weights is not None:
        return measure(row.name, before.weights, context, config, protocol)
    seed = before.content["seed"]
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
