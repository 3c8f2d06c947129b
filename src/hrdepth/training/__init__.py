"""Training: `train(config)`."""

from hrdepth.training.loop import DepthModule
from hrdepth.training.setup import build_loaders, build_training_objective
from hrdepth.training.train import build_trainer, train

__all__ = ["DepthModule", "build_loaders", "build_trainer", "build_training_objective", "train"]
