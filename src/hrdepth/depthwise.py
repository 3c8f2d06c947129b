"""Depthwise convolutions whose bfloat16 does not slow them down on a CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["fast_depthwise", "has_depthwise"]


def has_depthwise(network: nn.Module) -> bool:
    """Tell whether a network has convolutions with a group for each channel."""
    return any(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in network.modules())


def fast_depthwise(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Let a network's depthwise convolutions compute their gradients in float32, where autocast is on on a CPU.

    oneDNN has fast kernels for them in float32 alone: in bfloat16 their backward pass takes up to eight times as long,
    which costs MobileNetV3 and EfficientNet more than bfloat16 gains elsewhere. The forward pass, and all that is kept
    for the backward pass, stay in bfloat16. Without autocast and on other devices nothing changes.

    Args:
        forward: the network's.

    Returns:
        One that gives the same.
    """

    @functools.wraps(forward)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        with _FastDepthwise():
            return forward(*arguments, **keywords)

    return wrapped


class _FastDepthwise(TorchFunctionMode):
    """Takes the depthwise convolutions out of all that is called within; how a backbone pads does not matter then."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        call = _conv2d if func is torch.conv2d and torch.is_autocast_enabled("cpu") else func
        return call(*args, **(kwargs or {}))


def _conv2d(
    image: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if image.device.type != "cpu" or isinstance(padding, str) or not 1 < groups == image.shape[1] == weight.shape[0]:
        return torch.conv2d(image, weight, bias, stride, padding, dilation, groups)
    dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        out: Tensor = _Depthwise.apply(image.to(dtype), weight, _pair(stride), _pair(padding), _pair(dilation))
        return out if bias is None else out + bias.to(dtype)[:, None, None]


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image: Tensor, weight: Tensor, stride: list[int], padding: list[int], dilation: list[int]
    ) -> Tensor:
        ctx.save_for_backward(image, weight)
        ctx.settings = stride, padding, dilation
        return torch.conv2d(image, weight.to(image.dtype), None, stride, padding, dilation, image.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        image, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.settings
        of_image, of_weight, _ = torch.ops.aten.convolution_backward(
            gradient.float(),
            image.float(),
            weight.float(),
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            image.shape[1],
            [*ctx.needs_input_grad[:2], False],
        )
        of_image = None if of_image is None else of_image.to(image.dtype)
        of_weight = None if of_weight is None else of_weight.to(weight.dtype)
        return of_image, of_weight, None, None, None


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)
