"""How PyTorch computes: choice of device, compilation with a fallback, fast depthwise convolutions on CPUs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hrdepth.errors import InputError, first_line

__all__ = ["Compiled", "choose_device", "compile_module", "has_depthwise", "is_out_of_memory", "use_fast_depthwise"]

log = logging.getLogger(__name__)


def choose_device(device: str | torch.device | None = "auto") -> torch.device:
    """Return `device`; for "auto" (or None) the best available one: CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: the device is unknown or not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device in (None, "auto"):
        return torch.device(next(name for name, present in available.items() if present))
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device '{device}'; use auto, cuda, mps or cpu") from error
    if chosen.type not in available:  # such as xpu, where PyTorch has a module of this name for it
        found = getattr(getattr(torch, chosen.type, None), "is_available", None)
        available[chosen.type] = found is not None and found()
    if not available[chosen.type] or (chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()):
        raise InputError(f"the device '{device}' is not available here; use auto or cpu")
    return chosen


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory, of the device or the machine, is used up."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        part in str(error) for part in ("out of memory", "can't allocate memory")
    )


class Compiled:
    """Compile a function for training at its first call; a log line announces it, since it takes a while.

    Args:
        function: of tensors (or containers of them) whose shapes stay the same.
        what: its name in messages.

    The result is the same up to rounding. A copy (such as that of a module whose method this is) belongs to the copied
    module and is compiled separately.

    Note:
        Without gradients the function runs uncompiled: validation has batches of other sizes, each of which would
        trigger another compilation. If the compiler is missing or broken, the function runs uncompiled, with a warning.
    """

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        self.function = function
        self.what = what
        self._candidate = torch.compile(function, dynamic=False)
        self._chosen: Callable[..., Any] | None = None

    def __reduce__(self) -> tuple[type[Compiled], tuple[Callable[..., Any], str]]:
        return Compiled, (self.function, self.what)

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        if not torch.is_grad_enabled():
            return self.function(*arguments)
        if self._chosen is not None:
            return self._chosen(*arguments)
        log.info("compiling %s; the first step takes a minute or two longer", self.what)
        try:
            result = self._candidate(*arguments)
            self._chosen = self._candidate
        except torch._dynamo.exc.TorchDynamoException as error:
            log.warning("%s cannot be compiled here and runs uncompiled: %s", self.what, first_line(error))
            self._chosen = self.function
            result = self.function(*arguments)
        return result


def compile_module(module: nn.Module, what: str) -> None:
    """Compile a module's call; `what` is its name in messages.

    Set where `nn.Module.compile` sets it, so that a copy of the module runs uncompiled with its own weights.
    """
    module._compiled_call_impl = Compiled(module._call_impl, what)


def has_depthwise(network: nn.Module) -> bool:
    """Return whether a network has convolutions with a group for each channel."""
    return any(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in network.modules())


def use_fast_depthwise(network: nn.Module) -> None:
    """Compute gradients of a network's depthwise convolutions in float32 under autocast on a CPU.

    oneDNN has fast kernels for them in float32 only: in bfloat16 their backward pass takes up to eight times as long,
    which costs MobileNetV3 and EfficientNet more than bfloat16 gains in the other layers. The forward pass, and all
    tensors saved for the backward pass, stay in bfloat16. Without autocast and on other devices nothing changes.
    Calls of the network are wrapped; those of a copy of it are not.
    """
    forward: Callable[..., Any] = network._call_impl

    @functools.wraps(forward)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        with _FastDepthwise():
            return forward(*arguments, **keywords)

    network._compiled_call_impl = wrapped  # where `nn.Module.compile` puts what it makes


class _FastDepthwise(TorchFunctionMode):
    """Replaces depthwise convolutions in all calls inside its context, whatever module makes them."""

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
