"""SuperDepth: DispNet whose decoder learns to upsample by sub-pixel convolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.networks.blocks import upsample
from hrdepth.networks.dispnet import DispNet
from hrdepth.registry import lookup

__all__ = ["SuperDepth"]


class SubPixel(nn.Module):
    """Double height and width: 3x3 convolution to four maps for each wanted one, which become its 2x2 pixels.

    Source: Shi et al. 2016, section 3.2; SuperDepth, section III.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the activated features (B,out,2H,2W)."""
        return F.pixel_shuffle(F.elu(self.conv(features)), 2)


class ResizeConvolution(nn.Module):
    """Double height and width by nearest neighbour, then a 3x3 convolution: what SuperDepth replaces."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the activated features (B,out,2H,2W)."""
        return F.elu(self.conv(upsample(features)))


UPSAMPLINGS: dict[str, type[SubPixel] | type[ResizeConvolution]] = {"subpixel": SubPixel, "resize": ResizeConvolution}


class SuperDepth(DispNet):
    """SuperDepth: DispNet with sub-pixel convolutions in its decoder; 50.5M parameters, 31.6M with `resize`.

    Args:
        upsampling: `subpixel`, or `resize`: the baseline that its paper compares with.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: an unknown way of upsampling.

    Source: Pillai et al., "SuperDepth", ICRA 2019, section III: DispNet with the changes and the table of layers of
    Godard et al. 2017 (supplement), one disparity a scale, sub-pixel convolutions in place of resize-convolutions.

    Note:
        The paper prints neither a table of layers nor a parameter count. Its own output is the sigmoid of DispNet's
        heads, times a fraction of the image's width; the depth range takes that factor's place.

    Example:
        >>> import torch
        >>> SuperDepth()(torch.rand(1, 3, 64, 64))[3].shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self,
        upsampling: str = "subpixel",
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        normalisation: str = "none",
    ) -> None:
        make = lookup(UPSAMPLINGS, upsampling, "upsampling")
        super().__init__(make, lambda: nn.ELU(inplace=True), min_depth, max_depth, normalisation)
