"""The pose network: how the camera moved between two frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrdepth.networks.backbones import build_backbone
from hrdepth.networks.blocks import Normalisation

__all__ = ["PoseNet", "temporal_pair"]


class PoseNet(nn.Module):
    """ResNet-18 on two stacked frames and four convolutions; the decoder has 1,314,572 parameters.

    Args:
        backbone: the name of a timm network.
        weights: the backbone's start: None, `"imagenet"` (its first layer repeated for both frames) or a local file.
        normalisation: of the frames: `released`, `imagenet` or `none`.

    Source: paper, section "Implementation Details", PoseNet; Godard et al. 2019.

    Note:
        The paper lists translation before Euler angles; the released weights give axis-angle, then translation,
        both times 0.01, for two pairs, of which the first is used.

    Example:
        >>> axis_angle, translation = PoseNet()(torch.rand(2, 6, 64, 96))
        >>> axis_angle.shape, translation.shape
        (torch.Size([2, 2, 1, 3]), torch.Size([2, 2, 1, 3]))
    """

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, backbone: str = "resnet18", weights: str | None = None, normalisation: str = "released") -> None:
        super().__init__()
        self.normalise = Normalisation(normalisation, images=2)
        self.encoder = build_backbone(backbone, weights=weights, in_channels=6, coarsest=True)
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.decoder = nn.Sequential(
            nn.Conv2d(channels[-1], 256, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 12, 1),
        )

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the motion from the first frame of a pair to the second.

        Args:
            pair: (B,6,H,W) in [0,1]: two frames in temporal order, stacked along channels.

        Returns:
            Axis-angle in radians (B,2,1,3) and translation in network units (B,2,1,3); index 0 of the second axis
            is the pair's motion. `geometry.pose_matrix` makes of it the transform of points from the first camera
            to the second.
        """
        features = self.encoder(self.normalise(pair))[-1]
        # Float32 whatever the autocast: a hundredth of a bfloat16 number is no motion to speak of.
        motion = 0.01 * self.decoder(features).float().mean(dim=(2, 3)).view(-1, 2, 1, 6)
        return motion[..., :3], motion[..., 3:]


def temporal_pair(target: Tensor, source: Tensor, offset: int) -> Tensor:
    """Stack two frames (B,3,H,W) in temporal order to (B,6,H,W); `offset` < 0 means that the source came earlier."""
    return torch.cat([source, target] if offset < 0 else [target, source], dim=1)
