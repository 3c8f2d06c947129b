"""HR-Depth and Lite-HR-Depth: dense skip connections, fused by squeeze and excitation.

One decoder serves both; the networks differ in the numbers of `DecoderTable`, not in code.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.networks.backbones import build_backbone
from hrdepth.networks.blocks import ConvBlock, DepthNetwork, DisparityHead, Pointwise, upsample

__all__ = ["DecoderTable", "FeatureFusionSE", "HRDepth", "HRDepthDecoder", "LiteHRDepth"]

# Node (row, column): the row is the stride (0 is 2), the column counts along the skip connection; (row, 0) is the
# encoder's. Listed in the order of computation, each after those that it reads (paper, Figure 3 and eq. 6, 7).
NODES = ("01", "11", "21", "31", "02", "12", "22", "03", "13", "04")
# The last node of each row is the decoder's X_i^d, fused by fSE; the others are plain fusion nodes X_{i,j}.
LAST_OF_ROW = ("31", "22", "13", "04")


@dataclass(frozen=True)
class DecoderTable:
    """The numbers in which HR-Depth and Lite-HR-Depth differ.

    Attributes:
        widths: channels of the nodes in rows 0 to 3.
        squeeze: put a bias-free 1x1 convolution before the fusion nodes from column 2 on, down to twice the width.
        reduction: r of the fSE module, eq. 9.
    """

    widths: tuple[int, int, int, int]
    squeeze: bool
    reduction: int = 16


class FeatureFusionSE(nn.Module):
    """Feature fusion squeeze and excitation, `(B,in,H,W) -> (B,out,H,W)`.

    Weighs each channel by a gate computed from all channels' means, then mixes them with a 1x1 convolution.

    Source: paper, section "Feature Fusion SE Block", eq. 9.

    Note:
        The paper sets r = 4; its parameter counts and the released weights agree with r = 16 only. As released,
        the fully connected layers have no bias, and a ReLU follows the 1x1 convolution.

    Example:
        >>> FeatureFusionSE(192, 32)(torch.zeros(2, 192, 6, 20)).shape
        torch.Size([2, 32, 6, 20])
    """

    def __init__(self, in_channels: int, out_channels: int, reduction: int = 16) -> None:
        super().__init__()
        if not 1 <= reduction <= in_channels:
            raise InputError(f"fse_reduction {reduction} must lie between 1 and the fused channels, here {in_channels}")
        self.gate = nn.Sequential(
            nn.Linear(in_channels, in_channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(in_channels // reduction, in_channels, bias=False),
            nn.Sigmoid(),
        )
        self.mix = Pointwise(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the fused features."""
        gate = self.gate(features.mean(dim=(2, 3)))  # (B,in)
        return torch.relu_(self.mix(features, gate))


