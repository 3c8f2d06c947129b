"""Find why a training fails, the probable cause first, from a few samples of its data and its networks.

`diagnose_objective` is called at the guard's stop, at the end of a training and by `hrdepth diagnose`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, default_collate

from hrdepth.camera import Camera
from hrdepth.check.camera_faults import intrinsics_faults
from hrdepth.check.finding import ADVICE, Finding
from hrdepth.config import GuardConfig
from hrdepth.data.dataset import FrameDataset
from hrdepth.data.mixing import Mix
from hrdepth.data.neighbours import MIN_MOTION, MOTION_SIZE, motion
from hrdepth.data.sample import Batch
from hrdepth.geometry import scaled_disparity
from hrdepth.networks.base import DepthNetwork
from hrdepth.objectives import Objective, Output
from hrdepth.objectives.base import mask_of
from hrdepth.prepare.multiview import box_mean

__all__ = ["diagnose_objective", "lengths", "spread_and_nearness"]

SAMPLES = 8  # that are looked at
# Images are compared at this width, within a window of so many pixels.
WIDTH, WINDOW = 96, 7
# Shifts that are tried at a time: few enough for the processor's caches.
TOGETHER = 8
# Standard deviation in a window above which it can be found again, as a share of the brightness range.
TEXTURE = 0.03
# Shares of the width. KITTI at ten hertz is at 0.024 by median and below 0.04 at most.
FAR, REACH = (0.06, (8, 20))
# Left and right are swapped where shifts the wrong way explain the other image so much better.
BETTER = 0.7
# Share of the pixels; less is left of an image that teaches nothing.
KEPT = 0.03


@torch.no_grad()
def diagnose_objective(objective: Objective, data: Dataset[Batch], networks: bool = True) -> list[Finding]:
    """Look for what makes a training fail, in a few samples, evenly over its data, and in its networks.

    Args:
        objective: owns the networks; left in the mode in which it came.
        data: samples without random changes, in the order of the objective's `frames`.
        networks: judge the networks too; without, the recordings alone, whatever the networks have learned by now.

    Returns:
        What was found, the probable cause first: recordings before what their faults do to the networks.
    """
    count = min(SAMPLES, len(data))  # type: ignore[arg-type]
    items = [index * len(data) // count for index in range(count)]  # type: ignore[arg-type]
    batch: Batch = default_collate([data[item] for item in items])
    device = next(objective.parameters()).device
    batch = {name: _finite(value).to(device) for name, value in batch.items()}  # type: ignore[assignment, arg-type]
    cameras = [data.camera(item) for item in items] if isinstance(data, FrameDataset | Mix) else None
    found = list(_examine_samples(batch, objective.frames, cameras))
    if networks:
        training = objective.training
        objective.eval()
        found += _examine_networks(objective, batch)
        objective.train(training)
    return sorted(found, key=lambda finding: list(ADVICE).index(finding.kind))


def _finite(value: torch.Tensor) -> torch.Tensor:
    # The guard reports NaN; here it must not hide the other faults.
    return value.nan_to_num() if value.is_floating_point() else value


def spread_and_nearness(output: Output, network: DepthNetwork) -> tuple[Tensor, Tensor]:
    """Return each image's relative standard deviation and mean of 1/depth at the finest scale, (B,) each.

    Of 1/depth, not of disparity: a disparity of 0 or 1 all over the image is as constant as one in between.
    """
    near = scaled_disparity(output.disparities[min(output.disparities)].float(), network.min_depth, network.max_depth)
    variance, mean = torch.var_mean(near.flatten(1), dim=1)
    return variance.sqrt() / mean, mean


def lengths(motions: Tensor) -> Tensor:
    """Return the lengths (T,B) of axis-angles or translations (T,B,3)."""
    norms: Tensor = motions.float().norm(dim=-1)
    return norms


def _examine_networks(objective: Objective, batch: Batch) -> Iterator[Finding]:
    """Yield what is wrong with networks in eval mode, by the guard's defaults: also where a run disabled a check."""
    limits = GuardConfig()
    output = objective.predict(batch)
    spreads, near = spread_and_nearness(output, objective.network)
    if output.motions is not None:
        yield from _examine_motions(output.motions, near, limits)
    if spreads.max() < limits.min_spread:
        yield Finding(
            "constant disparity",
            f"1/depth varies by {float(spreads.max()):.2g} of its mean within an image, depth is about "
            f"{1 / float(near.mean()):.3g} units everywhere",
        )
    seen = batch["source_valid"].any(1)
    if (kept := objective.kept_pixels(output, batch)) is not None and seen.any():
        share = float(kept[seen].mean() / mask_of(batch)[seen].mean().clamp(min=1e-6))
        if share < KEPT:
            yield Finding(
                "all mask",
                f"the auto-mask leaves {100 * share:.1f} % of the pixels: the networks explain the images no better "
                "than no motion at all",
            )


