"""SfMLearner: the depth network of the first work that learnt depth from video alone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.geometry import scaled_disparity
from hrdepth.networks.dispnet import DispNet

__all__ = ["SfMLearner"]


class SfMLearner(DispNet):
    """SfMLearner's DispNet: 31.6M parameters; upsamples by 3x3 deconvolutions, activates by ReLU.

    Args:
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the picture: `released`, `imagenet` or `none`.

    Source: Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, section 3.5 and
    Figure 4a.

    Note:
        Its own output is depth = 1 / (10 sigmoid + 0.01). The sigmoid is our disparity, and with the default range,
        1/10.01 to 100, the conversion is exact. Finer levels read the coarser inverse depth in its own unit.

    Example:
        >>> import torch
        >>> SfMLearner()(torch.rand(1, 3, 64, 64))[3].shape
        torch.Size([1, 1, 8, 8])
    """

    def __init__(self, min_depth: float = 1 / 10.01, max_depth: float = 100.0, normalisation: str = "none") -> None:
        super().__init__(_Deconvolution, _activation, min_depth, max_depth, normalisation)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def coarser(self, disparity: Tensor) -> Tensor:
        """See `DispNet.coarser`."""
        inverse_depth = scaled_disparity(disparity, self.min_depth, self.max_depth)
        return F.interpolate(inverse_depth, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Deconvolution(nn.Sequential):
    """3x3 deconvolution with stride 2 and its activation, `(B,in,H,W) -> (B,out,2H,2W)`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1), _activation()
        )


def _activation() -> nn.Module:
    return nn.ReLU(inplace=True)
