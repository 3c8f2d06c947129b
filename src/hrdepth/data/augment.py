"""Random changes of a sample: mirrored left to right, other colours."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from hrdepth.config import AugmentConfig
from hrdepth.data.batch import Batch
from hrdepth.data.colours import shift_hue
from hrdepth.geometry import flip_intrinsics

__all__ = ["augment_colours", "flip_sample"]


def flip_sample(sample: Batch) -> Batch:
    """Mirror all frames of a sample without batch dimension; cx and the other eye's side follow."""
    flipped = sample.copy()
    flipped["target"] = sample["target"].flip(-1)
    flipped["sources"] = sample["sources"].flip(-1)
    for twin, clean in (("target_augmented", "target"), ("sources_augmented", "sources")):
        same = sample[twin] is sample[clean]  # type: ignore[literal-required]
        flipped[twin] = flipped[clean] if same else sample[twin].flip(-1)  # type: ignore[literal-required]
    flipped["intrinsics"] = flip_intrinsics(sample["intrinsics"], sample["target"].shape[-1])
    flipped["stereo_pose"] = sample["stereo_pose"].clone()
    flipped["stereo_pose"][..., 0, 3] *= -1
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


def _change(images: Tensor, what: str, amount: float) -> Tensor:
    if what == "hue":
        return shift_hue(images, amount)
    changed: Tensor = getattr(F, f"adjust_{what}")(images, amount)
    return changed
