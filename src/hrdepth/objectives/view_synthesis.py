"""Self-supervision by view synthesis: mono, stereo or both, depending on `frames`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.compute import Compiled
from hrdepth.config import ObjectiveConfig
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.geometry import disparity_to_depth, focal_factors, invert_pose, pose_matrix, view_synthesis
from hrdepth.losses import SSIM_WEIGHT, Windows, edge_aware_smoothness, minimum_reprojection, photometric_error, windows
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.networks.pose import temporal_pair
from hrdepth.objectives.base import GIVEN, Objective, Output, check_number_options, check_scales, mask_of
from hrdepth.objectives.consistency import Consistency, depth_consistency
from hrdepth.registry import check_options

__all__ = ["ViewSynthesis", "check_nested", "shrink"]


class ViewSynthesis(Objective):
    """Synthesise the target from its sources, through predicted depth and motion (paper, eq. 1 to 4).

    Args:
        network: the depth network.
        pose_network: the pose network; None if `frames` is ["s"].
        frames: the sources: integers are neighbours in time, "s" is the other image of the stereo pair, whose pose is
            in the batch.
        ssim_weight: alpha of eq. 1.
        smoothness: lambda of eq. 4, for the finest scale; halved from scale to scale.
        auto_mask: ignore pixels that the unwarped source matches better.
        tie_break: size of the noise that keeps exact ties from being masked.
        scales: of the network's disparities.
        compile: fuse synthesis and losses with torch.compile, which takes about a minute at the first step; without a
            working compiler they run uncompiled.
        cameras: those whose K is learned; None if the batch has all.
        consistency: weight of the difference between the depths of target and sources; if not 0, pixels are also
            weighted by how well the depths agree. Needs a pass of the depth network for each source.

    Source: paper, "Problem Formulation".

    Note:
        As released: all scales are brought to full size before synthesis; the auto-mask, which the paper does not
        mention, is on; neighbours' poses are predicted in temporal order and the earlier one inverted.
    """

    def __init__(
        self,
        network: DepthNetwork,
        pose_network: nn.Module | None,
        frames: Sequence[int | str] = (-1, 1),
        ssim_weight: float = SSIM_WEIGHT,
        smoothness: float = 1e-3,
        auto_mask: bool = True,
        tie_break: float = 1e-5,
        scales: Sequence[int] = (0, 1, 2, 3),
        compile: bool = False,
        cameras: LearnedIntrinsics | None = None,
        consistency: float = 0.0,
    ) -> None:
        super().__init__()
        _check_frames(frames, pose_network)
        self.network = network
        self.pose_network = pose_network if any(frame != "s" for frame in frames) else None
        self.frames = tuple(frames)
        self.ssim_weight = ssim_weight
        self.smoothness = smoothness
        self.auto_mask = auto_mask
        self.tie_break = tie_break
        self.scales = tuple(scales)
        self.cameras = cameras
        self.consistency = consistency
        # Functions of one scale's tensors at full size, so that one compilation serves all scales.
        self._scale_error_as_run: Callable[..., Tensor] = self._scale_error
        self._identity_errors_as_run: Callable[..., Tensor] = self._identity_errors
        if compile:
            self._scale_error_as_run = Compiled(self._scale_error, "view synthesis and photometric error")
            self._identity_errors_as_run = Compiled(self._identity_errors, "the error of the unwarped sources")

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        _check_options(config.options, f"objective '{config.name}'")

    def predict(self, batch: Batch) -> Output:
        """See `Objective.predict`; with `consistency` also the disparities of the sources."""
        disparities = self.network(batch["target_augmented"])
        source_disparities = self.predict_sources(batch) if self.consistency else None
        poses, motions = self.predict_poses(batch)
        return Output(disparities, poses, self.current_intrinsics(batch), motions, source_disparities)

    def predict_sources(self, batch: Batch) -> Tensor:
        """Return the disparities of the sources, (B,S,1,H,W)."""
        finest: Tensor = self.network(batch["sources_augmented"].flatten(0, 1))[0].float()  # (BS,1,H,W)
        return finest.view(*batch["sources"].shape[:2], *finest.shape[1:])

    def predict_poses(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """Return poses and motions, see `Output`: predicted for neighbours in time, known for the other camera."""
        target, sources = batch["target_augmented"], batch["sources_augmented"]
        temporal = [i for i, frame in enumerate(self.frames) if frame != "s"]
        poses = {i: batch["stereo_pose"] for i, frame in enumerate(self.frames) if frame == "s"}
        motions = None
        if temporal and self.pose_network is not None:
            # All pairs in one batch: fewer calls, and batch norm statistics over all pairs.
            pairs = [temporal_pair(target, sources[:, i], int(self.frames[i])) for i in temporal]
            axis_angle, translation = (motion[:, 0, 0] for motion in self.pose_network(torch.cat(pairs)))  # (TB,3)
            motions = (axis_angle.view(len(temporal), -1, 3), translation.view(len(temporal), -1, 3))
            with torch.autocast(target.device.type, enabled=False):
                matrices = pose_matrix(axis_angle.float(), translation.float())
                for i, pose in zip(temporal, matrices.chunk(len(temporal)), strict=True):
                    poses[i] = invert_pose(pose) if int(self.frames[i]) < 0 else pose
        return torch.stack([poses[i] for i in range(len(self.frames))], dim=1), motions

    def current_intrinsics(self, batch: Batch) -> Tensor:
        """Return K (B,3,3) in float32; for learned cameras the current estimate."""
        if self.cameras is None or "camera" not in batch:
            return batch["intrinsics"]
        with torch.autocast(batch["target"].device.type, enabled=False):
            k: Tensor = self.cameras(batch["camera"], batch["view"], batch["intrinsics"])
        return k

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return `{"loss": scalar, "loss/scale0": ..., ...}`; `"loss"` is their mean (eq. 4).

        With `consistency` also `"loss/consistency"`, which is added with that weight.
        """
        return self.weighted_losses(output, batch, None)

    def weighted_losses(self, output: Output, batch: Batch, weight: Tensor | None) -> dict[str, Tensor]:
        """Return the `losses` with a weight (B,1,H,W) of each pixel's photometric error; None for 1."""
        with torch.autocast(batch["target"].device.type, enabled=False):
            target = batch["target"]
            agreement = self._agreement(output, batch) if self.consistency else None
            if agreement is not None:
                weight = agreement.weight if weight is None else agreement.weight * weight
            target_windows = windows(target)
            identity = None
            if self.auto_mask:
                identity = self._identity_errors_as_run(batch, target_windows, self._noise(batch))
            losses = {}
            for scale in self.scales:
                disparity = output.disparities[scale].float()
                full_size = _resize(disparity, target)
                error = self._scale_error_as_run(output, batch, full_size, target_windows, identity, weight)
                smooth = edge_aware_smoothness(disparity, shrink(target, disparity.shape[-2:]))
                losses[f"loss/scale{scale}"] = error + self.smoothness / 2**scale * smooth
            total = torch.stack(list(losses.values())).mean()
            if agreement is not None:
                losses["loss/consistency"] = agreement.loss
                total = total + self.consistency * agreement.loss
            return {"loss": total, **losses}

    def synthesise(self, output: Output, batch: Batch, disparity: Tensor) -> Tensor:
        """Return the view synthesised from each source through the disparity (B,1,H,W): (B,S,3,H,W).

        There may be a fourth channel: pixels count only if it is above 0.5 in some source. Here it is the warped mask
        of the batch, if there is one.
        """
        depth = self.depth(disparity, output.intrinsics)
        sources = batch["sources"].unbind(1)
        if "mask" in batch:
            sources = tuple(torch.cat([source, batch["mask"]], dim=1) for source in sources)
        pairs = zip(sources, output.poses.unbind(1), strict=True)
        return torch.stack([view_synthesis(source, depth, output.intrinsics, pose) for source, pose in pairs], dim=1)

    def synthesis_errors(self, output: Output, batch: Batch, scale: int = 0) -> Tensor:
        """Return the photometric error of each synthesised view (B,S,H,W), infinite if there is no source."""
        synthesised = self.synthesise(output, batch, _resize(output.disparities[scale], batch["target"]))
        return self._errors(batch, synthesised, windows(batch["target"]))

    def identity_errors(self, batch: Batch) -> Tensor:
        """Return the photometric error of each unwarped source (B,S,H,W), infinite if there is no source."""
        return self._identity_errors(batch, windows(batch["target"]), self._noise(batch))

    def _noise(self, batch: Batch) -> Tensor | None:
        """Draw noise that breaks ties of identity errors (B,S,H,W); not compiled, so that a seed holds."""
        if not (self.auto_mask and self.tie_break):
            return None
        return self.tie_break * torch.randn_like(batch["sources"][:, :, 0])

    def _agreement(self, output: Output, batch: Batch) -> Consistency:
        assert output.source_disparities is not None
        depth = self.depth(output.disparities[0].float(), output.intrinsics)
        source_depths = self.depth(output.source_disparities.flatten(1, 2), output.intrinsics).unsqueeze(2)
        valid, mask = batch["source_valid"], batch.get("mask")
        return depth_consistency(depth, source_depths, output.intrinsics, output.poses, valid, mask)

    def _scale_error(
        self,
        output: Output,
        batch: Batch,
        disparity: Tensor,
        target_windows: Windows,
        identity: Tensor | None,
        weight: Tensor | None,
    ) -> Tensor:
        """Return the weighted mean over all pixels of the smallest error (eq. 2); `disparity` is (B,1,H,W).

        If views have a fourth channel, the mean is over the pixels inside the batch's mask that some source shows.
        """
        views = self.synthesise(output, batch, disparity)
        smallest = minimum_reprojection(self._errors(batch, views, target_windows), identity)
        smallest = smallest if weight is None else smallest * weight
        return smallest.mean() if views.shape[2] == 3 else _mean_shown(smallest, batch.get("mask"))

    def _identity_errors(self, batch: Batch, target_windows: Windows, noise: Tensor | None) -> Tensor:
        errors = self._errors(batch, batch["sources"], target_windows)
        return errors if noise is None else errors + noise

    def _errors(self, batch: Batch, views: Tensor, target_windows: Windows) -> Tensor:
        """Return the photometric error of views (B,S,3,H,W): (B,S,H,W), infinite if there is no source.

        It is also infinite where a fourth channel of the views is 0.5 or less.
        """
        target = batch["target"]
        errors = [photometric_error(view[:, :3], target, self.ssim_weight, target_windows) for view in views.unbind(1)]
        if views.shape[2] > 3:
            shown = [view[:, 3:] > 0.5 for view in views.unbind(1)]
            errors = [error.where(where, torch.inf) for error, where in zip(errors, shown, strict=True)]
        return torch.where(batch["source_valid"][:, :, None, None], torch.cat(errors, dim=1), torch.inf)

    def depth(self, disparity: Tensor, intrinsics: Tensor) -> Tensor:
        """Return the depth, network units, of disparities (B,C,H,W) for cameras with K (B,3,3)."""
        depth = disparity_to_depth(disparity, self.network.min_depth, self.network.max_depth)
        return depth * focal_factors(intrinsics, depth.shape[-1], self.network.scale.canonical_focal)

    @torch.no_grad()
    def panels(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """See `Objective.panels`.

        `target`; `disparity`; `synthesised`, `error` of each pixel's best source; `kept`, see `kept_pixels`.
        """
        disparity = output.disparities[0].float()
        target, identity = batch["target"], self.identity_errors(batch)
        synthesised = self.synthesise(output, batch, disparity)  # the finest disparity has full size
        errors = self._errors(batch, synthesised, windows(target))
        best = errors.argmin(dim=1)[:, None, None].expand(-1, 1, 3, *target.shape[-2:])  # (B,1,3,H,W)
        error = minimum_reprojection(errors)
        return {
            "target": target,
            "disparity": disparity,
            "synthesised": synthesised.gather(1, best)[:, 0],
            "error": error,
            "kept": self._kept(error, identity, batch),
        }

    @torch.no_grad()
    def kept_pixels(self, output: Output, batch: Batch) -> Tensor | None:
        """See `Objective.kept_pixels`."""
        if not self.auto_mask:
            return None
        identity = self.identity_errors(batch)
        return self._kept(minimum_reprojection(self.synthesis_errors(output, batch)), identity, batch)

    def _kept(self, error: Tensor, identity: Tensor, batch: Batch) -> Tensor:
        kept = error < identity.amin(dim=1, keepdim=True) if self.auto_mask else error.isfinite()
        return kept.float() * mask_of(batch)


def check_nested(config: ObjectiveConfig) -> None:
    """Check the option `view_synthesis` of an objective that is based on view synthesis.

    Raises:
        InputError: an option that view synthesis does not have, or an invalid value.
    """
    options = config.options.get("view_synthesis") or {}
    what = f"the view_synthesis of objective '{config.name}'"
    check_options(ViewSynthesis, options, what, GIVEN)
    _check_options(options, what)


def _check_options(options: Mapping[str, Any], what: str) -> None:
    check_number_options(options, ("smoothness", "tie_break", "consistency"), what)
    check_number_options(options, ("ssim_weight",), what, maximum=1)
    check_scales(options, what)


def _mean_shown(error: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean of (B,1,H,W) where the mask is 1 and some source shows the pixel."""
    counts = error.isfinite() if mask is None else (mask > 0.5) & error.isfinite()
    return torch.where(counts, error, 0).sum() / counts.sum().clamp(min=1)


def _resize(disparity: Tensor, image: Tensor) -> Tensor:
    return F.interpolate(disparity, image.shape[-2:], mode="bilinear", align_corners=False)


def shrink(image: Tensor, size: torch.Size) -> Tensor:
    """Shrink by an integer factor, by the mean of pixels."""
    return F.adaptive_avg_pool2d(image, (size[0], size[1])) if image.shape[-2:] != size else image


def _check_frames(frames: Sequence[int | str], pose_network: nn.Module | None) -> None:
    for frame in frames:
        if frame != "s" and (not isinstance(frame, int) or frame == 0):
            raise InputError(f"frames {list(frames)}: {frame!r} is neither a neighbour in time, such as -1, nor 's'")
    if not frames or len(set(frames)) != len(frames):
        raise InputError(f"frames {list(frames)}: give at least one source, each once")
    if pose_network is None and any(frame != "s" for frame in frames):
        raise InputError(f"frames {list(frames)}: neighbours in time need a pose network")
