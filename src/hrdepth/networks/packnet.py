"""PackNet: packs height and width into channels and compresses them by 3D convolutions; unpacking is the inverse."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.errors import InputError
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import DisparityHead, concatenate, start_at_xavier, upsample

__all__ = ["PackNet"]

GROUPS = 16  # of the group normalisation
FEATURES_3D = 8  # D, maps of the 3D convolution
BLOCKS = (2, 2, 3, 3)  # residual blocks at strides 2 to 16
PACK_KERNELS = (5, 3, 3, 3, 3)


class _Conv(nn.Sequential):
    """Convolution, group normalisation and ELU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2),
            nn.GroupNorm(GROUPS, out_channels),
            nn.ELU(inplace=True),
        )


class _Residual(nn.Module):
    """Two 3x3 convolutions and a parallel 1x1 convolution; their sum is normalised and activated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_Conv(in_channels, out_channels, 3), _Conv(out_channels, out_channels, 3))
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.normalise = nn.GroupNorm(GROUPS, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.elu(self.normalise(self.branch(features) + self.shortcut(features)))


class _Convolution3d(nn.Conv3d):
    """3D convolution over channels, rows and columns, `(B,C,H,W) -> (B,D*C,H,W)`."""

    def __init__(self) -> None:
        super().__init__(1, FEATURES_3D, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.unsqueeze(1)).flatten(1, 2)


class _Pack(nn.Module):
    """Halve height and width, `(B,C,H,W) -> (B,C,H/2,W/2)`, by a learned compression instead of pooling."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv3d = _Convolution3d()
        self.conv = _Conv(4 * FEATURES_3D * channels, channels, kernel)

    def forward(self, features: Tensor) -> Tensor:
        packed: Tensor = self.conv(self.conv3d(F.pixel_unshuffle(features, 2)))
        return packed


class _Unpack(nn.Module):
    """Double height and width, `(B,in,H,W) -> (B,out,2H,2W)`: the mirror of `_Pack`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = _Conv(in_channels, 4 * out_channels // FEATURES_3D, 3)
        self.conv3d = _Convolution3d()

    def forward(self, features: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv3d(self.conv(features)), 2)


class PackNet(DepthNetwork):
    """PackNet-SfM's depth network, version 1A (skips concatenated): 128.3M parameters.

    Args:
        width: channels at full size, a multiple of 32; 64 is the published network, 32 has a quarter of its weights.
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: the width is not a multiple of 32.

    Source: Guizilini et al., "3D Packing for Self-Supervised Monocular Depth Estimation", CVPR 2020, Table 1 and
    section 4; kernels, group normalisation and D = 8 as in the authors' repository (MIT), `PackNet01`.

    Note:
        The original output is inverse depth, 2 sigmoid: at least 0.5 units, without a largest depth. Here the sigmoid
        is the disparity and `min_depth` is 0.5; `max_depth` limits depth, which changes inverse depth by at most 0.01.
        The finer levels read the coarser inverse depth in its original unit, as published.

    Example:
        >>> import torch
        >>> PackNet(width=32)(torch.rand(1, 3, 64, 64))[3].shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(
        self, width: int = 64, min_depth: float = 0.5, max_depth: float = 100.0, normalisation: str = "none"
    ) -> None:
        super().__init__(min_depth, max_depth, normalisation)
        if not isinstance(width, int) or width < 32 or width % 32:
            raise InputError(f"width {width!r} of packnet must be a multiple of 32, such as 64, the published one")
        widths = (width, width, 2 * width, 4 * width, 8 * width)  # of levels 1 to 5, at strides 1 to 16
        self.first = _Conv(3, width, 5)
        self.levels = nn.ModuleList([_Conv(width, width, 7)])
        for blocks, before, after in zip(BLOCKS, widths, widths[1:], strict=False):
            self.levels.append(nn.Sequential(*(_Residual(after if i else before, after) for i in range(blocks))))
        self.pack = nn.ModuleList(map(_Pack, widths, PACK_KERNELS))
        self.unpack, self.fuse = nn.ModuleList(), nn.ModuleList()
        for level, out in enumerate(widths):
            self.unpack.append(_Unpack(widths[min(level + 1, 4)], out))
            skip = widths[max(level - 1, 0)]
            self.fuse.append(_Conv(out + skip + (level < 3), out, 3))  # and, below level 4, the coarser disparity
        self.heads = nn.ModuleList(
            DisparityHead(channels, nn.Conv2d(channels, 1, 3, padding=1)) for channels in widths[:4]
        )
        start_at_xavier(self)

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Return `{s: disparity}`; see `DepthNetwork.forward`."""
        packed = [self.first(image)]
        for blocks, pack in zip(self.levels, self.pack, strict=True):
            packed.append(pack(blocks(packed[-1])))
        features = packed.pop()
        disparities: dict[int, Tensor] = {}
        for level in (4, 3, 2, 1, 0):
            joined = [self.unpack[level](features), packed[level]]
            if level < 3:
                joined.append(upsample(disparities[level + 1]) / self.min_depth)
            features = self.fuse[level](concatenate(joined))
            if level < 4:
                disparities[level] = self.heads[level](features)
        return dict(sorted(disparities.items()))
