"""SfMLearner's objective: the mean over all sources, weighted by an explainability mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.config import ObjectiveConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.geometry import scale_intrinsics, scaled_disparity, view_synthesis
from hrdepth.losses import photometric_error
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.networks.pose import PoseCNN
from hrdepth.objectives.base import Output, check_number_options, check_scales, mask_of
from hrdepth.objectives.view_synthesis import ViewSynthesis, shrink

__all__ = ["Explainability", "ExplainedOutput"]


@dataclass(frozen=True)
class ExplainedOutput(Output):
    """An `Output` with explainability masks.

    Attributes:
        explained: how far each source explains each pixel, (B,S,H/2^s,W/2^s) in [0,1] for each scale s; None without.
    """

    explained: dict[int, Tensor] | None = None


class Explainability(ViewSynthesis):
    """View synthesis by absolute differences, each scale at its own size, weighted by the explainability mask.

    Args:
        network: the depth network.
        pose_network: a `posecnn` with its option `explainability`; any if `explainability` is 0.
        frames: the sources, see `ViewSynthesis`.
        smoothness: lambda_s, for the finest scale; halved from scale to scale.
        explainability: lambda_e, the weight of the masks' regularisation; 0 disables the mask.
        scales: of the network's disparities.
        cameras: see `ViewSynthesis`.

    Raises:
        InputError: a pose network without explainability mask.

    Source: Zhou et al. 2017, eq. 1, 3 and 4; lambda_s = 0.5, lambda_e = 0.2.

    Note:
        The paper penalises second differences of depth. Here they are of inverse depth, since distant depths of
        hundreds would dominate the loss.
    """

    def __init__(
        self,
        network: DepthNetwork,
        pose_network: nn.Module | None,
        frames: Sequence[int | str] = (-1, 1),
        smoothness: float = 0.5,
        explainability: float = 0.2,
        scales: Sequence[int] = (0, 1, 2, 3),
        cameras: LearnedIntrinsics | None = None,
    ) -> None:
        super().__init__(
            network,
            pose_network,
            frames,
            ssim_weight=0.0,
            smoothness=smoothness,
            auto_mask=False,
            scales=scales,
            cameras=cameras,
        )
        self.explainability = explainability
        if explainability and not (isinstance(self.pose_network, PoseCNN) and self.pose_network.explainability):
            raise InputError(
                "objective 'sfmlearner' needs a pose network with explainability mask: set pose_network.name to "
                "posecnn and its option explainability to true, or the objective's option explainability to 0"
            )

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        what = f"objective '{config.name}'"
        check_number_options(config.options, ("smoothness", "explainability"), what)
        check_scales(config.options, what)

    def predict(self, batch: Batch) -> ExplainedOutput:
        """See `Objective.predict`."""
        return ExplainedOutput(**vars(super().predict(batch)), explained=self.predict_masks(batch))

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return `{"loss": scalar, "loss/scale0": ..., ..., "explained": ...}`.

        `"loss"` is the sum over scales (eq. 4), `"explained"` the mean of the finest mask.
        """
        assert isinstance(output, ExplainedOutput)
        with torch.autocast(batch["target"].device.type, enabled=False):
            losses = {f"loss/scale{scale}": self._scale_loss(output, batch, scale) for scale in self.scales}
            explained = {} if output.explained is None else {"explained": output.explained[0].detach().mean()}
            return {"loss": torch.stack(list(losses.values())).sum(), **losses, **explained}

    def predict_masks(self, batch: Batch) -> dict[int, Tensor] | None:
        """Return `{s: (B,S,H/2^s,W/2^s)}`, how far each source explains each pixel; None without mask."""
        if not self.explainability or not isinstance(self.pose_network, PoseCNN):
            return None
        target, sources = batch["target_augmented"], batch["sources_augmented"].unbind(1)
        # Target first, regardless of the order in time, since the mask is for the target's pixels.
        explained = self.pose_network.explain(torch.cat([torch.cat([target, source], 1) for source in sources]))
        return {scale: torch.cat(mask.float().chunk(len(sources)), 1) for scale, mask in explained.items()}

    def _scale_loss(self, output: ExplainedOutput, batch: Batch, scale: int) -> Tensor:
        disparity = output.disparities[scale].float()
        size = disparity.shape[-2:]
        target = shrink(batch["target"], size)
        factor = size[1] / batch["target"].shape[-1]
        intrinsics = scale_intrinsics(output.intrinsics, factor, size[0] / batch["target"].shape[-2])
        depth = self.depth(disparity, intrinsics)
        inside = shrink(mask_of(batch), size)
        loss: Tensor = (
            self.smoothness
            / 2**scale
            * _second_differences(scaled_disparity(disparity, self.network.min_depth, self.network.max_depth))
        )
        for index, (source, pose) in enumerate(zip(batch["sources"].unbind(1), output.poses.unbind(1), strict=True)):
            view = view_synthesis(torch.cat([shrink(source, size), inside], dim=1), depth, intrinsics, pose)
            error = photometric_error(view[:, :3], target, ssim_weight=0)
            counts = inside * (view[:, 3:] > 0.5) * batch["source_valid"][:, index, None, None, None]
            if output.explained is not None:
                mask = output.explained[scale][:, index, None]
                error = mask * error - self.explainability * mask.clamp(min=1e-6).log()
            loss = loss + (error * counts).sum() / counts.sum().clamp(min=1)
        return loss

    @torch.no_grad()
    def panels(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """See `Objective.panels`: those of `ViewSynthesis`, and `explained`, the mask of the first source."""
        assert isinstance(output, ExplainedOutput)
        explained = {} if output.explained is None else {"explained": output.explained[0][:, :1]}
        return super().panels(output, batch) | explained


def _second_differences(values: Tensor) -> Tensor:
    """Return the mean absolute second differences of (B,1,H,W): along rows, along columns and mixed, twice."""
    across, down = values.diff(dim=3), values.diff(dim=2)
    mixed = F.l1_loss(across[:, :, 1:], across[:, :, :-1])
    return across.diff(dim=3).abs().mean() + down.diff(dim=2).abs().mean() + 2 * mixed
