"""Stop a run that goes wrong, say where to look, and keep its last good weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hrdepth.config import GuardConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import TrainingStopped
from hrdepth.io.files import write_json
from hrdepth.io.images import write_image
from hrdepth.training.callbacks import WeightFiles
from hrdepth.training.diagnosing import find_causes
from hrdepth.training.findings import find_not_finite
from hrdepth.training.health import Finding, Judge, Step, measure
from hrdepth.training.module import DepthModule
from hrdepth.training.panels import training_panel

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
        self._step = Step()
        self._hooks: list[RemovableHandle] = []
        self._good: dict[str, Tensor] = {}
        self._first_step = self._good_step = self._good_until = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run goes on counting from."""
        return self._judge.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self._judge.load_state_dict(state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch every objective of the module, and keep the state that the run starts from."""
        assert isinstance(pl_module, DepthModule)
        for module in pl_module.modules():
            if isinstance(module, type(pl_module.objective)):
                self._watch(module)
        if trainer.is_global_zero:
            (self.folder / STOPPED).unlink(missing_ok=True)
        self._stop_on(trainer, pl_module, find_not_finite(Step(), pl_module.objective))
        self._keep(trainer, pl_module)
        self._first_step = self._good_step

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the step, and keep the state now and then, where nothing speaks against it."""
        if trainer.global_step % self.config.every_steps:
            return
        assert isinstance(pl_module, DepthModule)
        objective = pl_module.objective
        health = measure(self._step, objective)
        finding = None if health.is_finite else find_not_finite(self._step, objective)
        if finding is not None:
            self._stop_on(trainer, pl_module, finding)
        finding = self._judge.judge(health, trainer.global_step, self._step, objective)
        self._stop_on(trainer, pl_module, finding, name="stopped")
        if not self._judge.suspects:
            self._good_until = trainer.global_step
            if trainer.global_step - self._good_step >= self.config.keep_every_steps:
                self._keep(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let go of the step's tensors."""
        self._step = Step()

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        """Look for NaN in validation, while its frames can still be named."""
        finding = None
        if not self._step.losses["loss"].isfinite():
            assert isinstance(pl_module, DepthModule)
            finding = find_not_finite(self._step, pl_module.objective)
        self._stop_on(trainer, pl_module, finding)
        self._step = Step()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _watch(self, objective: nn.Module) -> None:
        def see_batch(module: nn.Module, inputs: tuple[Batch]) -> None:
            self._step.batch = inputs[0]

        def see_depth(module: nn.Module, inputs: tuple[Tensor], output: dict[int, Tensor]) -> None:
            batch = self._step.batch
            if batch is not None and inputs[0] is batch["target_augmented"]:  # and no source, which some predict, too
                self._step.disparities = {scale: disparity.detach() for scale, disparity in output.items()}

        def see_pose(module: nn.Module, inputs: Any, output: tuple[Tensor, Tensor]) -> None:
            self._step.axis_angle, self._step.translation = (motion.detach()[:, 0, 0] for motion in output)

        def see_losses(module: nn.Module, inputs: Any, output: dict[str, Tensor]) -> None:
            self._step.losses = {name: value.detach() for name, value in output.items()}

        self._hooks.append(objective.register_forward_pre_hook(see_batch))
        self._hooks.append(objective.register_forward_hook(see_losses))
        for name, see in {"network": see_depth, "pose_network": see_pose}.items():
            if (network := getattr(objective, name, None)) is not None:
                self._hooks.append(network.register_forward_hook(see))

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
            frames = self._frames(trainer, finding.samples)
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

    def _frames(self, trainer: Trainer, samples: list[int] | None) -> str:
        """Name samples of the batch."""
        batch = self._step.batch
        if batch is None:
            return ""
        samples = list(range(self._step.samples)) if samples is None else samples
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
        batch = self._step.batch
        if batch is None or not trainer.is_global_zero:
            return []
        samples = finding.samples if finding is not None and finding.samples else list(range(self._step.samples))
        part = {key: value[samples[:SHOWN]] for key, value in batch.items()}  # type: ignore[index]
        module.eval()
        write_image(self.folder / "panels" / "stopped.png", training_panel(module.kept.panels(part)))  # type: ignore[arg-type]
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
