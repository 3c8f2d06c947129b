"""Stop a run that goes wrong, say where to look, and keep its last good weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hrdepth.config import GuardConfig
from hrdepth.errors import TrainingStopped
from hrdepth.io.files import write_json
from hrdepth.io.images import write_image
from hrdepth.training.diagnosing import find_causes
from hrdepth.training.health import Finding, Judge, Step, find_not_finite, measure
from hrdepth.training.log import training_panel
from hrdepth.training.loop import DepthModule
from hrdepth.training.weights import WeightFiles

__all__ = ["Guard"]

# Frames that a sentence names, and samples that a panel shows.
NAMED, SHOWN = 3, 4
# What the guard said, for whoever follows the run by its folder.
STOPPED = "stopped.json"


class Guard(Callback):
    """Raise `TrainingStopped` on NaN, on a disparity that has collapsed and on a pose that explodes.

    A step is looked at between its gradients and the change of the weights, so that nothing that is not finite
    reaches them. The last state that nothing was found against is kept in memory, on the device, and becomes
    `last.safetensors` when the run is stopped, unless the file is as good and newer.

    Args:
        config: what is watched, and how closely.
        folder: of the run.
        weights: writes the weights files.

    A run that is not stopped comes to the same weights, bit for bit, as without the guard.
    """

    def __init__(self, config: GuardConfig, folder: Path, weights: WeightFiles) -> None:
        self.config = config
        self.folder = folder
        self.weights = weights
        self._judge = Judge(config)
        self._good: dict[str, Tensor] = {}
        self._first_step = self._good_step = self._good_until = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on counting from."""
        return self._judge.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self._judge.load_state_dict(state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the state that the run starts from."""
        assert isinstance(pl_module, DepthModule)
        if trainer.is_global_zero:
            (self.folder / STOPPED).unlink(missing_ok=True)
        self._stop_on(trainer, pl_module, find_not_finite(None, pl_module.objective))
        self._keep(trainer, pl_module)
        self._first_step = self._good_step

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the step, and keep the state now and then, where nothing speaks against it."""
        if trainer.global_step % self.config.every_steps:
            return
        assert isinstance(pl_module, DepthModule)
        assert pl_module.step is not None
        step, objective = pl_module.step, pl_module.objective
        health = measure(step, objective)
        finding = None if health.is_finite else find_not_finite(step, objective)
        if finding is not None:
            self._stop_on(trainer, pl_module, finding)
        finding = self._judge.judge(health, trainer.global_step, step, objective)
        self._stop_on(trainer, pl_module, finding, name="stopped")
        if not self._judge.suspects:
            self._good_until = trainer.global_step
            if trainer.global_step - self._good_step >= self.config.keep_every_steps:
                self._keep(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        """Look for NaN in validation, while its frames can still be named."""
        assert isinstance(pl_module, DepthModule)
        assert pl_module.step is not None
        finding = None
        if not pl_module.step.output.loss.isfinite():
            finding = find_not_finite(pl_module.step, pl_module.objective)
        self._stop_on(trainer, pl_module, finding)

    def _keep(self, trainer: Trainer, module: LightningModule) -> None:
        state = module.state_dict()
        if self._good:
            for name, kept in self._good.items():
                kept.copy_(state[name])
        else:
            self._good = {name: value.detach().clone() for name, value in state.items()}
        self._good_step = self._good_until = trainer.global_step

    def _stop_on(
        self, trainer: Trainer, module: LightningModule, finding: Finding | None, name: str | None = None
    ) -> None:
        """Stop all processes where one has a finding: the others would wait for it for ever."""
        if trainer.strategy.reduce_boolean_decision(finding is not None, all=False):
            assert isinstance(module, DepthModule)
            self._stop(trainer, module, finding, name)

    def _stop(self, trainer: Trainer, module: DepthModule, finding: Finding | None, name: str | None) -> NoReturn:
        """Show the fault, bring the last good state back and write it, and say so in a sentence.

        Args:
            trainer: of the run.
            module: holds the weights at fault.
            finding: None where another process has it.
            name: of the file for the weights at fault; None where they are none to keep.
        """
        said = [f"training stopped at step {trainer.global_step}: another process of this run found a fault"]
        if finding is not None:
            frames = self._frames(trainer, module.step, finding.samples)
            said = [f"training stopped at step {trainer.global_step}: {finding.what}{frames}", finding.advice]
            said += self._causes(trainer, module)
        seen = self._panel(trainer, module, finding)
        if name is not None and self.weights.write(name, trainer, module):
            seen.append(f"{name}.safetensors")
        if seen:
            said.append(f"the fault is seen in {' and '.join(seen)}")
        message = "; ".join([*said, self._bring_back(trainer, module)])
        if trainer.is_global_zero:
            write_json(self.folder / STOPPED, {"message": message, "step": trainer.global_step})
        raise TrainingStopped(message)

    def _frames(self, trainer: Trainer, step: Step | None, samples: list[int] | None) -> str:
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

    def _causes(self, trainer: Trainer, module: DepthModule) -> list[str]:
        """Name the probable cause where the recordings show one; the fault itself has been said."""
        if not trainer.is_global_zero:
            return []
        data: Any = trainer.train_dataloader
        causes = find_causes(module.kept, data.dataset, networks=False)
        return [f"probable cause: {cause}" for cause in causes[:1]]

    def _panel(self, trainer: Trainer, module: DepthModule, finding: Finding | None) -> list[str]:
        """Draw the samples at fault, and return the file's name, if there is any."""
        step = module.step
        if step is None or not trainer.is_global_zero:
            return []
        samples = finding.samples if finding is not None and finding.samples else list(range(step.samples))
        part = {key: value[samples[:SHOWN]] for key, value in step.batch.items()}  # type: ignore[index]
        write_image(self.folder / "panels" / "stopped.png", training_panel(module.panels(part)))  # type: ignore[arg-type]
        return ["panels/stopped.png"]

    def _bring_back(self, trainer: Trainer, module: DepthModule) -> str:
        """Write the last good state, where the file does not hold one that is as good and newer; say what it is."""
        path = self.folder / "last.safetensors"
        if not self._good:
            return "there are no good weights"
        step = self.weights.last_step
        if step is None or not self._good_step <= step <= self._good_until:
            module.load_state_dict(self._good)
            step = self._good_step
            self.weights.write("last", trainer, module, step=step)
        what = "weights that the run began with" if step == self._first_step else f"last good weights, of step {step}"
        return f"{path} holds the {what}"
