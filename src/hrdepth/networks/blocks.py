"""Building blocks that several decoders share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hrdepth.errors import InputError
from hrdepth.geometry import depth_to_disparity
from hrdepth.registry import lookup

__all__ = [
    "ConvBlock",
    "DepthNetwork",
    "DisparityHead",
    "Normalisation",
    "Pointwise",
    "ReflectionConv3x3",
    "activated",
    "channels_last",
    "concatenate",
    "crop_to",
    "start_at_xavier",
    "upsample",
]

# Mean and standard deviation of an image's channels in [0,1]. The released networks use two numbers for all channels;
# timm's weights were trained with those of ImageNet, or one near them.
NORMALISATIONS = {
    "released": ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


class Normalisation(nn.Module):
    """Subtract a mean and divide by a standard deviation, channel by channel, inside the network.

    Args:
        name: a key of `NORMALISATIONS`.
        images: how many images are stacked along channels.

    Raises:
        InputError: an unknown name.

    Example:
        >>> Normalisation("none")(torch.full((1, 3, 2, 2), 0.25)).mean()
        tensor(0.2500)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str = "released", images: int = 1) -> None:
        super().__init__()
        mean, std = lookup(NORMALISATIONS, name, "normalisation")
        # Not in the state dict: the name in the config says it all, and published weights have no such tensors.
        self.register_buffer("mean", torch.tensor(mean * images).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std * images).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the normalised image (B,C,H,W)."""
        return (image - self.mean) / self.std


class ReflectionConv3x3(nn.Conv2d):
    """3x3 convolution with reflection padding: zeros at the border would look like dark, far pixels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """Pad and convolve, `(B,in,H,W) -> (B,out,H,W)`."""
        # Autocast would bring what is padded to float32, and back: twice the memory for the same numbers.
        device = features.device.type
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if autocast else contextlib.nullcontext():
            padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.weight, self.bias)


class Pointwise(nn.Conv2d):
    """1x1 convolution, `(B,in,H,W) -> (B,out,H,W)`; optionally with one gate a channel and sample, `(B,in)`.

    The gate goes into the weights, so that the features are read once and never copied.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, features: Tensor, gate: Tensor | None = None) -> Tensor:
        """Mix the channels of every pixel."""
        channels_last = features.is_contiguous(memory_format=torch.channels_last)
        if gate is None and not channels_last:
            return super().forward(features)
        weight = self.weight.flatten(1)  # (out,in)
        if gate is not None:
            weight = weight * gate[:, None]  # (B,out,in)
        # As a product of matrices, since PyTorch's 1x1 convolution of channels-last maps is slow on a CPU.
        if channels_last:
            pixels = features.permute(0, 2, 3, 1)  # (B,H,W,in)
            mixed = pixels.flatten(1, 2) @ weight.mT  # (B,H*W,out)
            mixed = mixed if self.bias is None else mixed + self.bias.to(mixed.dtype)
            return mixed.view(*pixels.shape[:3], -1).permute(0, 3, 1, 2)
        mixed = weight @ features.flatten(2)  # (B,out,H*W)
        mixed = mixed if self.bias is None else mixed + self.bias.to(mixed.dtype)[:, None]
        return mixed.view(*mixed.shape[:2], *features.shape[2:])


class ConvBlock(nn.Module):
    """3x3 convolution and ELU, `(B,in,H,W) -> (B,out,H,W)`."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ReflectionConv3x3(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return the activated features."""
        return F.elu(self.conv(features), inplace=True)  # in place: nobody reads the convolution's own output


def activated(layer: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module, batch_norm: bool) -> nn.Sequential:
    """Return a convolution and its activation, with batch norm between them if wanted."""
    between = [nn.BatchNorm2d(layer.out_channels)] if batch_norm else []
    return nn.Sequential(layer, *between, activation)


def start_at_xavier(network: nn.Module) -> None:
    """Start all convolutions of a network at Xavier's weights and no bias."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def channels_last(network: nn.Module) -> None:
    """Keep a network's 2D kernels in NHWC order; 3D ones, which have no such order, stay as they are.

    `Module.to(memory_format=...)` refuses networks that have both.
    """
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class DisparityHead(nn.Module):
    """3x3 convolution and sigmoid, `(B,in,H,W) -> disparity (B,1,H,W)` (paper, Figure 3: DispConv).

    Args:
        in_channels: of the features.
        conv: another convolution to one channel, for a network that has another.
    """

    def __init__(self, in_channels: int, conv: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.conv = conv or ReflectionConv3x3(in_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return disparity in (0,1)."""
        # In float32 whatever the autocast: bfloat16 has three digits, and far away those are metres.
        return torch.sigmoid(self.conv(features).float())


