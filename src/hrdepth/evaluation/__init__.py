"""Evaluation of predicted depth: metrics of arrays, images and whole test sets."""

from hrdepth.evaluation.depth import METRICS, ImageResult, depth_errors, evaluate_image, garg_crop
from hrdepth.evaluation.evaluate import (
    constant_depth_baseline,
    evaluate_disparities,
    evaluate_network,
    mean_prediction_baseline,
)
from hrdepth.evaluation.predictions import read_disparities
from hrdepth.evaluation.results import Evaluation, describe_protocol

__all__ = [
    "METRICS",
    "Evaluation",
    "ImageResult",
    "constant_depth_baseline",
    "depth_errors",
    "describe_protocol",
    "evaluate_disparities",
    "evaluate_image",
    "evaluate_network",
    "garg_crop",
    "mean_prediction_baseline",
    "read_disparities",
]
