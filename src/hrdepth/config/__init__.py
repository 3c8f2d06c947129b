"""Every setting of the package: frozen dataclasses with defaults and units, one per YAML section."""

from __future__ import annotations

from hrdepth.config.benchmark import BenchmarkLoadConfig, BenchmarkTrainConfig
from hrdepth.config.data import AugmentConfig, DatasetConfig, GroundTruthConfig, RenderConfig
from hrdepth.config.evaluation import DepthProtocol, EvaluateConfig
from hrdepth.config.figures import CompareConfig
from hrdepth.config.inference import ImportConfig, PredictConfig
from hrdepth.config.network import ModelsConfig, NetworkConfig
from hrdepth.config.odometry import OdometryConfig
from hrdepth.config.preparation import PrepareConfig
from hrdepth.config.scale import CalibrateScaleConfig
from hrdepth.config.training import GuardConfig, LogConfig, ObjectiveConfig, OptimiserConfig, TrainConfig

__all__ = [
    "AugmentConfig",
    "BenchmarkLoadConfig",
    "BenchmarkTrainConfig",
    "CalibrateScaleConfig",
    "CompareConfig",
    "DatasetConfig",
    "DepthProtocol",
    "EvaluateConfig",
    "GroundTruthConfig",
    "GuardConfig",
    "ImportConfig",
    "LogConfig",
    "ModelsConfig",
    "NetworkConfig",
    "ObjectiveConfig",
    "OdometryConfig",
    "OptimiserConfig",
    "PredictConfig",
    "PrepareConfig",
    "RenderConfig",
    "TrainConfig",
]
