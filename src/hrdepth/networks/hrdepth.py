"""HR-Depth, Lite-HR-Depth and the variants of Table 4: skip connections, dense or plain, and how they are fused.

One decoder serves all; the networks differ in the entries of `DecoderTable`, not in code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.networks.backbones import build_backbone
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import ConvBlock, DisparityHead, Pointwise, concatenate, upsample
from hrdepth.registry import lookup

__all__ = ["DecoderTable", "FeatureFusionSE", "FusionSE", "HRDepth", "HRDepthDecoder", "LiteHRDepth"]

# Node (row, column): the row is the level (stride 2^(row + 1)), the column counts along the skip connection; (row, 0)
# is the encoder's map. In the order of computation, each after its inputs (paper, Figure 3 and eq. 6, 7).
NODES = ("01", "11", "21", "31", "02", "12", "22", "03", "13", "04")
# The last node of each row is the decoder's X_i^d, fused by fSE; the others are plain fusion nodes X_{i,j}.
LAST_OF_ROW = ("31", "22", "13", "04")
# The nodes of each kind of skip connections: a U-Net has the last of each row only.
SKIPS = {"dense": NODES, "plain": LAST_OF_ROW}


@dataclass(frozen=True)
class DecoderTable:
    """Settings of the decoder in which HR-Depth, Lite-HR-Depth and the variants of Table 4 differ.

    Attributes:
        widths: channels of the nodes in rows 0 to 3.
        squeeze: reduce to twice the width by a 1x1 convolution without bias before fusion nodes that read two or more
            maps of their row (from column 2 on).
        reduction: r of the fSE module, eq. 9.
        skip: `dense`, or `plain`: a decoder's node reads only the encoder's map of its row.
        fusion: kind of the decoder's nodes (the last of each row): `fse`, `se` or `conv`.
    """

    widths: tuple[int, ...]
    squeeze: bool
    reduction: int = 16
    skip: str = "dense"
    fusion: str = "fse"

    def __post_init__(self) -> None:
        lookup(SKIPS, self.skip, "skip")
        lookup(FUSIONS, self.fusion, "fusion")
        if len(self.widths) != 4 or not all(isinstance(width, int) and width >= 2 for width in self.widths):
            raise InputError(f"widths {list(self.widths)}: give four whole numbers of at least 2, finest row first")


class FeatureFusionSE(nn.Module):
    """Feature fusion squeeze and excitation, `(B,in,H,W) -> (B,out,H,W)`.

    Weighs each channel by a gate computed from all channels' means, then mixes them with a 1x1 convolution.

    Source: paper, section "Feature Fusion SE Block", eq. 9.

    Note:
        The paper sets r = 4; its parameter counts and the released weights need r = 16. As released,
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
        self.mix: nn.Module = Pointwise(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the fused features."""
        return torch.relu_(self.mix(features, self.gates(features)))

    def gates(self, features: Tensor) -> Tensor:
        """Return a weight in (0,1) for each channel (B,in)."""
        # The mean over pixels in channels-last order, so that its gradient has the features' memory order.
        means = features.permute(0, 2, 3, 1).flatten(1, 2).mean(dim=1)  # (B,in)
        gates: Tensor = self.gate(means)
        return gates


class FusionSE(FeatureFusionSE):
    """Squeeze and excitation before the plain node's 3x3 convolution and ELU (paper, Table 4, "SE").

    Note:
        The paper does not describe this block; with r = 16 it matches the paper's count (Table 4, dense and SE).
    """

    def __init__(self, in_channels: int, out_channels: int, reduction: int = 16) -> None:
        super().__init__(in_channels, out_channels, reduction)
        self.mix = ConvBlock(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the fused features."""
        fused: Tensor = self.mix(features * self.gates(features)[:, :, None, None])
        return fused


class FusionNode(nn.Module):
    """A plain fusion node X_{i,j}: an optional 1x1 squeeze, then 3x3 and ELU (paper, eq. 6).

    Note:
        The paper mentions the 3x3 convolution only; the released HR-Depth has the squeeze too, from column 2 on.
    """

    def __init__(self, in_channels: int, out_channels: int, squeezed: int | None) -> None:
        super().__init__()
        self.squeeze = Pointwise(in_channels, squeezed, bias=False) if squeezed else nn.Identity()
        self.fuse = ConvBlock(squeezed or in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the fused features."""
        fused: Tensor = self.fuse(self.squeeze(features))
        return fused


# Builders of decoder nodes (B,in,H,W) -> (B,out,H,W), from input and output channels, r and the squeezed width, if any.
FUSIONS: dict[str, Callable[[int, int, int, int | None], nn.Module]] = {
    "fse": lambda fan_in, width, reduction, _: FeatureFusionSE(fan_in, width, reduction),
    "se": lambda fan_in, width, reduction, _: FusionSE(fan_in, width, reduction),
    "conv": lambda fan_in, width, _, squeezed: FusionNode(fan_in, width, squeezed),
}


class HRDepthDecoder(nn.Module):
    """Five encoder maps to four disparities, through ten densely connected nodes, or four plain ones.

    Node (i,j) reads, in this order, node (i+1,j-1), reduced to half its channels and upsampled, and all existing nodes
    (i,0) to (i,j-1). Heads read the final map and the last nodes of rows 0, 1 and 2.

    Args:
        encoder_channels: of the five encoder maps, finest first.
        table: the decoder's settings.

    Source: paper, section "Redesign Skip Connection", eq. 5 to 7.

    Note:
        For j > 1, eq. 6 reads U(x^d_{i+1}), the last node of the row below; as the release and UNet++, this reads
        node (i+1,j-1) for every j. Encoder-side reductions that the release builds but never reads (nodes 00, 01, 02,
        03) are not built.
    """

    def __init__(self, encoder_channels: tuple[int, ...], table: DecoderTable) -> None:
        super().__init__()
        channels = {f"{row}0": width for row, width in enumerate(encoder_channels)}
        self.reduce = nn.ModuleDict()
        self.nodes = nn.ModuleDict()
        for name in SKIPS[table.skip]:
            row, column = map(int, name)
            below = f"{row + 1}{column - 1}"
            halved = channels[below] // 2
            self.reduce[below] = ConvBlock(channels[below], halved)
            width = table.widths[row]
            read = [channels[skip] for skip in _skips(name, channels)]
            squeezed = 2 * width if table.squeeze and len(read) > 1 else None
            make = FUSIONS[table.fusion if name in LAST_OF_ROW else "conv"]
            self.nodes[name] = make(halved + sum(read), width, table.reduction, squeezed)
            channels[name] = width
        first, second, third, _ = table.widths
        final = first // 2
        self.reduce["04"] = ConvBlock(first, final)
        self.final = ConvBlock(final, final)
        self.heads = nn.ModuleList(DisparityHead(width) for width in (final, first, second, third))
        # Of the nodes 00 to 03.
        self.unread_channels = [channels[f"0{column}"] for column in range(4)] if table.skip == "dense" else []

    def unread_parameters(self) -> int:
        """Count the parameters of the reductions that the release builds but never reads."""
        return sum((9 * channels + 1) * (channels // 2) for channels in self.unread_channels)

    def forward(self, features: list[Tensor]) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        maps = {f"{row}0": feature for row, feature in enumerate(features)}
        for name, node in self.nodes.items():
            row, column = map(int, name)
            below = f"{row + 1}{column - 1}"
            raised = upsample(self.reduce[below](maps[below]))
            maps[name] = node(concatenate([raised, *(maps[skip] for skip in _skips(name, maps))]))
        final = self.final(upsample(self.reduce["04"](maps["04"])))
        read = (final, maps["04"], maps["13"], maps["22"])
        return {scale: head(read[scale]) for scale, head in enumerate(self.heads)}


def _skips(name: str, nodes: Collection[str]) -> list[str]:
    """Return the existing nodes that precede `name` in its row."""
    return [skip for skip in (f"{name[0]}{column}" for column in range(int(name[1]))) if skip in nodes]


class HRDepth(DepthNetwork):
    """HR-Depth: a ResNet-18 encoder and the dense decoder; 14.07M parameters, of which the decoder has 2,891,796.

    Args:
        backbone: see `build_backbone`.
        weights: the backbone's initial weights: None, `"imagenet"`, `"imagenet:TAG"` or a local file.
        fse_reduction: r of eq. 9.
        skip: `dense`, or `plain` as in a U-Net.
        fusion: kind of the decoder's nodes: `fse`, `se` (squeeze and excitation, then 3x3) or `conv` (3x3).
        widths: channels of the nodes in rows 0 to 3; None for half the channels of the encoder's next map.
        squeeze: use a 1x1 convolution before fusion nodes from column 2 on.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Source: paper, section "HR-Depth Network" and Table 4.

    Note:
        The paper's counts (`paper.yaml`, Table 4) include ResNet-18's unused classifier and the decoder's unused
        reductions. Counted in this way, the variants have, in millions: dense and conv 16.057, plain and fse 13.486,
        dense and se 16.236, dense and fse 14.614. Plain and conv is the baseline, `monodepth2` with other names of
        tensors: 14.842.

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
        skip: str = "dense",
        fusion: str = "fse",
        widths: Sequence[int] | None = None,
        squeeze: bool = True,
        min_depth: float = 0.1,
        max_depth: float = 100.0,
        normalisation: str = "released",
    ) -> None:
        super().__init__(min_depth, max_depth, normalisation)
        self.encoder = build_backbone(backbone, weights=weights)
        channels = self.encoder.channels
        rows = tuple(widths) if widths is not None else tuple(below // 2 for _, below in pairwise(channels))
        self.decoder = HRDepthDecoder(channels, DecoderTable(rows, squeeze, fse_reduction, skip, fusion))


# Lite-HR-Depth: a MobileNetV3-Large encoder and a slim dense decoder; 3.11M parameters (paper, "Lite-HR-Depth").
# The authors' weights need `backbone: mobilenet_v3_large_authors`.
LiteHRDepth = partial(HRDepth, backbone="mobilenet_v3_large", widths=(8, 24, 40, 80), squeeze=False)
