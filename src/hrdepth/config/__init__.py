"""Every setting of the package: frozen dataclasses with defaults and units, one a section of a YAML file."""

from hrdepth.config.benchmark import *
from hrdepth.config.data import *
from hrdepth.config.evaluation import *
from hrdepth.config.inference import *
from hrdepth.config.networks import *
from hrdepth.config.preparation import *
from hrdepth.config.report import *
from hrdepth.config.reproduction import *
from hrdepth.config.training import *
from hrdepth.config.weights import *
