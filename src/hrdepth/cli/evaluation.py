"""Evaluation commands: evaluate, corruptions, tabulate, compare, odometry, calibrate-scale."""

from __future__ import annotations

from hrdepth.config import (
    CalibrateScaleConfig,
    CompareConfig,
    CorruptionsConfig,
    EvaluateConfig,
    OdometryConfig,
    TabulateConfig,
)
from hrdepth.errors import InputError


def evaluate(config: EvaluateConfig) -> None:
    """Evaluate a network, or predictions of another program, with the Eigen protocol."""
    from hrdepth.evaluation import command

    if config.ray is None:
        command.evaluate(config)
    elif config.disparities is not None:
        raise InputError("--ray goes with --weights: predictions of another program are in one file")
    else:
        from hrdepth.fleet.images import evaluate_images

        command.evaluate(config, evaluate_images)


def corruptions(config: CorruptionsConfig) -> None:
    """Evaluate a network on corrupted images, as KITTI-C does."""
    from hrdepth.evaluation import corruptions

    corruptions.corruptions(config)


def tabulate(config: TabulateConfig) -> None:
    """Show the results of several evaluations in one table, several seeds in one row."""
    from hrdepth.evaluation import tabulate

    tabulate.tabulate(config)


def compare(config: CompareConfig) -> None:
    """Draw networks side by side: disparity, error maps, error by distance, feature maps, learning curves."""
    from hrdepth.report import compare

    print("\n".join(map(str, compare.compare(config))))


def odometry(config: OdometryConfig) -> None:
    """Write the trajectory that a pose network predicts for a video, and its errors if the true trajectory is given."""
    from hrdepth.evaluation import odometry

    odometry.odometry(config)


def calibrate_scale(config: CalibrateScaleConfig) -> None:
    """Determine the metres per unit of depth from known lengths, and store them with the weights."""
    from hrdepth.evaluation import metric_scale

    metric_scale.calibrate_scale(config)
