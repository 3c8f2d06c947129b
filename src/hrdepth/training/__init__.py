"""Training: `train(config)`.

train         one run, from its settings to its weights
setup         checks of settings; loaders, networks and objective
loop          the LightningModule: one objective, one optimiser
optimiser     Adam and its learning-rate schedule
state         training checkpoint, resuming, the run's folder
weights       the weights files
guard         stops a training that fails; probable causes
health        statistics and faults of a step, which the guard checks
holes         holes in predicted depth
log           what is logged of a step: metrics, progress, cameras, panels
cameras       which cameras are learned
"""

from hrdepth.training.loop import DepthModule
from hrdepth.training.setup import build_loaders, build_training_objective
from hrdepth.training.train import build_trainer, train

__all__ = ["DepthModule", "build_loaders", "build_trainer", "build_training_objective", "train"]
