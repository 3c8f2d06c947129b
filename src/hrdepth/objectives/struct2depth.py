"""Struct2Depth's objective: view synthesis with a motion for each object, given object masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hrdepth.config import NetworkConfig, ObjectiveConfig, TrainConfig
from hrdepth.data.layers import Layer, Objects
from hrdepth.data.neighbours import Neighbours
from hrdepth.data.sample import Batch
from hrdepth.errors import InputError
from hrdepth.geometry import invert_pose, pose_matrix, view_synthesis
from hrdepth.networks import build_pose_network
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.intrinsics import LearnedIntrinsics
from hrdepth.networks.pose import temporal_pair
from hrdepth.objectives.base import Output, check_number_options, mask_of, mean_inside
from hrdepth.objectives.view_synthesis import ViewSynthesis, check_nested

__all__ = ["MovingOutput", "ObjectMotions"]


@dataclass(frozen=True, kw_only=True)
class MovingOutput(Output):
    """An `Output` with the N largest objects of each target.

    Attributes:
        object_masks: in target and sources, (B,1+S,N,H,W) bool.
        object_poses: motion of each from the target's time to the source's, in the target's camera, (B,S,N,4,4).
    """

    object_masks: Tensor
    object_poses: Tensor


class ObjectMotion(nn.Module):
    """The learned parts for objects: the network of their motions, and their height."""

    def __init__(self, name: str, options: dict[str, Any], height: float) -> None:
        super().__init__()
        self.network = build_pose_network(NetworkConfig(name, options))
        self.log_height = nn.Parameter(torch.tensor(height).log())


class ObjectMotions(ViewSynthesis):
    """View synthesis with object motions: the camera's motion from the static scene, then a motion for each object.

    Args:
        network: the depth network.
        pose_network: of the camera's motion; objects are masked in its input.
        frames: the sources, see `ViewSynthesis`.
        objects: number of a target's largest objects that get a motion; pixels of smaller ones are ignored.
        object_network: the network of object motions, a key of `POSE_NETWORKS`.
        object_options: its options.
        size_weight: of the object size constraint.
        object_height: initial value of the learned object height, network units; one for all objects.
        view_synthesis: options of the other terms, see `ViewSynthesis`; `auto_mask` is off, as in the paper.
        cameras: see `ViewSynthesis`.

    Raises:
        InputError: an invalid number, or as `ViewSynthesis`.

    Source: Casser et al., "Depth Prediction Without the Sensors", AAAI 2019, eq. 3 to 7.

    Note:
        The paper warps a source by the camera's motion, and the result by the object's. Here the two motions are
        multiplied, and the source is sampled once. The paper has a prior height for each class of objects; masks here
        have no classes. Its refinement at test time is not implemented. The other image of a stereo pair is taken at
        the same time, so for `"s"` objects have no motion.
    """

    def __init__(
        self,
        network: DepthNetwork,
        pose_network: nn.Module | None,
        frames: Sequence[int | str] = (-1, 1),
        objects: int = 3,
        object_network: str = "posenet",
        object_options: dict[str, Any] | None = None,
        size_weight: float = 0.01,
        object_height: float = 1.0,
        view_synthesis: dict[str, Any] | None = None,
        cameras: LearnedIntrinsics | None = None,
    ) -> None:
        options = {"auto_mask": False, **(view_synthesis or {})}
        super().__init__(network, pose_network, frames, cameras=cameras, **options)
        self.objects = objects
        self.size_weight = size_weight
        self.object_motion = ObjectMotion(object_network, object_options or {}, object_height)

    @classmethod
    def check(cls, config: ObjectiveConfig) -> None:
        """See `Objective.check`."""
        check_nested(config)
        check_number_options(config.options, ("size_weight",), "objective 'struct2depth'")
        objects, height = config.options.get("objects", 1), config.options.get("object_height", 1.0)
        if objects < 1:
            raise InputError(f"the option objects {objects} of objective 'struct2depth' must be 1 or more")
        if not 0 < height < float("inf"):
            raise InputError(f"the option object_height {height!r} of objective 'struct2depth' must be positive")
        if all(frame == "s" for frame in config.frames):
            raise InputError("objective 'struct2depth' needs neighbours in time, such as frames [-1, 1]")

    def layers(self, config: TrainConfig, sets: Sequence[Neighbours], device: torch.device) -> list[Layer]:
        """See `Objective.layers`: the objects."""
        return [Objects.of(image for part in sets for image in part.images())]

    def predict(self, batch: Batch) -> MovingOutput:
        """See `Objective.predict`: the camera's motion from pixels without objects in any frame, then the objects'."""
        disparities = self.network(batch["target_augmented"])
        still = (_objects(batch) == 0).all(dim=1)[:, None]  # (B,1,H,W)
        poses, motions = self.predict_poses(
            {
                **batch,
                "target_augmented": batch["target_augmented"] * still,
                "sources_augmented": batch["sources_augmented"] * still[:, None],
            }
        )
        camera = Output(disparities, poses, self.current_intrinsics(batch), motions)
        masks, object_poses = self.predict_objects(camera, batch)
        source_disparities = self.predict_sources(batch) if self.consistency else None
        camera = replace(camera, source_disparities=source_disparities)
        return MovingOutput(**vars(camera), object_masks=masks, object_poses=object_poses)

    def losses(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of `ViewSynthesis`, and `"loss/object_size"`, without its weight."""
        assert isinstance(output, MovingOutput)
        losses = super().losses(output, batch)
        with torch.autocast(batch["target"].device.type, enabled=False):
            losses["loss/object_size"] = self._size_error(output, batch)
            losses["loss"] = losses["loss"] + self.size_weight * losses["loss/object_size"]
            if not output.object_poses.requires_grad:
                # No object visible. With several processes, each must give gradients of all weights.
                unused = [weight.sum() for weight in self.object_motion.network.parameters()]
                losses["loss"] = losses["loss"] + 0 * torch.stack(unused).sum()
        return losses

    def predict_objects(self, camera: Output, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return masks and poses of objects, see `MovingOutput`, from the finest disparity and the camera's poses."""
        poses, intrinsics = camera.poses, camera.intrinsics
        masks = _largest(_objects(batch), mask_of(batch)[:, 0] > 0.5, self.objects)
        batch_size, sources = poses.shape[:2]
        motions = torch.eye(4, device=poses.device).repeat(batch_size, sources, self.objects, 1, 1)
        visible = masks.flatten(3).any(-1)  # (B,1+S,N)
        visible = visible[:, :1] & visible[:, 1:] & batch["source_valid"][:, :, None]
        with torch.no_grad():
            depth = self.depth(camera.disparities[0].float(), intrinsics)
        pairs, places = [], []
        for index, frame in enumerate(self.frames):
            samples, slots = visible[:, index].nonzero(as_tuple=True)
            if frame != "s" and len(samples):
                target = batch["target_augmented"][samples] * masks[samples, 0, slots][:, None]
                seen = batch["sources_augmented"][samples, index]
                seen = torch.cat([seen, masks[samples, 1 + index, slots][:, None].float()], dim=1)
                with torch.no_grad(), torch.autocast(depth.device.type, enabled=False):
                    pose = poses[samples, index]
                    view = view_synthesis(seen, depth[samples], intrinsics[samples], pose)
                pairs.append(temporal_pair(target, view[:, :3] * (view[:, 3:] > 0.5), int(frame)))
                places.append((samples, index, slots, int(frame)))
        if pairs:
            axis_angle, translation = self.object_motion.network(torch.cat(pairs))
            with torch.autocast(depth.device.type, enabled=False):
                found = pose_matrix(axis_angle[:, 0, 0].float(), translation[:, 0, 0].float())
            for (samples, index, slots, frame), motion in zip(
                places, torch.split(found, [len(pair) for pair in pairs]), strict=True
            ):
                motions[samples, index, slots] = invert_pose(motion) if frame < 0 else motion
        return masks, motions

    def synthesise(self, output: Output, batch: Batch, disparity: Tensor) -> Tensor:
        """See `ViewSynthesis`; an object's pixels are warped by camera and object motion, others by the camera's."""
        assert isinstance(output, MovingOutput)
        masks, objects, inside = output.object_masks, _objects(batch), mask_of(batch)
        depth, intrinsics = self.depth(disparity, output.intrinsics), output.intrinsics
        views = []
        for index, (source, pose) in enumerate(zip(batch["sources"].unbind(1), output.poses.unbind(1), strict=True)):
            if self.frames[index] == "s":
                views.append(view_synthesis(torch.cat([source, inside], 1), depth, intrinsics, pose))
                continue
            still = inside * (objects[:, 1 + index, None] == 0)
            view = view_synthesis(torch.cat([source, still], dim=1), depth, intrinsics, pose)
            view = torch.cat([view[:, :3], view[:, 3:] * (objects[:, :1] == 0)], dim=1)
            for slot in range(self.objects):
                mask = masks[:, 0, slot, None]
                if mask.any():
                    seen = inside * masks[:, 1 + index, slot].flatten(1).any(1)[:, None, None, None]
                    whole = pose @ output.object_poses[:, index, slot]
                    moved = view_synthesis(torch.cat([source, seen], dim=1), depth, intrinsics, whole)
                    view = torch.where(mask, moved, view)
            views.append(view)
        return torch.stack(views, dim=1)

    def _size_error(self, output: MovingOutput, batch: Batch) -> Tensor:
        """Compare objects' depth with that expected from their height in pixels, relative to the mean depth.

        Source: Casser et al. 2019, eq. 7: an object of height p that is h pixels tall is fy p / h away.
        """
        depth, inside = self.depth(output.disparities[0].float(), output.intrinsics), mask_of(batch)
        masks = output.object_masks[:, 0]  # (B,N,H,W)
        tall = masks.any(-1).sum(-1).clamp(min=1)  # (B,N) pixels
        expected = output.intrinsics[:, 1, 1, None] * self.object_motion.log_height.exp() / tall
        error = (depth - expected[..., None, None]).abs() / mean_inside(depth, inside)  # (B,N,H,W)
        counts = masks & (inside > 0.5)
        return (error * counts).sum() / counts.sum().clamp(min=1)

    @torch.no_grad()
    def panels(self, output: Output, batch: Batch) -> dict[str, Tensor]:
        """See `Objective.panels`: those of `ViewSynthesis`, and `objects`, 1 for pixels of an object with a motion."""
        assert isinstance(output, MovingOutput)
        return {**super().panels(output, batch), "objects": output.object_masks[:, 0].any(1, keepdim=True).float()}


def _objects(batch: Batch) -> Tensor:
    """Return the batch's objects (B,1+S,H,W), zeros if it has none."""
    if "objects" in batch:
        return batch["objects"]
    sources, (batch_size, _, height, width) = batch["sources"].shape[1], batch["target"].shape
    return torch.zeros(batch_size, 1 + sources, height, width, dtype=torch.int64, device=batch["target"].device)


def _largest(objects: Tensor, seen: Tensor, count: int) -> Tensor:
    """Return the masks of the target's `count` largest objects, (B,F,H,W) int64 to (B,F,N,H,W) bool.

    Only pixels in `seen`, (B,H,W) bool, count: an object without any is ignored.
    """
    numbers = objects.new_zeros(len(objects), count)
    for sample, target in enumerate(objects[:, 0] * seen):
        found, pixels = target[target > 0].unique(return_counts=True)
        largest = found[pixels.argsort(descending=True)[:count]]
        numbers[sample, : len(largest)] = largest
    numbers = numbers[:, None, :, None, None]
    return (objects[:, :, None] == numbers) & (numbers > 0)