def _examine_motions(motions: tuple[Tensor, Tensor], near: Tensor, limits: GuardConfig) -> Iterator[Finding]:
    rotation, motion = lengths(motions[0]).mean(), (lengths(motions[1]) * near).mean()
    if motion > limits.max_motion:
        yield Finding(
            "exploding pose",
            f"between neighbours the camera moves {float(motion):.3g} times as far as things are away, by the poses",
        )
    elif rotation > limits.max_rotation:
        yield Finding("exploding pose", f"between neighbours the camera turns by {float(rotation):.2g} radians")


def _examine_samples(batch: Batch, frames: Sequence[int | str], cameras: Sequence[Camera] | None) -> Iterator[Finding]:
    """Yield what is wrong with samples, whatever the networks."""
    yield from _examine_cameras(cameras or ())
    for index, frame in enumerate(frames):
        valid = batch["source_valid"][:, index]
        if frame == "s" and valid.any():
            yield from _examine_stereo(*_pair(batch, index, valid), batch["stereo_pose"][valid, 0, 3])
    temporal = [index for index, frame in enumerate(frames) if frame != "s"]
    pairs = [_pair(batch, index, batch["source_valid"][:, index]) for index in temporal]
    if sum(len(target) for target, _ in pairs):
        yield from _examine_motion(*(torch.cat(images) for images in zip(*pairs, strict=True)))


def _examine_cameras(cameras: Sequence[Camera]) -> Iterator[Finding]:
    # At the cameras' own size: samples may be of another aspect ratio, at which pixels are not square.
    known = [camera for camera in cameras if not camera.learn]
    faults = (
        next(intrinsics_faults(camera.intrinsics, camera.size, pixel_aspect=camera.pixel_aspect), None)
        for camera in known
    )
    wrong = [fault for fault in faults if fault is not None]
    if wrong:
        yield Finding("wrong K", f"{wrong[0]} (in {len(wrong)} of {len(cameras)} samples)")


def _examine_stereo(target: Tensor, other: Tensor, side: Tensor) -> Iterator[Finding]:
    """Compare shifts along the pose with shifts against it; `side` (B,) is the pose's x."""
    target, other, textured = _shrunk(target), _shrunk(other), _textured(_shrunk(target))
    wrong, seen = 0, 0
    for one, two, detail, x in zip(target, other, textured, side.tolist(), strict=True):
        costs = {
            sign: _best_shifts(one[None], two[None], [(0, sign * d) for d in range(REACH[1])])[0][detail]
            for sign in (-1, 1)
        }
        expected = 1 if x > 0 else -1  # the other camera to the right (x < 0): things lie further left there
        if x and detail.any():
            seen += 1
            wrong += bool(costs[-expected].mean() < BETTER * costs[expected].mean())
    if wrong > seen / 2:
        yield Finding(
            "swapped stereo",
            f"in {wrong} of {seen} samples the other image of the pair fits better when it is shifted against its pose",
        )


