"""HR-Depth: self-supervised monocular depth, from a video to a network that sees depth in one picture.

Public names are loaded on first use, so that `import hrdepth` and `hrdepth --help` stay fast.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrdepth.checkpoints import load_network as load_network
    from hrdepth.checkpoints import load_pose_network as load_pose_network
    from hrdepth.errors import InputError as InputError
    from hrdepth.predictor import Prediction as Prediction
    from hrdepth.predictor import Predictor as Predictor

try:
    __version__ = version("hrdepth")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

_HOME = {
    "InputError": "errors",
    "Prediction": "predictor",
    "Predictor": "predictor",
    "load_network": "checkpoints",
    "load_pose_network": "checkpoints",
}
_MODULES = ("checkpoints", "evaluation", "geometry", "losses", "media", "visualize")

__all__ = ["InputError", "Prediction", "Predictor", "__version__", "load_network", "load_pose_network"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hrdepth.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"hrdepth.{name}")
    raise AttributeError(f"module 'hrdepth' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
