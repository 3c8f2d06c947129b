"""What a network asks of a machine, what the machine can do, and the time below which neither lets it go.

Williams, Waterman, Patterson, Roofline, CACM 2009: an operation takes at least its arithmetic over the machine's rate
of arithmetic, and at least its bytes over the machine's rate of memory. Here it is taken operation by operation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["RATES", "Operation", "limit", "operations", "rate"]

MATRIX = 2048
COPIED = 64 * 2**20  # float32 numbers: beyond any cache
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
RATES = (*BYTES, "memory")


@dataclass(frozen=True)
class Operation:
    """A convolution or matrix product.

    Attributes:
        flops: a multiply-add counts as two.
        numbers: read and written once each: input, weights, output. What stands between two such operations
            (activations, normalisation, upsampling) is taken as done on the way.
    """

    flops: float
    numbers: float


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            tensors = [value for value in (*args, out) if isinstance(value, Tensor)]
            flops = float(count(*args, **(kwargs or {}), out_val=out))
            self.found.append(Operation(flops, float(sum(tensor.numel() for tensor in tensors))))
        return out


def operations(network: nn.Module, size: tuple[int, int]) -> list[Operation]:
    """Return what an image of `size` (height, width) costs."""
    place = next(network.parameters()).device
    recorder = _Recorder()
    with torch.no_grad(), recorder:
        network(torch.rand(1, 3, *size, device=place))
    return recorder.found


def limit(found: Sequence[Operation], precision: str, rates: Mapping[str, float]) -> float:
    """Return the least seconds an image takes.

    Args:
        found: see `operations`.
        precision: of numbers and arithmetic.
        rates: operations a second by precision, and bytes a second under `memory`.

    Example:
        >>> limit([Operation(8e9, 1e9), Operation(1e9, 1e9)], "float32", {"float32": 1e9, "memory": 1e9})
        12.0
    """
    arithmetic, memory = rates[precision], rates["memory"]
    return sum(max(one.flops / arithmetic, one.numbers * BYTES[precision] / memory) for one in found)


def rate(name: str, device: torch.device) -> Callable[[], float]:
    """Return what measures a rate once.

    Args:
        name: a precision: operations a second in a product of square matrices of 2048 numbers a side; or `memory`:
            bytes a second of a copy, read and written ones counted.
        device: where.
    """
    if name == "memory":
        source = torch.ones(COPIED, device=device)
        target = torch.empty_like(source)
        return lambda: 2 * 4 * COPIED / _seconds(lambda: target.copy_(source), device)
    work: Callable[[], Tensor]
    if name == "int8":
        small = torch.randint(-9, 9, (MATRIX, MATRIX), dtype=torch.int8, device=device)
        work = lambda: torch._int_mm(small, small)  # noqa: E731
    else:
        matrix = torch.rand(MATRIX, MATRIX, device=device, dtype=getattr(torch, name))
        work = lambda: matrix @ matrix  # noqa: E731
    return lambda: 2 * MATRIX**3 / _seconds(work, device)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    finish(device)
    start = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - start


def finish(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    elif device.type == "mps":
        torch.mps.synchronize()
