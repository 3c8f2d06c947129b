"""Random changes of a sample: zoom, flip, colours, blur, noise."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from hrdepth.config import AugmentConfig
from hrdepth.data.layers import Layer
from hrdepth.data.sample import WHOLE, Batch, Window
from hrdepth.geometry import flip_intrinsics

__all__ = ["augment_colours", "degrade", "draw_window", "flip_sample", "shift_hue"]


def draw_window(
    config: AugmentConfig, random: np.random.Generator, shape: tuple[float, float], size: tuple[int, int]
) -> Window:
    """Draw a zoom from 1 to `config.zoom`, uniform in its logarithm, and where in the image it lies.

    Args:
        config: with `crop` the part has the aspect ratio of the sample.
        random: decides.
        shape: (height, width) of the image.
        size: (height, width) of the sample.
    """
    taller = shape[0] / shape[1] * size[1] / size[0] if config.crop else 1.0  # the image than the sample
    if config.zoom == 1 and taller == 1:
        return WHOLE  # nothing is drawn, so that the other changes are those of a run without zoom
    extent = math.exp(-random.uniform(0, math.log(config.zoom)))
    if taller == 1:
        return Window(random.uniform(0, 1 - extent), random.uniform(0, 1 - extent), extent)
    width, height = extent * min(1.0, taller), extent * min(1.0, 1 / taller)
    return Window(random.uniform(0, 1 - width), random.uniform(0, 1 - height), width, height)


def flip_sample(sample: Batch, layers: Iterable[Layer] = ()) -> Batch:
    """Mirror all frames and layers of a sample without batch dimension; cx and the stereo pair's sides follow."""
    width = sample["target"].shape[-1]
    flipped = sample.copy()
    flipped["target"] = sample["target"].flip(-1)
    flipped["sources"] = sample["sources"].flip(-1)
    for twin, clean in (("target_augmented", "target"), ("sources_augmented", "sources")):
        same = sample[twin] is sample[clean]  # type: ignore[literal-required]
        flipped[twin] = flipped[clean] if same else sample[twin].flip(-1)  # type: ignore[literal-required]
    flipped["intrinsics"] = flip_intrinsics(sample["intrinsics"], width)
    flipped["stereo_pose"] = sample["stereo_pose"].clone()
    flipped["stereo_pose"][..., 0, 3] *= -1
    for layer in layers:
        flipped[layer.key] = layer.flip(sample[layer.key], width)  # type: ignore[literal-required]
    return flipped


def augment_colours(sample: Batch, config: AugmentConfig, random: np.random.Generator) -> Batch:
    """Change brightness, contrast, saturation and hue of the augmented images, in random order, all frames alike."""
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
    """Make the augmented images grey, blur them, add noise: all frames alike, but the noise.

    A change that is off draws no random number.
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


def shift_hue(images: Tensor, shift: float) -> Tensor:
    """Shift the hue, keeping each pixel's largest and smallest channel, three to four times as fast as torchvision.

    A channel is `low + chroma * clamp(|d - 3| - 1, 0, 1)`, where `d` in [0, 6) is how far the hue lies behind the
    channel's own on the colour circle, in sixths: no table and no case for each sixth.

    Args:
        images: (N,3,H,W) float in [0,1].
        shift: as a share of the colour circle, from -0.5 to 0.5.

    Returns:
        (N,3,H,W), as `torchvision.transforms.v2.functional.adjust_hue` gives but for rounding.

    Source: Smith, Color Gamut Transform Pairs, SIGGRAPH 1978 (HSV).

    Example:
        >>> red, green = torch.eye(3)[:2]
        >>> torch.allclose(shift_hue(red.view(1, 3, 1, 1), 1 / 3).flatten(), green, atol=1e-6)
        True
    """
    changed = torch.empty_like(images)
    for image, result in zip(images, changed, strict=True):  # one by one, so that the planes stay in the CPU's cache
        red, green, blue = image
        high = torch.maximum(torch.maximum(red, green), blue)
        low = torch.minimum(torch.minimum(red, green), blue)
        chroma = high - low
        # Masks of 0 and 1 and lerp (exact at both) are several times faster than bool and where.
        is_red, is_green = high.eq(red).to(high.dtype), high.eq(green).to(high.dtype)
        hue = torch.lerp(red - green, blue - red, is_green).lerp_(green - blue, is_red)
        hue.div_(chroma.clamp(min=torch.finfo(chroma.dtype).tiny))  # -1 to 1 sixths from the nearest primary
        primary = (2 - is_green).mul_(2).mul_(1 - is_red)  # 0 red, 2 green, 4 blue
        hue.add_(primary).add_(6 * shift)  # -4 to 8
        for channel, own_hue in zip(result, (0, 2, 4), strict=True):
            # 3 minus the distance on the circle, both ways round, without the slow remainder.
            share = (hue - own_hue).abs_().sub_(3).abs_()
            share = torch.minimum(share, 6 - share).sub_(1).clamp_(0, 1)
            torch.addcmul(low, share, chroma, out=channel)
    return changed
