"""Dual networks: a deep one at low resolution for the whole scene, a shallow one at high resolution for details."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.errors import InputError
from hrdepth.networks.backbones import build_backbone
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import DisparityHead, concatenate, crop_to, upsample

__all__ = ["DualNets"]

LOW = (16, 32, 64, 128, 256)  # channels of the low-resolution decoder, strides 1 to 16 of its image
HIGH = ((32, 7), (64, 5), (128, 3))  # channels and kernels of the high-resolution encoder, strides 2 to 8
LEAST = 16  # rows and columns of the low-resolution image: one at the decoder's coarsest stride, 16
DETAIL = (16, 32, 64, 128)  # channels of the high-resolution decoder, strides 1 to 8


class SelfAttention(nn.Module):
    """Self-attention over all positions of a map, `(B,C,H,W) -> (B,C,H,W)`, added to its input.

    Positions without texture can use the depth of similar positions. The cost is quadratic in the number of positions,
    so it is used for the coarsest map only.

    Source: Zhou et al. 2019, section 3.3 (SA-Attention); Wang et al. 2018, eq. 6.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = nn.Conv2d(channels, channels // 8, 1), nn.Conv2d(channels, channels // 8, 1)
        self.value = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum of features and attention."""
        query, key = self.query(features).flatten(2), self.key(features).flatten(2)  # (B,C/8,H*W)
        attention = torch.softmax(query.transpose(1, 2) @ key / query.shape[1] ** 0.5, dim=-1)  # (B,H*W,H*W)
        attended = self.value(features).flatten(2) @ attention.transpose(1, 2)
        total: Tensor = features + attended.view_as(features)
        return total


class _Conv(nn.Sequential):
    """Convolution and ELU, with zero padding, since a low-resolution map may have one row."""

    def __init__(self, before: int, after: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.ELU(inplace=True))


class _LowResolution(nn.Module):
    """LR-Net: backbone, attention and a U-Net decoder; returns features at strides 1, 2 and 4."""

    def __init__(self, backbone: str, weights: str | None) -> None:
        super().__init__()
        self.encoder = build_backbone(backbone, weights=weights)
        channels = self.encoder.channels
        self.attention = SelfAttention(channels[4])
        self.reduce, self.fuse = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(LOW):
            self.reduce.append(_Conv(LOW[level + 1] if level < 4 else channels[4], width))
            self.fuse.append(_Conv(width + (channels[level - 1] if level else 0), width))

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [image, *self.encoder(image)]
        x, decoded = self.attention(features[5]), []
        for level in range(4, -1, -1):
            raised = crop_to(upsample(self.reduce[level](x)), features[level])
            x = self.fuse[level](concatenate([raised, features[level]]) if level else raised)
            decoded.append(x)
        return decoded[:-4:-1]  # finest first: strides 1, 2, 4 of the small image


class DualNets(DepthNetwork):
    """Dual networks: LR-Net reads the image at a third of its size, HR-Net at full size; 15.2M parameters.

    Args:
        backbone: of the low-resolution network, see `build_backbone`.
        weights: the backbone's initial weights: None, `"imagenet"`, `"imagenet:TAG"` or a local file.
        reduction: how many times smaller the low-resolution image is, a whole number.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: the reduction is not a whole number from 2, or (from `forward`) the reduced image is too small.

    Source: Zhou et al., "Unsupervised High-Resolution Depth Learning from Videos with Dual Networks", ICCV 2019,
    section 3: a deep network at 416x128, a shallow one at 1248x384 that reads its features, self-attention.

    Note:
        The paper's text describes the architecture, but we found no table of widths and kernels. Those here are our
        choice: the deep decoder is that of `monodepth2`, the shallow encoder begins as DispNet. Both are trained
        together.

    Example:
        >>> DualNets().eval()(torch.rand(1, 3, 64, 96))[3].shape
        torch.Size([1, 1, 8, 12])
    """

    crops_maps = True

    def __init__(
        self,
        backbone: str = "resnet18",
        weights: str | None = None,
        reduction: int = 3,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        normalisation: str = "released",
    ) -> None:
        super().__init__(min_depth, max_depth, normalisation)
        if not isinstance(reduction, int) or reduction < 2:
            raise InputError(f"reduction {reduction!r} of dualnets must be a whole number from 2, such as 3")
        self.reduction = reduction
        self.low = _LowResolution(backbone, weights)
        self.high = nn.ModuleList()
        before = 3
        for width, kernel in HIGH:
            self.high.append(_Conv(before, width, kernel, 2))
            before = width
        self.reduce, self.fuse = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(DETAIL):
            skip = HIGH[level - 1][0] + LOW[level - 1] if level else 0
            if level < 3:
                self.reduce.append(_Conv(DETAIL[level + 1], width))
            self.fuse.append(_Conv(skip + (width if level < 3 else 0), width))
        self.heads = nn.ModuleList(DisparityHead(width, nn.Conv2d(width, 1, 3, padding=1)) for width in DETAIL)

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        height, width = ((length + self.reduction - 1) // self.reduction for length in image.shape[-2:])
        if min(height, width) < LEAST:
            raise InputError(
                f"reduction {self.reduction} of dualnets leaves {height}x{width} (height x width) of an image of "
                f"{image.shape[-2]}x{image.shape[-1]}, and its low-resolution network needs {LEAST}x{LEAST}; "
                "use a smaller reduction, such as 3, or a larger size"
            )
        small = F.interpolate(image, (height, width), mode="bilinear", align_corners=False, antialias=False)
        whole = self.low(small)
        detail = []
        for layer in self.high:
            image = layer(image)
            detail.append(image)
        disparities: dict[int, Tensor] = {}
        x = image
        for level in (3, 2, 1, 0):
            joined = [] if level == 3 else [upsample(self.reduce[level](x))]
            if level:
                fine = detail[level - 1]
                seen = F.interpolate(whole[level - 1], fine.shape[-2:], mode="bilinear", align_corners=False)
                joined += [fine, seen]
            x = self.fuse[level](concatenate(joined))
            disparities[level] = self.heads[level](x)
        return dict(sorted(disparities.items()))
