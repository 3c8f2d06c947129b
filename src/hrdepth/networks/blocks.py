"""Building blocks that several decoders share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = [
    "ConvBlock",
    "DisparityHead",
    "Pointwise",
    "ReflectionConv3x3",
    "activated",
    "channels_last",
    "concatenate",
    "crop_to",
    "start_at_xavier",
    "upsample",
    "without_memory",
]


class ReflectionConv3x3(nn.Conv2d):
    """3x3 convolution with reflection padding, since zeros at the border would look like dark, distant pixels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, padding_mode="reflect")

    def forward(self, features: Tensor) -> Tensor:
        """Pad and convolve, `(B,in,H,W) -> (B,out,H,W)`."""
        # Autocast would convert to float32 for the padding and back: twice the memory for the same numbers.
        device = features.device.type
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if autocast else contextlib.nullcontext():
            padded = F.pad(features, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.weight, self.bias)


class Pointwise(nn.Conv2d):
    """1x1 convolution, `(B,in,H,W) -> (B,out,H,W)`; optionally with a gate per sample and channel, `(B,in)`.

    The gate is multiplied into the weights, so that the features are not copied.
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
        # As a matrix product, since PyTorch's 1x1 convolution of channels-last maps is slow on a CPU.
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
        return F.elu(self.conv(features), inplace=True)  # in place: the convolution's output is not used otherwise


def activated(layer: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module, batch_norm: bool) -> nn.Sequential:
    """Return a convolution and its activation, with batch norm between them if wanted."""
    between = [nn.BatchNorm2d(layer.out_channels)] if batch_norm else []
    return nn.Sequential(layer, *between, activation)


def start_at_xavier(network: nn.Module) -> None:
    """Initialise all convolutions of a network with Xavier's uniform weights and zero bias."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def channels_last(network: nn.Module) -> None:
    """Store a network's 2D kernels in channels-last order; 3D kernels, which have no such order, are unchanged.

    `Module.to(memory_format=...)` refuses networks that have both.
    """
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


class DisparityHead(nn.Module):
    """3x3 convolution and sigmoid, `(B,in,H,W) -> disparity (B,1,H,W)` (paper, Figure 3: DispConv).

    Args:
        in_channels: of the features.
        conv: another convolution to one channel, in place of the default.
    """

    def __init__(self, in_channels: int, conv: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.conv = conv or ReflectionConv3x3(in_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return disparity in (0,1)."""
        # In float32 even under autocast: bfloat16 has three digits, an error of metres for distant points.
        return torch.sigmoid(self.conv(features).float())


def upsample(features: Tensor) -> Tensor:
    """Double height and width by nearest neighbour.

    Note:
        The paper says bilinear; the released networks use nearest, and their weights need it.
    """
    return F.interpolate(features, scale_factor=2.0, mode="nearest")


def concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Concatenate maps (B,C,H,W) along channels.

    Their gradients are slices of one large map; each is made contiguous, since elementwise operations on a CPU take
    twenty times as long for a slice.
    """
    for part in parts:
        if part.requires_grad and not torch.compiler.is_compiling():
            part.register_hook(_dense)  # type: ignore[no-untyped-call]
    return torch.cat(list(parts), dim=1)


def _dense(gradient: Tensor) -> Tensor:
    channels_last = gradient.stride(1) == 1
    return gradient.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def crop_to(features: Tensor, like: Tensor) -> Tensor:
    """Crop features to the size of `like`: 3 rows, halved to 2 and doubled to 4, are one too many."""
    return features[..., : like.shape[-2], : like.shape[-1]]


@contextlib.contextmanager
def without_memory() -> Iterator[None]:
    """Build networks on PyTorch's meta device, where tensors have shapes alone; no initial weights are drawn."""
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    """Skip the drawing of random numbers, for which PyTorch takes longer on the meta device than on a CPU."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        draws = function in (torch.Tensor.normal_, torch.Tensor.uniform_)
        if draws or getattr(function, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return function(*args, **(kwargs or {}))
