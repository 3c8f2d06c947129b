"""FastDepth: MobileNet and a decoder of depthwise 5x5 convolutions, dense or pruned."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import DisparityHead, activated, upsample
from hrdepth.registry import lookup

__all__ = ["FastDepth"]

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of MobileNet's 13 separable convolutions
SKIPS = {0: 3, 2: 2, 4: 1}  # encoder's convolution: decoder's stage whose result it is added to


@dataclass(frozen=True)
class Widths:
    """Channels of the first convolution, of the 13 separable ones, and of the decoder's five stages."""

    stem: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]


WIDTHS = {
    "dense": Widths(
        32, (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024), (512, 256, 128, 64, 32)
    ),
    "pruned": Widths(
        16, (56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512), (200, 256, 120, 56, 16)
    ),
}  # fmt: skip


class FastDepth(DepthNetwork):
    """MobileNet-NNConv5 with depthwise decoder and additive skips: 3.96M parameters dense, 1.36M pruned.

    Args:
        widths: `dense`, or `pruned` by NetAdapt.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: unknown widths.

    Source: Wofk et al., "FastDepth", ICRA 2019, section III and Figure 2; the pruned widths from the shapes in the
    authors' repository's record of tuning for the TX2 (MIT): `tx2-cpu.mobilenet-nnconv5dw-skipadd-pruned`.

    Note:
        The original output is depth in metres from a 1x1 convolution with batch norm and ReLU, learned from ground
        truth. A dead ReLU gets no gradient, so a sigmoid replaces both and gives disparity. The network has one scale;
        scales 1 to 3 are means of the full-size disparity. The published counts, 3.93M and 1.34M, exclude batch
        normalisation.

    Example:
        >>> import torch
        >>> FastDepth("pruned")(torch.rand(1, 3, 64, 96))[3].shape
        torch.Size([1, 1, 8, 12])
    """

    def __init__(
        self, widths: str = "dense", min_depth: float = 0.1, max_depth: float = 100.0, normalisation: str = "none"
    ) -> None:
        super().__init__(min_depth, max_depth, normalisation)
        table = lookup(WIDTHS, widths, "widths of fastdepth")
        self.stem = activated(nn.Conv2d(3, table.stem, 3, 2, 1, bias=False), nn.ReLU6(inplace=True), batch_norm=True)
        self.levels, self.stages = nn.ModuleList(), nn.ModuleList()
        before = table.stem
        for width, stride in zip(table.encoder, STRIDES, strict=True):
            self.levels.append(_separable(before, width, 3, stride, nn.ReLU6(inplace=True)))
            before = width
        for width in table.decoder:
            self.stages.append(_separable(before, width, 5, 1, nn.ReLU(inplace=True)))
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        self.head = DisparityHead(before, nn.Conv2d(before, 1, 1))

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        x = self.stem(image)
        skips = {}
        for i, layer in enumerate(self.levels):
            x = layer(x)
            if i in SKIPS:
                skips[SKIPS[i]] = x
        for stage, layer in enumerate(self.stages):
            x = upsample(layer(x))
            if stage in skips:
                x = x + skips[stage]
        disparity = self.head(x)
        return {0: disparity, **{scale: F.avg_pool2d(disparity, 1 << scale) for scale in (1, 2, 3)}}


def _separable(before: int, after: int, kernel: int, stride: int, activation: nn.Module) -> nn.Sequential:
    """Depthwise convolution, then 1x1; each normalised and activated."""
    depthwise = nn.Conv2d(before, before, kernel, stride, kernel // 2, groups=before, bias=False)
    pointwise = nn.Conv2d(before, after, 1, bias=False)
    return nn.Sequential(*activated(depthwise, activation, True), *activated(pointwise, activation, True))
