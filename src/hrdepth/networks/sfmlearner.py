"""SfMLearner: the depth network of the first work that learnt depth from video alone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.geometry import scaled_disparity
from hrdepth.networks.blocks import activated, start_at_xavier
from hrdepth.networks.dispnet import DispNet

__all__ = ["SfMLearner"]


class SfMLearner(DispNet):
    """SfMLearner's DispNet: 31.6M parameters; upsamples by 3x3 deconvolutions, activates by ReLU.

    Args:
        batch_norm: in all layers but those of disparity, as in the paper; needs batches of two or more at the smallest
            sizes. The authors' code of later has none, as it did not help with batches of four (their issue 30).
        min_depth: depth at disparity 1, network units.
        max_depth: depth at disparity 0, network units.
        normalisation: of the image: `released`, `imagenet` or `none`.

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
