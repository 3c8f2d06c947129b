"""A network's operations, the machine's measured rates, and the least time that follows from both.

Source: Williams, Waterman, Patterson, Roofline, CACM 2009: an operation takes at least its arithmetic over the
machine's rate of arithmetic, and at least its bytes over the machine's rate of memory. Here it is applied to each
operation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from hrdepth.inference.runtimes import unavailable
from hrdepth.inference.runtimes.openvino_core import shared_core

__all__ = ["RATES", "Operation", "RateTimer", "limit", "operations", "product", "seconds"]

MATRIX, PROBE = 2048, 512  # a side
SLOWEST = 0.25  # of the rate of float32: below it, there is no library's kernel but a plain loop
COPIED = 64 * 2**20  # float32 numbers: beyond any cache
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
RATES = (*BYTES, "memory")

Product = Callable[[str, int, torch.device], Callable[[], object]]


@dataclass(frozen=True)
class Operation:
    """A convolution or matrix product.

    Attributes:
        flops: a multiply-add counts as two.
        numbers: read and written once each: input, weights, output. Operations between two of these (activations,
            normalisation, upsampling) count as free.
    """

    flops: float
    numbers: float


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            flops = float(count(*args, **(kwargs or {}), out_val=out))
            numbers = sum(value.numel() for value in (*args, out) if isinstance(value, Tensor))
            self.found.append(Operation(flops, float(numbers)))
        return out


def operations(network: nn.Module, size: tuple[int, int]) -> list[Operation]:
    """Return the operations for an image of `size` (height, width)."""
    recorder = _Recorder()
    with torch.no_grad(), recorder:
        network(torch.rand(1, 3, *size, device=next(network.parameters()).device))
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


class RateTimer:
    """Measure what a device can do: arithmetic by precision, with the fastest kernel that is installed, and memory.

    Args:
        device: its name.
        threads: cores to compute with.
    """

    def __init__(self, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        kinds: list[Product] = [product]
        if device == "cpu" and unavailable("openvino") is None:
            kinds.append(partial(openvino_product, threads=threads))
        taken: dict[str, float] = {}
        self.works: dict[str, Callable[[], object]] = {}
        for name in BYTES:
            probes = [self._probe(kind, name) for kind in kinds]
            taken[name] = min(probes)
            # A plain loop, such as PyTorch's int8 without VNNI, takes minutes and is no limit of the machine.
            if taken[name] < math.inf and taken["float32"] >= SLOWEST * taken[name]:
                self.works[name] = kinds[probes.index(taken[name])](name, MATRIX, self.device)
        source = torch.ones(COPIED, device=self.device)
        target = torch.empty_like(source)
        self.works["memory"] = lambda: target.copy_(source)

    def _probe(self, kind: Product, name: str) -> float:
        """Return the seconds of a small product; infinity where the device or library has no such arithmetic."""
        try:
            work = kind(name, PROBE, self.device)
            work()
            return min(seconds(work, self.device) for _ in range(3))
        except (RuntimeError, NotImplementedError, AttributeError):
            return math.inf

    def measure(self, name: str) -> float:
        """Return a rate: operations a second in a product of square matrices, or bytes a second of a copy.

        NaN where it is unknown: the device has no such arithmetic, or no library here has a fast kernel for it.
        """
        if name not in self.works:
            return math.nan
        work = self.works[name]
        work()  # the other processes have filled the caches
        amount = 2.0 * 4 * COPIED if name == "memory" else 2.0 * MATRIX**3  # a copy reads and writes
        return amount / seconds(work, self.device)


def product(precision: str, side: int, device: torch.device) -> Callable[[], object]:
    """Return a function that multiplies two square matrices of `side` numbers a side in PyTorch."""
    if precision == "int8":
        whole = torch.randint(-9, 9, (side, side), dtype=torch.int8, device=device)
        return lambda: torch._int_mm(whole, whole)
    a, b = (torch.rand(side, side, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    return lambda: a @ b


def openvino_product(precision: str, side: int, device: torch.device, *, threads: int) -> Callable[[], object]:
    """Return a function that multiplies two square matrices of `side` numbers a side in OpenVINO, one quantised ahead.

    The second matrix is constant, as a network's weights are, and in int8 fills half of the range: a processor without
    VNNI adds two products in 16 bits, which larger ones would exceed.
    """
    import openvino
    from openvino import opset13 as operators

    def quantised(matrix: Any, low: float, high: float) -> Any:
        if precision != "int8":
            return matrix
        limits = np.float32(low), np.float32(high)
        return operators.fake_quantize(matrix, *limits, *limits, 256)

    random = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
    given, weights = operators.parameter([side, side], np.float32), operators.constant(random[1])
    found = operators.matmul(quantised(given, 0, 1), quantised(weights, -2, 127 / 64), False, False)
    properties = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                  "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}  # fmt: skip
    request = shared_core().compile_model(openvino.Model([found], [given]), "CPU", properties).create_infer_request()
    return lambda: request.infer([random[0]], share_inputs=True)


def seconds(work: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Return the seconds that `work` takes on `device`."""
    synchronize = getattr(torch, torch.device(device).type).synchronize  # of torch.cuda, torch.mps or torch.cpu
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start