def _examine_motion(target: Tensor, source: Tensor) -> Iterator[Finding]:
    small = [_bytes(image) for image in (target, source)]
    stillness = [motion(one, two) for one, two in zip(*small, strict=True)]
    still = sum(amount < MIN_MOTION for amount in stillness)
    if still > len(stillness) / 2:
        yield Finding(
            "frame rate too high",
            f"in {still} of {len(stillness)} pairs of neighbours the image does not change: the camera stands still",
        )
        return
    one, two = _shrunk(target), _shrunk(source)
    down, across = REACH
    shifts = [(y, x) for y in range(-down, down + 1) for x in range(-across, across + 1)]
    shifts.sort(key=lambda shift: math.hypot(*shift))  # of equals the shortest
    lengths = torch.tensor([math.hypot(*shift) for shift in shifts], device=one.device) / WIDTH
    best = lengths[_best_shifts(one, two, shifts)[1]]  # (B,h,w)
    detail = _textured(one)[:, 0]
    medians = [float(way[seen].median()) for way, seen in zip(best, detail, strict=True) if seen.any()]
    far = [median for median in medians if median > FAR]
    if len(far) > len(medians) / 2:
        middle = sorted(far)[len(far) // 2]
        yield Finding(
            "frame rate too low",
            f"in {len(far)} of {len(medians)} pairs of neighbours the image moves too far to be followed, by "
            f"{100 * middle:.0f} % of its width",
        )


def _pair(batch: Batch, index: int, valid: Tensor) -> tuple[Tensor, Tensor]:
    return batch["target"][valid], batch["sources"][valid, index]


def _shrunk(images: Tensor) -> Tensor:
    """Return grey images (B,1,h,w) of width WIDTH."""
    height, width = images.shape[-2:]
    size = (max(1, round(height * WIDTH / width)), WIDTH)
    return F.interpolate(images.mean(dim=1, keepdim=True), size, mode="area")


def _bytes(images: Tensor):  # type: ignore[no-untyped-def]
    size = tuple(min(side, most) for side, most in zip(images.shape[-2:], MOTION_SIZE, strict=True))
    small = F.interpolate(images.mean(dim=1, keepdim=True), size, mode="area")[:, 0]
    return (255 * small).round().byte().cpu().numpy()


def _middle(size: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of an image (h,w) around which the whole reach lies inside."""
    down, across = (min(most, side // 4) for most, side in zip(REACH, size, strict=True))
    return slice(down, size[0] - down), slice(across, size[1] - across)


def _textured(images: Tensor) -> Tensor:
    """Return where windows hold detail, and the whole reach lies inside: (B,1,h,w) bool."""
    mean = box_mean(images, WINDOW)
    spread = (box_mean(images**2, WINDOW) - mean**2).clamp(min=0).sqrt()
    rows, columns = _middle(images.shape[-2:])
    inside = torch.zeros_like(spread, dtype=torch.bool)
    inside[..., rows, columns] = True
    return (spread > TEXTURE) & inside


def _best_shifts(target: Tensor, source: Tensor, shifts: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Compare windows of the target with those of the source that lie shifts (down, right) away.

    Returns:
        The least mean difference and the index of the first shift that has it, (B,h,w) each; computed in the middle
        alone, where `_textured` can be true.
    """
    down, right = (max(abs(shift[axis]) for shift in shifts) for axis in (0, 1))
    padded = F.pad(source, (right, right, down, down), mode="replicate")
    least = target.new_full((len(target), *target.shape[-2:]), torch.inf)
    best = torch.zeros_like(least, dtype=torch.long)
    rows, columns = (
        slice(max(0, part.start - WINDOW // 2), part.stop + WINDOW // 2) for part in _middle(target.shape[-2:])
    )
    middle, least_there, best_there = target[..., rows, columns], least[..., rows, columns], best[..., rows, columns]
    height, width = middle.shape[-2:]
    for start in range(0, len(shifts), TOGETHER):
        corners = [(down + y + rows.start, right + x + columns.start) for y, x in shifts[start : start + TOGETHER]]
        moved = [padded[..., y : y + height, x : x + width] for y, x in corners]
        costs, found = box_mean((middle - torch.cat(moved, dim=1)).abs(), WINDOW).min(dim=1)
        best_there.copy_(torch.where(costs < least_there, found + start, best_there))
        torch.minimum(least_there, costs, out=least_there)
    return least, best
