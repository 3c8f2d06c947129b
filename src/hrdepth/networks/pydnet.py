"""PyD-Net: a pyramid of six levels, each with a small decoder that reads the coarser one's result."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import concatenate, crop_to, start_at_xavier

__all__ = ["PyDNet"]

PYRAMID = (16, 32, 64, 96, 128, 192)  # channels of levels 1 to 6, at strides 2 to 64
ESTIMATOR = (96, 64, 32, 8)  # channels of the four convolutions of each level's decoder
SLOPE = 0.2  # of the leaky ReLU


class _Pyramid(nn.Module):
    """Six levels of two 3x3 convolutions, the first of which halves height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        below = 3
        for width in PYRAMID:
            self.levels.append(_convolutions((below, width, width), strides=(2, 1)))
            below = width

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        for level in self.levels:
            image = level(image)
            features.append(image)
        return features


class _Decoders(nn.Module):
    """From the coarsest level up: estimate eight maps, the first of which is disparity, and upsample all eight."""

    def __init__(self) -> None:
        super().__init__()
        self.estimate = nn.ModuleList()
        self.raise_ = nn.ModuleList()
        for level, width in enumerate(PYRAMID):
            coarser = ESTIMATOR[-1] if level < len(PYRAMID) - 1 else 0
            # The last of the four has no activation: its first map is the disparity's logit.
            self.estimate.append(_convolutions((width + coarser, *ESTIMATOR))[:-1])
            if level:
                self.raise_.append(nn.ConvTranspose2d(ESTIMATOR[-1], ESTIMATOR[-1], 2, stride=2))

    def forward(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Return `{s: disparity}` of scales 1 to 3."""
        maps = self.estimate[-1](features[-1])
        disparities = {}
        for level in range(len(PYRAMID) - 2, -1, -1):
            raised = crop_to(self.raise_[level](maps), features[level])
            maps = self.estimate[level](concatenate([features[level], raised]))
            if level < 3:
                disparities[level + 1] = torch.sigmoid(maps[:, :1].float())
        return disparities


class PyDNet(DepthNetwork):
    """PyD-Net: 1,971,624 parameters ("1.9M" in its paper).

    Args:
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Source: Poggi et al., "Towards real-time unsupervised monocular depth estimation on CPU", IROS 2018, section III
    and Figure 2; the widths also in the Apache-2.0 repository mobilePydnet.

    Note:
        The original output is 0.3 sigmoid, in image widths of a stereo rig, for the left and the right view, at strides
        2, 4 and 8. Here the sigmoid of the left view is the disparity of scales 1 to 3 and the depth range replaces the
        factor; scale 0 is scale 1 resized bilinearly, as its authors resize for evaluation. The coarsest level has
        stride 64: for sizes that are only multiples of 32, upsampled maps are cropped.

    Example:
        >>> PyDNet()(torch.rand(1, 3, 64, 96))[3].shape
        torch.Size([1, 1, 8, 12])
    """

    crops_maps = True

    def __init__(self, min_depth: float = 0.1, max_depth: float = 100.0, normalisation: str = "none") -> None:
        super().__init__(min_depth, max_depth, normalisation)
        self.encoder = _Pyramid()
        self.decoder = _Decoders()
        start_at_xavier(self)

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        disparities = super().disparities(image)
        disparities[0] = F.interpolate(disparities[1], scale_factor=2.0, mode="bilinear", align_corners=False)
        return dict(sorted(disparities.items()))

    def head_biases(self) -> Iterator[Tensor]:
        """Yield the disparity's element of the last bias of the three finest decoders."""
        for module in self.decoder.estimate[:3]:  # type: ignore[index]
            yield module[-1].bias[:1]


def _convolutions(widths: tuple[int, ...], strides: tuple[int, ...] | None = None) -> nn.Sequential:
    """Stack 3x3 convolutions, each followed by a leaky ReLU."""
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise(widths)):
        stride = strides[i] if strides else 1
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.LeakyReLU(SLOPE, inplace=True)]
    return nn.Sequential(*layers)
