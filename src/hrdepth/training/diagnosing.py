"""Find probable causes of a failure: when the guard stops, at the end of a training, and in a run's folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from hrdepth.check.diagnosis import diagnose
from hrdepth.check.finding import Finding
from hrdepth.config import TrainConfig
from hrdepth.config.files import read_train_config
from hrdepth.data import build_mix
from hrdepth.data.mixing import Mix
from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance
from hrdepth.objectives import Objective
from hrdepth.training.loop import DepthModule
from hrdepth.training.setup import build_training_objective

__all__ = ["DiagnosisReport", "diagnose_run", "find_causes"]

log = logging.getLogger(__name__)

DIAGNOSIS = "diagnosis.json"


def find_causes(objective: Objective, training: Mix, networks: bool = True) -> list[Finding]:
    """Look for causes in a run's training data, without augmentation, and in its networks.

    Args:
        objective: with its networks.
        training: its data.
        networks: see `diagnosis.diagnose`.
    """
    return diagnose(objective, training.without_augmentation(), networks=networks)


def diagnose_run(folder: str | Path) -> list[Finding]:
    """Look for causes in a run's folder: its config, its data, its newest weights.

    Raises:
        InputError: it is not a run's folder, has no weights yet, or its data are missing.
    """
    folder = Path(folder)
    config = read_train_config(folder / "config.yaml")
    names = [name for name in ("stopped", "last", "best") if (folder / f"{name}.safetensors").is_file()]
    if not names:
        raise InputError(f"{folder} holds no weights yet; wait for the first validation")
    objective = build_training_objective(replace(config, init=str(folder / f"{names[0]}.safetensors")))
    training = build_mix(config.train, config.objective.frames, config.size, check=False)
    causes = find_causes(objective, training)
    _write(folder, causes)
    return causes


class DiagnosisReport(Callback):
    """At the end of a training, log why it failed, if it did, and write `diagnosis.json`.

    Args:
        config: of the run.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for causes; in the networks only after the guard's warm-up."""
        assert isinstance(pl_module, DepthModule)
        if not trainer.is_global_zero:
            return
        ready = trainer.global_step >= self.config.guard.warmup_steps
        data: Any = trainer.train_dataloader
        causes = find_causes(pl_module.eval_objective, data.dataset, networks=ready)
        for rank, cause in enumerate(causes):
            log.warning("%s: %s", "probable cause" if rank == 0 else "also", cause)
        _write(Path(self.config.output), causes)


def _write(folder: Path, causes: Sequence[Finding]) -> None:
    found = [{"name": cause.kind, "evidence": cause.sentence, "advice": cause.advice} for cause in causes]
    write_json(folder / DIAGNOSIS, {"causes": found, "provenance": provenance()})
