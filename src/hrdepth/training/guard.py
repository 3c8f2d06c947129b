"""Stop a training that fails, name the fault and its probable cause, and restore its last good weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hrdepth.check.diagnosis import diagnose_objective
from hrdepth.check.finding import Finding
from hrdepth.config import TrainConfig
from hrdepth.config.setting_files import read_train_config
from hrdepth.data import build_mix
from hrdepth.errors import InputError, TrainingStopped
from hrdepth.io.files import write_json
from hrdepth.io.images import write_image
from hrdepth.io.provenance import provenance
from hrdepth.training.health import CollapseDetector, StepFault, StepRecord, find_not_finite, step_statistics
from hrdepth.training.log import training_panel
from hrdepth.training.loop import DepthModule
from hrdepth.training.setup import build_training_objective
from hrdepth.training.weight_files import WeightFiles

__all__ = ["Guard", "diagnose_run"]

log = logging.getLogger(__name__)

# Frames named in a message, and samples shown in a panel.
NAMED, SHOWN = 3, 4
# The guard's message, for programs that watch the run's folder, and the probable causes.
STOPPED, DIAGNOSIS = "stopped.json", "diagnosis.json"


class Guard(Callback):
    """Raise `TrainingStopped` on NaN, on a collapsed disparity and on an exploding pose.

    A step is checked after its backward pass and before the optimiser changes the weights, so that no NaN reaches
    them. The last good state is kept in the device's memory and is written to `last.safetensors` when the run is
    stopped, unless that file is as good and newer. At the end of a training, probable causes of a failure are logged
    and written to `diagnosis.json`.

    Args:
        config: of the run; its section `guard` says what is checked, and how often.
        folder: of the run.
        weights: writes the weights files.

    A run that is not stopped gets the same weights, bit for bit, as without the guard.
    """

    def __init__(self, config: TrainConfig, folder: Path, weights: WeightFiles) -> None:
        self.config = config.guard
        self.folder = folder
        self.weights = weights
        self._detector = CollapseDetector(config.guard)
        self._good: dict[str, Tensor] = {}
        self._first_step = self._good_step = self._good_until = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the counts from which a resumed run continues."""
        return self._detector.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the counts."""
        self._detector.load_state_dict(state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the initial state."""
        assert isinstance(pl_module, DepthModule)
        if trainer.is_global_zero:
            (self.folder / STOPPED).unlink(missing_ok=True)
        self._stop_on(trainer, pl_module, find_not_finite(None, pl_module.objective))
        self._keep(trainer, pl_module)
        self._first_step = self._good_step

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the step; if it is good, save the state every `keep_every_steps`."""
        if trainer.global_step % self.config.every_steps:
            return
        assert isinstance(pl_module, DepthModule)
        assert pl_module.step is not None
        step, objective = pl_module.step, pl_module.objective
        statistics = step_statistics(step, objective)
        fault = None if all(map(math.isfinite, statistics)) else find_not_finite(step, objective)
        if fault is not None:
            self._stop_on(trainer, pl_module, fault)
        fault = self._detector.update(statistics, trainer.global_step, step, objective)
        self._stop_on(trainer, pl_module, fault, name="stopped")
        if not self._detector.is_suspicious:
            self._good_until = trainer.global_step
            if trainer.global_step - self._good_step >= self.config.keep_every_steps:
                self._keep(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        """Check validation for NaN, while its frames can still be named."""
        assert isinstance(pl_module, DepthModule)
        assert pl_module.step is not None
        fault = None
        if not pl_module.step.output.loss.isfinite():
            fault = find_not_finite(pl_module.step, pl_module.objective)
        self._stop_on(trainer, pl_module, fault)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for causes of a failure; in the networks only after the warm-up."""
        assert isinstance(pl_module, DepthModule)
        if not trainer.is_global_zero:
            return
        causes = _find_causes(trainer, pl_module, networks=trainer.global_step >= self.config.warmup_steps)
        for rank, cause in enumerate(causes):
            log.warning("%s: %s", "probable cause" if rank == 0 else "also", cause)
        _write_causes(self.folder, causes)

    def _keep(self, trainer: Trainer, module: LightningModule) -> None:
        state = module.state_dict()
        if self._good:
            for name, value in self._good.items():
                value.copy_(state[name])
        else:
            self._good = {name: value.detach().clone() for name, value in state.items()}
        self._good_step = self._good_until = trainer.global_step

    def _stop_on(
        self, trainer: Trainer, module: LightningModule, fault: StepFault | None, name: str | None = None
    ) -> None:
        """Stop all processes if one has a fault; the others would wait for it forever."""
        if trainer.strategy.reduce_boolean_decision(fault is not None, all=False):
            assert isinstance(module, DepthModule)
            self._stop(trainer, module, fault, name)

    def _stop(self, trainer: Trainer, module: DepthModule, fault: StepFault | None, name: str | None) -> NoReturn:
        """Write panel and faulty weights, restore and write the last good state, and raise `TrainingStopped`.

        Args:
            trainer: of the run.
            module: with the faulty weights.
            fault: None if another process has it.
            name: of the file for the faulty weights; None to write none.
        """
        parts = [f"training stopped at step {trainer.global_step}: another process of this run found a fault"]
        if fault is not None:
            frames = self._frames(trainer, module.step, fault.samples)
            parts = [f"training stopped at step {trainer.global_step}: {fault.what}{frames}", fault.advice]
            if trainer.is_global_zero:  # the recordings' fault, if they show one; the networks' is known already
                causes = _find_causes(trainer, module, networks=False)
                parts += [f"probable cause: {cause}" for cause in causes[:1]]
        files = self._panel(trainer, module, fault)
        if name is not None and self.weights.write(name, trainer, module):
            files.append(f"{name}.safetensors")
        if files:
            parts.append(f"see {' and '.join(files)}")
        message = "; ".join([*parts, self._restore_good(trainer, module)])
        if trainer.is_global_zero:
            write_json(self.folder / STOPPED, {"message": message, "step": trainer.global_step})
        raise TrainingStopped(message)

    def _frames(self, trainer: Trainer, step: StepRecord | None, samples: list[int] | None) -> str:
        """Name samples of the batch."""
        if step is None:
            return ""
        batch = step.batch
        samples = list(range(step.samples)) if samples is None else samples
        dataset = (trainer.val_dataloaders if trainer.validating else trainer.train_dataloader).dataset
        if "item" in batch and hasattr(dataset, "name"):
            names = [dataset.name(int(batch["item"][sample])) for sample in samples[:NAMED]]
        else:
            names = [f"sample {sample} of the batch" for sample in samples[:NAMED]]
        more = f" and {len(samples) - NAMED} more" if len(samples) > NAMED else ""
        return f", on {'validation ' if trainer.validating else ''}frame {', '.join(names)}{more}"

    def _panel(self, trainer: Trainer, module: DepthModule, fault: StepFault | None) -> list[str]:
        """Draw the faulty samples and return the file's name, if there is one."""
        step = module.step
        if step is None or not trainer.is_global_zero:
            return []
        samples = fault.samples if fault is not None and fault.samples else list(range(step.samples))
        part = {key: value[samples[:SHOWN]] for key, value in step.batch.items()}  # type: ignore[index]
        write_image(self.folder / "panels" / "stopped.png", training_panel(module.panels(part)))  # type: ignore[arg-type]
        return ["panels/stopped.png"]

    def _restore_good(self, trainer: Trainer, module: DepthModule) -> str:
        """Write the last good state, unless the file has one that is as good and newer; return a description."""
        path = self.folder / "last.safetensors"
        if not self._good:
            return "there are no good weights"
        step = self.weights.last_step
        if step is None or not self._good_step <= step <= self._good_until:
            module.load_state_dict(self._good)
            step = self._good_step
            self.weights.write("last", trainer, module, step=step)
        what = "initial weights of this run" if step == self._first_step else f"last good weights, from step {step}"
        return f"{path} holds the {what}"


