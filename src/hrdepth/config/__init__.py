"""Every setting of the package: frozen dataclasses with defaults and units, one per YAML section."""

from __future__ import annotations

from hrdepth.config.app import AppConfig, UploadLimits
from hrdepth.config.app_benchmark import BenchmarkAppConfig
from hrdepth.config.archives import (
    PrepareCityscapesConfig,
    PrepareKittiConfig,
    PrepareOdometryConfig,
    PublishedDataConfig,
)
from hrdepth.config.benchmark import BenchmarkLoadConfig, BenchmarkTrainConfig
from hrdepth.config.data import AugmentConfig, DatasetConfig, GroundTruthConfig, RenderConfig
from hrdepth.config.diagnosis import DiagnoseConfig
from hrdepth.config.evaluation import DepthProtocol, EvaluateConfig
from hrdepth.config.export import ExportConfig
from hrdepth.config.figures import CompareConfig
from hrdepth.config.inference import ImportConfig, PredictConfig
from hrdepth.config.inference_benchmark import (
    BenchmarkEvaluateConfig,
    BenchmarkExportConfig,
    BenchmarkPredictConfig,
)
from hrdepth.config.intrinsics import IntrinsicsConfig
from hrdepth.config.network import ModelsConfig, NetworkConfig
from hrdepth.config.odometry import OdometryConfig
from hrdepth.config.packing import PackConfig
from hrdepth.config.preparation import PrepareConfig, PrepareHintsConfig
from hrdepth.config.report import ReportConfig
from hrdepth.config.reproduction import (
    ReproduceConfig,
    ReproduceFigureConfig,
    ReproduceRegionsConfig,
    ReproduceTableConfig,
)
from hrdepth.config.robustness import CorruptionsConfig, TabulateConfig
from hrdepth.config.scale import CalibrateScaleConfig
from hrdepth.config.training import GuardConfig, LogConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from hrdepth.config.video import DoctorConfig, PrepareVideoConfig

__all__ = [
    "AppConfig",
    "AugmentConfig",
    "BenchmarkAppConfig",
    "BenchmarkEvaluateConfig",
    "BenchmarkExportConfig",
    "BenchmarkLoadConfig",
    "BenchmarkPredictConfig",
    "BenchmarkTrainConfig",
    "CalibrateScaleConfig",
    "CompareConfig",
    "CorruptionsConfig",
    "DatasetConfig",
    "DepthProtocol",
    "DiagnoseConfig",
    "DoctorConfig",
    "EvaluateConfig",
    "ExportConfig",
    "GroundTruthConfig",
    "GuardConfig",
    "ImportConfig",
    "IntrinsicsConfig",
    "LogConfig",
    "ModelsConfig",
    "NetworkConfig",
    "ObjectiveConfig",
    "OdometryConfig",
    "OptimiserConfig",
    "PackConfig",
    "PredictConfig",
    "PrepareCityscapesConfig",
    "PrepareConfig",
    "PrepareHintsConfig",
    "PrepareKittiConfig",
    "PrepareOdometryConfig",
    "PrepareVideoConfig",
    "PublishedDataConfig",
    "RenderConfig",
    "ReportConfig",
    "ReproduceConfig",
    "ReproduceFigureConfig",
    "ReproduceRegionsConfig",
    "ReproduceTableConfig",
    "TabulateConfig",
    "TrainConfig",
    "UploadLimits",
]
