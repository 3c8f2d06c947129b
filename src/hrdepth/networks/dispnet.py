"""DispNet of SfMLearner and SuperDepth: seven levels down, seven up, a disparity at each of the four finest."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.geometry import scaled_disparity
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import DisparityHead, activated, concatenate, crop_to, start_at_xavier, upsample
from hrdepth.registry import lookup

__all__ = ["DispNet", "SfMLearner", "SuperDepth"]

ENCODER = ((32, 7), (64, 5), (128, 3), (256, 3), (512, 3), (512, 3), (512, 3))  # channels and kernels, strides 2 to 128
DECODER = (16, 32, 64, 128, 256, 512, 512)  # channels of levels 0 to 6, at strides 1 to 64


class DispNet(DepthNetwork):
    """The architecture that SfMLearner and SuperDepth share; they differ in upsampling and activation.

    Args:
        double: builds a layer `(B,in,H,W) -> (B,out,2H,2W)` from the two numbers of channels.
        activation: builds the activation of each convolution.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.
        batch_norm: between each convolution and its activation, except for disparities.

    Source: Zhou et al. 2017, section 3.5 and Figure 4a; Godard et al. 2017, supplement, the same table of layers.

    Note:
        The encoder has stride 128: for sizes that are only multiples of 32, upsampled maps are cropped.
    """

    crops_maps = True

    def __init__(
        self,
        double: Callable[[int, int], nn.Module],
        activation: Callable[[], nn.Module],
        min_depth: float,
        max_depth: float,
        normalisation: str,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(min_depth, max_depth, normalisation)

        def conv(before: int, after: int, kernel: int, stride: int) -> nn.Sequential:
            layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=not batch_norm)
            return activated(layer, activation(), batch_norm)

        self.levels, before = nn.ModuleList(), 3
        for width, kernel in ENCODER:
            self.levels.append(nn.Sequential(conv(before, width, kernel, 2), conv(width, width, kernel, 1)))
            before = width
        self.raise_, self.fuse = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(DECODER):
            below = DECODER[level + 1] if level < 6 else ENCODER[-1][0]
            skip = ENCODER[level - 1][0] if level else 0
            self.raise_.append(double(below, width))
            self.fuse.append(conv(width + skip + (level < 3), width, 3, 1))  # below level 3 also a coarser disparity
        self.heads = nn.ModuleList(DisparityHead(width, nn.Conv2d(width, 1, 3, padding=1)) for width in DECODER[:4])

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        features = [image]
        for block in self.levels:
            features.append(block(features[-1]))
        x = features[7]
        disparities: dict[int, Tensor] = {}
        for level in range(6, -1, -1):
            joined = [crop_to(self.raise_[level](x), features[level])]
            if level:
                joined.append(features[level])
            if level < 3:
                joined.append(self.coarser(disparities[level + 1]))
            x = self.fuse[level](concatenate(joined))
            if level < 4:
                disparities[level] = self.heads[level](x)
        return dict(sorted(disparities.items()))

    def coarser(self, disparity: Tensor) -> Tensor:
        """Return what the next finer level reads of a disparity (B,1,H,W): (B,1,2H,2W)."""
        return upsample(disparity)


class SfMLearner(DispNet):
    """SfMLearner's DispNet: 31.6M parameters; upsamples by 3x3 deconvolutions, activates by ReLU.

    Args:
        batch_norm: in all layers except those of disparity, as in the paper; needs batches of two or more at the
            smallest sizes. The authors' later code has none, as it did not help with batches of four (their issue 30).
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Source: Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, section 3.5 and
    Figure 4a.

    Note:
        The original output is depth = 1 / (10 sigmoid + 0.01). The sigmoid is our disparity, and with the default
        range, 1/10.01 to 100, the conversion is exact. Finer levels read the coarser inverse depth in that unit.

    Example:
        >>> import torch
        >>> SfMLearner()(torch.rand(1, 3, 64, 64))[3].shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self,
        batch_norm: bool = False,
        min_depth: float = 1 / 10.01,
        max_depth: float = 100.0,
        normalisation: str = "none",
    ) -> None:
        def double(before: int, after: int) -> nn.Sequential:
            layer = nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1, bias=not batch_norm)
            return activated(layer, _activation(), batch_norm)

        super().__init__(double, _activation, min_depth, max_depth, normalisation, batch_norm)
        start_at_xavier(self)

    def coarser(self, disparity: Tensor) -> Tensor:
        """See `DispNet.coarser`."""
        inverse_depth = scaled_disparity(disparity, self.min_depth, self.max_depth)
        return F.interpolate(inverse_depth, scale_factor=2.0, mode="bilinear", align_corners=False)


def _activation() -> nn.Module:
    return nn.ReLU(inplace=True)


class SubPixel(nn.Module):
    """Double height and width: a 3x3 convolution to four maps for each output map, which become its 2x2 pixels.

    Source: Shi et al. 2016, section 3.2; SuperDepth, section III.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the activated features (B,out,2H,2W)."""
        return F.pixel_shuffle(F.elu(self.conv(features)), 2)


class ResizeConvolution(nn.Module):
    """Double height and width by nearest neighbour, then a 3x3 convolution: SuperDepth's baseline."""

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
        upsampling: `subpixel`, or `resize`, the baseline of its paper.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: an unknown upsampling.

    Source: Pillai et al., "SuperDepth", ICRA 2019, section III: DispNet with the changes and the table of layers of
    Godard et al. 2017 (supplement), one disparity a scale, sub-pixel convolutions in place of resize-convolutions.

    Note:
        The paper gives neither a table of layers nor a parameter count. Its output is the sigmoid of DispNet's
        heads, times a fraction of the image's width; the depth range replaces that factor.

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
