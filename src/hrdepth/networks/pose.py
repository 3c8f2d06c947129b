"""Pose networks: the camera's motion between two frames."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.networks.backbones import build_backbone
from hrdepth.networks.base import Normalisation
from hrdepth.networks.blocks import activated, start_at_xavier

__all__ = ["PoseCNN", "PoseNet", "euler_to_axis_angle", "temporal_pair"]

# PoseCNN's layers.
ENCODER = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3))  # channels and kernels, strides 2 to 32: shared
POSE = (256, 256)  # channels of the pose's own two convolutions, strides 64 and 128
DECODER = ((256, 3), (128, 3), (64, 3), (32, 5), (16, 7))  # of the deconvolutions, strides 16 to 1


class PoseNet(nn.Module):
    """ResNet-18 on two stacked frames and four convolutions; the decoder has 1,314,572 parameters.

    Args:
        backbone: the name of a timm network.
        weights: the backbone's initial weights: None, `"imagenet"`, `"imagenet:TAG"` (the first layer repeated for
            both frames) or a local file.
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
        channels = self.encoder.channels
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
            is the pair's motion. `geometry.pose_matrix` converts it to the transform of points from the first camera
            to the second.
        """
        features = self.encoder(self.normalise(pair))[-1]
        # In float32 even under autocast, since bfloat16 is too coarse for small motions.
        motion = 0.01 * self.decoder(features).float().mean(dim=(2, 3)).view(-1, 2, 1, 6)
        return motion[..., :3], motion[..., 3:]


class PoseCNN(nn.Module):
    """Seven convolutions with stride 2, a 1x1 convolution and a mean over the image: 1,586,774 parameters.

    Args:
        explainability: build the five deconvolutions of the explainability mask too.
        batch_norm: in all layers except those of motion and masks, as in the paper; see `SfMLearner`.
        normalisation: of the frames: `released`, `imagenet` or `none`.

    Source: Zhou et al. 2017, section 3.5 and Figure 4b.

    Note:
        The original network reads all frames at once and returns three Euler angles and a translation for each source.
        Here the input is a pair of frames (as for `PoseNet`), and the angles, about x, y and z, R = Rx Ry Rz, are
        converted to axis-angle. Both are multiplied by 0.01, as in `PoseNet`, so that the initial motion is small. The
        mask has one channel instead of two with a softmax, which are redundant.

    Example:
        >>> network = PoseCNN(explainability=True)
        >>> network(torch.rand(2, 6, 64, 96))[0].shape, network.explain(torch.rand(2, 6, 64, 96))[3].shape
        (torch.Size([2, 1, 1, 3]), torch.Size([2, 1, 8, 12]))
    """

    def __init__(self, explainability: bool = False, batch_norm: bool = False, normalisation: str = "none") -> None:
        super().__init__()
        self.normalise = Normalisation(normalisation, images=2)
        channels = (6, *(width for width, _ in ENCODER))
        self.encoder = nn.Sequential(
            *(
                _down(before, after, kernel, batch_norm)
                for (before, after), (_, kernel) in zip(pairwise(channels), ENCODER, strict=True)
            )
        )
        self.decoder = nn.Sequential(
            *(_down(before, after, 3, batch_norm) for before, after in pairwise((channels[-1], *POSE))),
            nn.Conv2d(POSE[-1], 6, 1),
        )
        self.explainability = _Explainability(channels[-1], batch_norm) if explainability else None
        start_at_xavier(self)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Estimate the motion from the first frame of a pair to the second.

        Args:
            pair: (B,6,H,W) in [0,1]: two frames in temporal order, stacked along channels.

        Returns:
            Axis-angle in radians (B,1,1,3) and translation in network units (B,1,1,3), as `PoseNet`.
        """
        motion = 0.01 * self.decoder(self.encoder(self.normalise(pair))).float().mean(dim=(2, 3)).view(-1, 1, 1, 6)
        return euler_to_axis_angle(motion[..., :3]), motion[..., 3:]

    def explain(self, pair: Tensor) -> dict[int, Tensor]:
        """Predict how well each pixel of the target is explained by depth and motion.

        Args:
            pair: (B,6,H,W) in [0,1]; H and W are multiples of 32.

        Returns:
            `{s: (B,1,H/2^s,W/2^s) in (0,1)}` for s = 0 to 3.

        Raises:
            InputError: the network was built without the mask.
        """
        if self.explainability is None:
            raise InputError("this pose network has no explainability mask; build it with its option explainability")
        masks: dict[int, Tensor] = self.explainability(self.encoder(self.normalise(pair)))
        return masks


class _Explainability(nn.Module):
    """Five deconvolutions from stride 32 to 1, with a mask after each of the last four."""

    def __init__(self, in_channels: int, batch_norm: bool) -> None:
        super().__init__()
        self.raise_ = nn.ModuleList()
        self.heads = nn.ModuleList()
        for level, (width, kernel) in enumerate(DECODER):
            layer = nn.ConvTranspose2d(
                in_channels, width, kernel, 2, kernel // 2, output_padding=1, bias=not batch_norm
            )
            self.raise_.append(activated(layer, nn.ReLU(inplace=True), batch_norm))
            if level:
                self.heads.append(nn.Conv2d(width, 1, kernel, padding=kernel // 2))
            in_channels = width

    def forward(self, features: Tensor) -> dict[int, Tensor]:
        masks = {}
        for level, layer in enumerate(self.raise_):
            features = layer(features)
            if level:
                masks[4 - level] = torch.sigmoid(self.heads[level - 1](features).float())
        return dict(sorted(masks.items()))


def euler_to_axis_angle(angles: Tensor) -> Tensor:
    """Convert rotations about x, y and z, R = Rx Ry Rz, to axis-angle, (...,3) radians each.

    Via quaternions, whose gradient is finite at zero rotation, where training starts.

    Example:
        >>> euler_to_axis_angle(torch.tensor([0.0, 0.3, 0.0]))
        tensor([0.0000, 0.3000, 0.0000])
    """
    (cx, cy, cz), (sx, sy, sz) = ((f(angles / 2)).unbind(-1) for f in (torch.cos, torch.sin))
    w = cx * cy * cz - sx * sy * sz
    vector = torch.stack(
        [sx * cy * cz + cx * sy * sz, cx * sy * cz - sx * cy * sz, cx * cy * sz + sx * sy * cz], dim=-1
    )
    length = torch.sqrt((vector * vector).sum(-1) + 1e-14)
    return (2 * torch.atan2(length, w) / length)[..., None] * vector


def _down(before: int, after: int, kernel: int, batch_norm: bool) -> nn.Sequential:
    layer = nn.Conv2d(before, after, kernel, 2, kernel // 2, bias=not batch_norm)
    return activated(layer, nn.ReLU(inplace=True), batch_norm)


def temporal_pair(target: Tensor, source: Tensor, offset: int) -> Tensor:
    """Stack two frames (B,3,H,W) in temporal order to (B,6,H,W); `offset` < 0 means that the source came earlier."""
    return torch.cat([source, target] if offset < 0 else [target, source], dim=1)
