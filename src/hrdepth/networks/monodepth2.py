"""The paper's baseline: an encoder and a U-Net decoder with plain skip connections."""

from __future__ import annotations

from torch import Tensor, nn

from hrdepth.networks.backbones import build_backbone
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import ConvBlock, DisparityHead, concatenate, upsample

__all__ = ["Monodepth2", "Monodepth2Decoder"]

WIDTHS = (16, 32, 64, 128, 256)


class Monodepth2Decoder(nn.Module):
    """Five encoder maps to four disparities: at each level reduce, upsample, join the encoder's map, fuse."""

    def __init__(self, encoder_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList()
        self.fuse = nn.ModuleList()
        for level, width in enumerate(WIDTHS):
            below = encoder_channels[4] if level == 4 else WIDTHS[level + 1]
            skip = encoder_channels[level - 1] if level > 0 else 0
            self.reduce.append(ConvBlock(below, width))
            self.fuse.append(ConvBlock(width + skip, width))
        self.heads = nn.ModuleList(DisparityHead(WIDTHS[scale]) for scale in range(4))

    def forward(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        x = features[4]
        disparities = {}
        for level in (4, 3, 2, 1, 0):
            raised = upsample(self.reduce[level](x))
            x = self.fuse[level](concatenate([raised, features[level - 1]]) if level else raised)
            if level < 4:
                disparities[level] = self.heads[level](x)
        return dict(sorted(disparities.items()))


class Monodepth2(DepthNetwork):
    """The network of Godard et al. 2019: 14.33M parameters with ResNet-18, of which the decoder has 3,152,724.

    Args:
        backbone: see `build_backbone`.
        weights: the backbone's initial weights: None, `"imagenet"`, `"imagenet:TAG"` or a local file.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Source: Godard et al. 2019, section 3 and supplementary table of layers; the paper's Table 4, "baseline".

    Example:
        >>> import torch
        >>> Monodepth2()(torch.rand(1, 3, 64, 96))[3].shape
        torch.Size([1, 1, 8, 12])
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        weights: str | None = None,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        normalisation: str = "released",
    ) -> None:
        super().__init__(min_depth, max_depth, normalisation)
        self.encoder = build_backbone(backbone, weights=weights)
        channels = self.encoder.channels
        self.decoder = Monodepth2Decoder(channels)