class FusionNode(nn.Module):
    """A plain fusion node X_{i,j}: an optional 1x1 squeeze, then 3x3 and ELU (paper, eq. 6).

    Note:
        The paper names the 3x3 convolution only; the released HR-Depth squeezes first from column 2 on.
    """

    def __init__(self, in_channels: int, out_channels: int, squeezed: int | None) -> None:
        super().__init__()
        self.squeeze = Pointwise(in_channels, squeezed, bias=False) if squeezed else nn.Identity()
        self.fuse = ConvBlock(squeezed or in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the fused features."""
        fused: Tensor = self.fuse(self.squeeze(features))
        return fused


class HRDepthDecoder(nn.Module):
    """Five encoder maps to four disparities, through ten densely connected nodes.

    Node (i,j) reads, in this order, the node (i+1,j-1) reduced to half its channels and upsampled, and all nodes
    (i,0) to (i,j-1). Heads sit on the final map and on the last nodes of rows 0, 1 and 2.

    Args:
        encoder_channels: of the five encoder maps, finest first.
        table: the numbers of the decoder.

    Source: paper, section "Redesign Skip Connection", eq. 5 to 7.

    Note:
        Encoder-side reductions that the release builds but never reads (nodes 00, 01, 02, 03) are not built.
    """

    def __init__(self, encoder_channels: tuple[int, ...], table: DecoderTable) -> None:
        super().__init__()
        channels = {f"{row}0": width for row, width in enumerate(encoder_channels)}
        self.reduce = nn.ModuleDict()
        self.nodes = nn.ModuleDict()
        for name in NODES:
            row, column = map(int, name)
            below = f"{row + 1}{column - 1}"
            halved = channels[below] // 2
            self.reduce[below] = ConvBlock(channels[below], halved)
            width = table.widths[row]
            fan_in = halved + sum(channels[f"{row}{k}"] for k in range(column))
            if name in LAST_OF_ROW:
                self.nodes[name] = FeatureFusionSE(fan_in, width, table.reduction)
            else:
                squeezed = 2 * width if table.squeeze and column > 1 else None
                self.nodes[name] = FusionNode(fan_in, width, squeezed)
            channels[name] = width
        first, second, third, _ = table.widths
        final = first // 2
        self.reduce["04"] = ConvBlock(first, final)
        self.final = ConvBlock(final, final)
        self.heads = nn.ModuleList(DisparityHead(width) for width in (final, first, second, third))

    def forward(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        maps = {f"{row}0": feature for row, feature in enumerate(features)}
        for name, node in self.nodes.items():
            row, column = map(int, name)
            below = f"{row + 1}{column - 1}"
            raised = upsample(self.reduce[below](maps[below]))
            maps[name] = node(torch.cat([raised, *(maps[f"{row}{k}"] for k in range(column))], dim=1))
        final = self.final(upsample(self.reduce["04"](maps["04"])))
        read = (final, maps["04"], maps["13"], maps["22"])
        return {scale: head(read[scale]) for scale, head in enumerate(self.heads)}


class HRDepth(DepthNetwork):
    """HR-Depth: a ResNet-18 encoder and the dense decoder; 14.07M parameters, of which the decoder has 2,891,796.

    Args:
        backbone: see `build_backbone`.
        weights: the backbone's start: None, `"imagenet"` or a local file.
        fse_reduction: r of eq. 9.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.

    Source: paper, section "HR-Depth Network".

    Note:
        The paper's count of 14.62M includes ResNet-18's unused classifier and the decoder's unused reductions.

    Example:
        >>> disparities = HRDepth()(torch.rand(1, 3, 64, 96))
        >>> [tuple(disparities[s].shape) for s in range(4)]
        [(1, 1, 64, 96), (1, 1, 32, 48), (1, 1, 16, 24), (1, 1, 8, 12)]
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        weights: str | None = None,
        fse_reduction: int = 16,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
    ) -> None:
        super().__init__(min_depth, max_depth)
        self.encoder = build_backbone(backbone, weights=weights)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        table = DecoderTable(_half_of_the_next(channels), squeeze=True, reduction=fse_reduction)
        self.decoder = HRDepthDecoder(channels, table)


class LiteHRDepth(DepthNetwork):
    """Lite-HR-Depth: a MobileNetV3-Large encoder and a slim dense decoder; 3.11M parameters.

    Args:
        backbone: `mobilenet_v3_large`, or `mobilenet_v3_large_authors` for the authors' weights.
        weights: the backbone's start: None, `"imagenet"` or a local file.
        fse_reduction: r of eq. 9.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.

    Source: paper, section "Lite-HR-Depth".

    Example:
        >>> LiteHRDepth()(torch.rand(1, 3, 64, 96))[0].shape
        torch.Size([1, 1, 64, 96])
    """

    def __init__(
        self,
        backbone: str = "mobilenet_v3_large",
        weights: str | None = None,
        fse_reduction: int = 16,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
    ) -> None:
        super().__init__(min_depth, max_depth)
        self.encoder = build_backbone(backbone, weights=weights)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        table = DecoderTable((8, 24, 40, 80), squeeze=False, reduction=fse_reduction)
        self.decoder = HRDepthDecoder(channels, table)


def _half_of_the_next(channels: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = (below // 2 for _, below in pairwise(channels))
    return a, b, c, d