def diagnose_run(folder: str | Path) -> list[Finding]:
    """Look for causes of a failure in a run's folder: its config, its data, its newest weights.

    Raises:
        InputError: it is not a run's folder, has no weights yet, or its data are missing.
    """
    folder = Path(folder)
    config = read_train_config(folder / "config.yaml")
    names = [name for name in ("stopped", "last", "best") if (folder / f"{name}.safetensors").is_file()]
    if not names:
        raise InputError(f"{folder} holds no weights yet; wait for the first validation")
    objective = build_training_objective(replace(config, init=str(folder / f"{names[0]}.safetensors")))
    training = build_mix(
        config.train, config.objective.frames, config.size, check=False, depth_suffices=objective.reads_depth
    )
    causes = diagnose_objective(objective, training)
    _write_causes(folder, causes)
    return causes


def _find_causes(trainer: Trainer, module: DepthModule, *, networks: bool) -> list[Finding]:
    data: Any = trainer.train_dataloader
    return diagnose_objective(module.eval_objective, data.dataset.without_augmentation(), networks=networks)


def _write_causes(folder: Path, causes: Sequence[Finding]) -> None:
    found = [{"name": cause.kind, "evidence": cause.sentence, "advice": cause.advice} for cause in causes]
    write_json(folder / DIAGNOSIS, {"causes": found, "provenance": provenance()})
