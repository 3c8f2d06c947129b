"""HR-Depth: self-supervised monocular depth, from a video to a network that predicts depth from one image.

Public names are loaded on first use, so that `import hrdepth` and `hrdepth --help` stay fast.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from hrdepth.errors import InputError as InputError
    from hrdepth.inference.predictor import Prediction as Prediction
    from hrdepth.inference.predictor import Predictor as Predictor
    from hrdepth.weights.checkpoint import load_network as load_network
    from hrdepth.weights.checkpoint import load_pose_network as load_pose_network

# Imports of ONNX Runtime and OpenVINO would begin to send what is run to their makers, under an identifier that they
# leave in the user's folder. OpenVINO has no variable against it, but does without the package that sends.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_HOME = {
    "InputError": "errors",
    "Prediction": "inference.prediction",
    "Predictor": "inference.predictor",
    "load_network": "weights.checkpoint",
    "load_pose_network": "weights.checkpoint",
}
_MODULES = {
    "checkpoints": "weights.checkpoint",
    "evaluation": "evaluation",
    "geometry": "geometry",
    "losses": "losses",
    "media": "io.media",
    "visualize": "io.visualize",
}

__all__ = ["InputError", "Prediction", "Predictor", "__version__", "load_network", "load_pose_network"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    try:
        if name in _HOME:
            return getattr(importlib.import_module(f"hrdepth.{_HOME[name]}"), name)
        if name in _MODULES:
            return importlib.import_module(f"hrdepth.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        from hrdepth.errors import missing_package

        raise missing_package(error, f"hrdepth.{name} needs") or error from error
    raise AttributeError(f"module 'hrdepth' has no attribute '{name}'")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("hrdepth")
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