def upsample(features: Tensor) -> Tensor:
    """Double height and width by nearest neighbour.

    Note:
        The paper says bilinear; the released networks use nearest, and their weights fit no other.
    """
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate maps (B,C,H,W) along channels.

    Their gradients are slices of one large map; each is copied out before it goes further, since elementwise operations
    on a CPU take twenty times as long for a slice as for a map of its own.
    """
    for part in parts:
        if part.requires_grad and not torch.compiler.is_compiling():
            part.register_hook(_dense)  # type: ignore[no-untyped-call]
    return torch.cat(list(parts), dim=1)


def _dense(gradient: Tensor) -> Tensor:
    channels_last = gradient.stride(1) == 1
    return gradient.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def crop_to(features: Tensor, like: Tensor) -> Tensor:
    """Cut off rows and columns that `like` lacks: 3 rows, halved to 2 and doubled to 4, are one too many."""
    return features[..., : like.shape[-2], : like.shape[-1]]


class DepthNetwork(nn.Module):
    """What every depth network keeps (contract 1): normalisation, the size check, the depth range.

    A subclass builds `encoder` and `decoder`, or defines `disparities(normalised image) -> {scale: disparity}`.

    Args:
        min_depth: the depth, in network units, that disparity 1 stands for.
        max_depth: the depth that disparity 0 stands for.
        normalisation: of the image: `released`, `imagenet` or `none`.

    Raises:
        InputError: the range is empty or not positive, or the normalisation unknown.
    """

    stride = 32
    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, min_depth: float = 0.1, max_depth: float = 100.0, normalisation: str = "released") -> None:
        super().__init__()
        self.normalise = Normalisation(normalisation)
        if not 0 < min_depth < max_depth:
            raise InputError(f"the depth range {min_depth} to {max_depth} is not an increasing, positive pair")
        self.min_depth = min_depth
        self.max_depth = max_depth

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Predict disparity at four scales.

        Args:
            image: (B,3,H,W) in [0,1]; H and W are multiples of `stride`, at least twice it.

        Returns:
            `{s: disparity (B,1,H/2^s,W/2^s) in (0,1)}` for s = 0 (finest) to 3.

        Raises:
            InputError: the size is no multiple of `stride` or too small.
        """
        height, width = image.shape[-2:]
        if (height, width) != (fitting := (_nearest(height, self.stride), _nearest(width, self.stride))):
            raise InputError(
                f"an image of {height}x{width} (height x width) does not fit the network: both must be multiples "
                f"of {self.stride} and at least {2 * self.stride}, such as {fitting[0]}x{fitting[1]}"
            )
        return self.disparities(self.normalise(image))

    def start_at(self, depth: float) -> None:
        """Set the heads' biases so that an untrained network predicts about `depth`, in network units, everywhere.

        Without it the first guess is disparity 0.5, twice `min_depth`: from there, the other eye of a stereo rig sees
        nothing of what the target sees, and a network without ImageNet weights is slow to find its way.

        Raises:
            InputError: `depth` lies outside the network's range.
        """
        if not self.min_depth < depth < self.max_depth:
            raise InputError(
                f"the initial depth {depth:g} lies outside the network's range, "
                f"{self.min_depth:g} to {self.max_depth:g}"
            )
        disparity = float(depth_to_disparity(torch.tensor(depth), self.min_depth, self.max_depth))
        with torch.no_grad():
            for bias in self.head_biases():
                bias.fill_(math.log(disparity / (1 - disparity)))

    def head_biases(self) -> Iterator[Tensor]:
        """Yield the biases that disparities are the sigmoid of; a network without `DisparityHead` has its own."""
        for module in self.modules():
            if isinstance(module, DisparityHead) and module.conv.bias is not None:
                yield module.conv.bias

    def disparities(self, image: Tensor) -> dict[int, Tensor]:
        """Predict from a normalised image; a network that is no encoder and decoder has its own."""
        disparities: dict[int, Tensor] = self.decoder(self.encoder(image))
        return disparities


def _nearest(length: int, stride: int) -> int:
    """The coarsest map needs two rows and columns: reflection has nothing to mirror otherwise."""
    return max(2 * stride, round(length / stride) * stride)
