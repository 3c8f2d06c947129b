"""DispNet as monocular networks use it: seven levels down, seven up, a disparity at each of the four finest."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from hrdepth.networks.blocks import DepthNetwork, DisparityHead, activated, concatenate, crop_to, upsample

__all__ = ["DispNet"]

ENCODER = ((32, 7), (64, 5), (128, 3), (256, 3), (512, 3), (512, 3), (512, 3))  # channels and kernels, strides 2 to 128
DECODER = (16, 32, 64, 128, 256, 512, 512)  # channels of levels 0 to 6, at strides 1 to 64


class DispNet(DepthNetwork):
    """The body that SfMLearner and SuperDepth share; they differ in how they upsample and activate.

    Args:
        double: makes a layer `(B,in,H,W) -> (B,out,2H,2W)` of the two numbers of channels.
        activation: makes the activation of each convolution.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.
        batch_norm: between each convolution and its activation, but for the disparities'.

    Source: Zhou et al. 2017, section 3.5 and Figure 4a; Godard et al. 2017, supplement, the same table of layers.

    Note:
        The encoder has stride 128: where a size is a smaller multiple of 32, what an upsampling has too much is cut
        off.
    """

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
