"""`hrdepth benchmark evaluate`: the time that the metrics of a test set take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from hrdepth.benchmark.measurement import Measurement, check_benchmark, interleave, report_results
from hrdepth.benchmark.roofline import seconds
from hrdepth.config import BenchmarkEvaluateConfig, DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation import METRICS, Evaluation, depth_errors, evaluate_disparities
from hrdepth.evaluation.depth import resize_disparity, valid_pixels
from hrdepth.io.tables import ResultTable
from hrdepth.truth import GroundTruth, GroundTruthSet

__all__ = ["benchmark_evaluate"]

REFERENCE = "reference: whole images, one after the other"
DIFFERENT = 8  # maps and predictions, used again and again, to fit into any memory
CHECKED = 4  # images whose metrics are compared with the reference's


class Drawn(GroundTruthSet):
    """Sparse true depth, drawn at random."""

    description = "drawn at random"

    def __init__(self, config: BenchmarkEvaluateConfig) -> None:
        self.count = config.images
        self.maps: list[NDArray[np.float32]] = []
        random = np.random.default_rng(0)
        for _ in range(DIFFERENT):
            depth = random.uniform(2, 78, config.size).astype(np.float32)
            depth[random.random(config.size) >= config.density] = 0
            self.maps.append(depth)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> GroundTruth:
        return GroundTruth(f"{index:06d}", None, self.maps[index % DIFFERENT])


def benchmark_evaluate(config: BenchmarkEvaluateConfig) -> list[Measurement]:
    """Measure, print a table, and write JSON and table if the settings name them.

    Raises:
        InputError: settings that cannot work, or metrics that differ from the reference's by more than 1e-6.
    """
    check_benchmark(config, images=1, rounds=1, workers=1, size=1, prediction_size=1)
    if not 0 < config.density <= 1:
        raise InputError(f"density {config.density:g} must lie above 0 and up to 1")
    truths = Drawn(config)
    random = np.random.default_rng(1)
    drawn = [random.uniform(0.02, 1, config.prediction_size).astype(np.float32) for _ in range(DIFFERENT)]
    few = min(CHECKED, config.images)

    def evaluate(workers: int, processes: bool) -> Evaluation:
        return evaluate_disparities(islice(cycle(drawn), len(truths)), truths, workers=workers, processes=processes)

    def reference() -> list[list[float]]:
        return [_reference_metrics(truths[i].depth, drawn[i % DIFFERENT]) for i in range(few)]

    measured = [[row.errors[name] for name in METRICS] for row in evaluate(1, False).rows[:few]]
    difference = float(np.abs(np.subtract(measured, reference())).max())
    if not difference <= 1e-6:
        raise InputError(f"the metrics differ from the reference's by {difference:.1e}; report this with your versions")
    variants: dict[str, Callable[[], object]] = {}
    for one, several in (("thread", "threads"), ("process", "processes"))[: 1 + config.processes]:
        for workers in config.workers:
            variants[f"{workers} {one if workers == 1 else several}"] = partial(evaluate, workers, one == "process")
    variants[REFERENCE] = reference
    timed = {name: partial(seconds, variant) for name, variant in variants.items()}
    times = interleave(timed, config.rounds, "evaluating")
    times[REFERENCE] = [one * config.images / few for one in times[REFERENCE]]
    measurements = [Measurement.of(name, values, "s") for name, values in times.items()]
    table = ResultTable(
        ("variant", "s", "spread", "images/s"),
        tuple((m.name, f"{m.median:.2f}", f"{m.spread:.2f}", f"{config.images / m.median:.0f}") for m in measurements),
        f"Metrics of {config.images} images of {config.size[1]}x{config.size[0]}",
        f"{config.density:.1%} of the pixels have true depth; predictions {config.prediction_size[1]}x"
        f"{config.prediction_size[0]}; differs from the reference by {difference:.1e} at most",
    )
    report_results(config, table, largest_difference=difference, measurements=measurements)
    return measurements


def _reference_metrics(depth: NDArray[np.float32], disparity: NDArray[np.float32]) -> list[float]:
    """Return the metrics of an image straight from the protocol: the whole prediction resized, then masked."""
    protocol = DepthProtocol()
    valid = valid_pixels(depth.astype(np.float64), protocol)
    true = depth[valid].astype(np.float64)
    predicted = 1 / resize_disparity(disparity.astype(np.float64), depth.shape)[valid]
    predicted *= np.median(true) / np.median(predicted)
    return list(depth_errors(true, np.clip(predicted, *protocol.depth_range)).values())
