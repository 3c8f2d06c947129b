"""The interface of depth networks (contract 1), and the normalisation inside them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hrdepth.camera import DepthScale
from hrdepth.errors import InputError
from hrdepth.geometry import depth_to_disparity
from hrdepth.io.images import check_size
from hrdepth.networks.blocks import DisparityHead
from hrdepth.registry import lookup

__all__ = ["NORMALISATIONS", "DepthNetwork", "Normalisation"]

# Mean and standard deviation of an image's channels in [0,1]. The released networks use the same for all channels;
# timm's weights were trained with those of ImageNet, or similar ones.
NORMALISATIONS = {
    "released": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class Normalisation(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel, inside the network.

    Args:
        name: a key of `NORMALISATIONS`.
        images: how many images are stacked along channels.

    Raises:
        InputError: an unknown name.

    Example:
        >>> Normalisation("none")(torch.full((1, 3, 2, 2), 0.25)).mean()
        tensor(0.2500)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str = "released", images: int = 1) -> None:
        super().__init__()
        mean, std = lookup(NORMALISATIONS, name, "normalisation")
        # Not in the state dict: the config has the name, and published weights have no such tensors.
        self.register_buffer("mean", torch.tensor(mean * images).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std * images).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the normalised image (B,C,H,W)."""
        return (image - self.mean) / self.std


class DepthNetwork(nn.Module):
    """Base of all depth networks (contract 1): normalisation, the size check, the scale of its depth.

    A subclass builds `encoder` and `decoder`, or defines `disparities(normalised image) -> {scale: disparity}`.

    Attributes:
        scale: converts its disparity to depth; `min_depth` and `max_depth` are its range.
        stride: height and width must be multiples of it.
        crops_maps: whether maps are cropped if the size is a multiple of `stride` but of no larger power of two;
            `torch.export` then fixes the size.

    Args:
        min_depth: the depth, in network units, at disparity 1.
        max_depth: the depth at disparity 0.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: the range is empty or not positive, or the normalisation unknown.
    """

    stride = 32
    crops_maps = False
    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, min_depth: float = 0.1, max_depth: float = 100.0, normalisation: str = "released") -> None:
        super().__init__()
        self.normalise = Normalisation(normalisation)
        self.scale = DepthScale(min_depth, max_depth)

    @property
    def min_depth(self) -> float:
        """The depth, in network units, at disparity 1."""
        return self.scale.min_depth

    @property
    def max_depth(self) -> float:
        """The depth, in network units, at disparity 0."""
        return self.scale.max_depth

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Predict disparity at four scales.

        Args:
            image: (B,3,H,W) in [0,1]; H and W are multiples of `stride`, at least twice as large.

        Returns:
            `{s: disparity (B,1,H/2^s,W/2^s) in (0,1)}` for s = 0 (finest) to 3.

        Raises:
            InputError: the size is not a multiple of `stride` or too small.
        """
        check_size((int(image.shape[-2]), int(image.shape[-1])), self.stride)
        return self.disparities(self.normalise(image))

    def start_at(self, depth: float) -> None:
        """Set the heads' biases so that an untrained network predicts about `depth`, in network units, everywhere.

        Without it the initial disparity is 0.5, a depth of about twice `min_depth`: that is so near that the other
        image of a stereo pair shows other things, and a network without ImageNet weights learns slowly at first.

        Raises:
            InputError: `depth` lies outside the network's range.
        """
        if not self.min_depth < depth < self.max_depth:
            raise InputError(
                f"the initial depth {depth:g} lies outside the network's range, "
                f"{self.min_depth:g} to {self.max_depth:g}"
            )
        disparity = float(depth_to_disparity(torch.tensor(depth), self.min_depth, self.max_depth))
        with torch.no_grad():
            for bias in self.head_biases():
                bias.fill_(math.log(disparity / (1 - disparity)))

    def head_biases(self) -> Iterator[Tensor]:
        """Yield the biases of the disparities' logits; a network without `DisparityHead` overrides this."""
        for module in self.modules():
            if isinstance(module, DisparityHead) and module.conv.bias is not None:
                yield module.conv.bias

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Predict from a normalised image; a network without encoder and decoder overrides this."""
        disparities: dict[int, Tensor] = self.decoder(self.encoder(image))
        return disparities
