"""Random changes of a sample: zoomed, mirrored left to right, other colours, blurred, noisy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from hrdepth.config import AugmentConfig
from hrdepth.data.batch import Batch
from hrdepth.data.colours import shift_hue
from hrdepth.geometry import flip_intrinsics

__all__ = ["WHOLE", "Window", "augment_colours", "degrade", "draw_window", "flip_sample"]


@dataclass(frozen=True)
class Window:
    """The part of an image that is kept, in fractions of its width and height, so that any size can be cut.

    Attributes:
        left: where it begins, as a fraction of the width.
        top: likewise of the height.
        extent: how much of width and height it keeps: 1/zoom, so that the image keeps its shape.
        height: how much of the height, where that is another part; None for `extent`.
    """

    left: float = 0.0
    top: float = 0.0
    extent: float = 1.0
    height: float | None = None

    def above(self, share: float) -> Window:
        """Return the same part of the upper `share` of the image: what lies below is never seen."""
        if share == 1:
            return self
        return Window(self.left, self.top * share, self.extent, share * (self.height or self.extent))

    def box(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom in pixels of an image of `size` (height, width)."""
        height, width = size
        # A rounding error must not reach beyond the image.
        right, bottom = min(self.left + self.extent, 1.0), min(self.top + (self.height or self.extent), 1.0)
        return self.left * width, self.top * height, right * width, bottom * height


WHOLE = Window()


def draw_window(config: AugmentConfig, random: np.random.Generator) -> Window:
    """Draw a zoom from 1 to `config.zoom`, uniform in its logarithm, and a place in the image for it."""
    if config.zoom == 1:
        return WHOLE  # nothing is drawn, so that the other changes are those of a run without zoom
    extent = math.exp(-random.uniform(0, math.log(config.zoom)))
    return Window(random.uniform(0, 1 - extent), random.uniform(0, 1 - extent), extent)


def flip_sample(sample: Batch) -> Batch:
    """Mirror all frames of a sample without batch dimension; cx and the other eye's side follow."""
    flipped = sample.copy()
    flipped["target"] = sample["target"].flip(-1)
    flipped["sources"] = sample["sources"].flip(-1)
    for twin, clean in (("target_augmented", "target"), ("sources_augmented", "sources")):
        same = sample[twin] is sample[clean]  # type: ignore[literal-required]
        flipped[twin] = flipped[clean] if same else sample[twin].flip(-1)  # type: ignore[literal-required]
    if "mask" in sample:
        flipped["mask"] = sample["mask"].flip(-1)
    if "objects" in sample:
        flipped["objects"] = sample["objects"].flip(-1)
    flipped["intrinsics"] = flip_intrinsics(sample["intrinsics"], sample["target"].shape[-1])
    if "view" in sample:
        mirror = torch.tensor([[-1.0, 0, sample["target"].shape[-1] - 1], [0, 1, 0], [0, 0, 1]])
        flipped["view"] = mirror @ sample["view"]
    flipped["stereo_pose"] = sample["stereo_pose"].clone()
    flipped["stereo_pose"][..., 0, 3] *= -1
    if "teacher" in sample:
        flipped["teacher"] = sample["teacher"].flip(-1)
    if "hint" in sample:
        flipped["hint"] = sample["hint"].flip(-1)
    return flipped


def augment_colours(sample: Batch, config: AugmentConfig, random: np.random.Generator) -> Batch:
    """Change brightness, contrast, saturation and hue of the augmented twins, in random order, all frames alike."""
    if random.random() >= config.jitter:
        return sample
    changes = [
        ("brightness", float(random.uniform(1 - config.brightness, 1 + config.brightness))),
        ("contrast", float(random.uniform(1 - config.contrast, 1 + config.contrast))),
        ("saturation", float(random.uniform(1 - config.saturation, 1 + config.saturation))),
        ("hue", float(random.uniform(-config.hue, config.hue))),
    ]
    images = torch.cat([sample["target_augmented"][None], sample["sources_augmented"]])  # (1+S,3,H,W)
    for position in random.permutation(len(changes)):
        images = _change(images, *changes[position])
    changed = sample.copy()
    changed["target_augmented"], changed["sources_augmented"] = images[0], images[1:]
    return changed


def degrade(sample: Batch, config: AugmentConfig, random: np.random.Generator) -> Batch:
    """Take the colours of the augmented twins away, blur them, add noise; all frames alike, but each its own noise.

    What is off draws no random number.
    """
    if not (config.grey or config.blur or config.noise):
        return sample
    images = torch.cat([sample["target_augmented"][None], sample["sources_augmented"]])  # (1+S,3,H,W)
    if config.grey and random.random() < config.grey:
        images = F.rgb_to_grayscale(images, num_output_channels=3)
    if config.blur and random.random() < config.blur:
        sigma = float(random.uniform(*config.blur_sigma))
        images = F.gaussian_blur(images, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma, sigma])
    if config.noise:
        noise = random.standard_normal(images.shape, dtype=np.float32) * np.float32(random.uniform(0, config.noise))
        images = (images + torch.from_numpy(noise)).clamp(0, 1)
    degraded = sample.copy()
    degraded["target_augmented"], degraded["sources_augmented"] = images[0], images[1:]
    return degraded


def _change(images: Tensor, what: str, amount: float) -> Tensor:
    if what == "hue":
        return shift_hue(images, amount)
    changed: Tensor = getattr(F, f"adjust_{what}")(images, amount)
    return changed
