"""What a network is worth: evaluate, corruptions, tabulate, compare, odometry, calibrate-scale."""

from __future__ import annotations

from hrdepth.config import (
    CalibrateScaleConfig,
    CompareConfig,
    CorruptionsConfig,
    EvaluateConfig,
    OdometryConfig,
    TabulateConfig,
)

__all__ = ["calibrate_scale", "compare", "corruptions", "evaluate", "odometry", "tabulate"]


def evaluate(config: EvaluateConfig) -> None:
    """Evaluate a network, or predictions made elsewhere, by the Eigen protocol."""
    from hrdepth.evaluation.command import evaluate as run

    run(config)


def corruptions(config: CorruptionsConfig) -> None:
    """Evaluate a network on corrupted images, in KITTI-C's manner."""
    from hrdepth.evaluation.corruptions import corruptions as run

    run(config)


def tabulate(config: TabulateConfig) -> None:
    """Put the results of several evaluations into one table, several seeds into one row."""
    from hrdepth.evaluation.tabulate import tabulate as run

    run(config)


def compare(config: CompareConfig) -> None:
    """Draw networks beside each other: disparity, error maps, error by distance, feature maps, learning curves."""
    from hrdepth.report.compare import compare as run

    for path in run(config):
        print(path)


def odometry(config: OdometryConfig) -> None:
    """Write the trajectory that a pose network sees in a video, and its errors where the true one is known."""
    from hrdepth.evaluation.odometry import odometry as run

    run(config)


def calibrate_scale(config: CalibrateScaleConfig) -> None:
    """Find out what a unit of depth is in metres, from known lengths, and store it with the weights."""
    from hrdepth.evaluation.metric_scale import calibrate_scale as run

    run(config)
