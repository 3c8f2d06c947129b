"""Training: `train(config)`.

train         one run, from its settings to its weights
setup         checked settings, loaders, networks and objective
loop          what Lightning runs: one objective, one optimiser
optimiser     Adam and the course of its learning rate
state         training checkpoint, resumption, the run's folder
weights       the weights files
guard         stops a run that goes wrong, by its `health`
log           metrics, progress, panels
cameras       which cameras are learned
diagnosing    why a training fails
"""

from hrdepth.training.loop import DepthModule
from hrdepth.training.setup import build_loaders, build_training_objective
from hrdepth.training.train import build_trainer, train

__all__ = ["DepthModule", "build_loaders", "build_trainer", "build_training_objective", "train"]
