"""PyTorch: float32 or bfloat16, channels-last, compiled by option; files of `torch.export`; networks in memory.

PyTorch is imported when one of them is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError, require
from hrdepth.inference.runtimes.runtime import Runtime
from hrdepth.inference.runtimes.source import Source
from hrdepth.machine import tune_malloc

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["InMemory", "PyTorch"]

Float32 = NDArray[np.float32]


class PyTorch(Runtime):
    """A network in PyTorch, on any of its devices."""

    name = "pytorch"
    precisions = ("float32", "bfloat16")
    suffixes = ("", ".pt2")
    packages = ("torch", "timm")
    extra = "train"

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        super().__init__(source, options)
        import torch

        from hrdepth.inference.runtimes.graphs import simplify
        from hrdepth.networks.blocks import channels_last

        self.device = options.device or "cpu"
        if self.device == "cpu":
            tune_malloc()
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.graph: Callable[[Tensor], Tensor]
        if source.suffix:
            module: torch.nn.Module = source.program.module().to(self.device)
        else:
            module = simplify(source.load_network()).to(self.device)
            channels_last(module)
        self.graph = torch.compile(module, dynamic=False) if options.compile else module

    def infer(self, image: Float32) -> Float32:
        """Run the network."""
        import torch

        return self.infer_tensor(torch.from_numpy(image)).cpu().numpy()

    def infer_tensor(self, image: Tensor) -> Tensor:
        """Run the network on a tensor; the result stays on the device."""
        import torch

        image = image.to(self.device, memory_format=torch.channels_last)
        # Autocast keeps in float32 what a network asks to keep: the sigmoid of the head.
        rough = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.precision == "bfloat16")
        with torch.inference_mode(), rough:
            return self.graph(image).float()


class InMemory:
    """A network of contract 1 behind contract 4: `image (B,3,H,W) -> disparity (B,1,H,W)`, NumPy float32.

    Args:
        network: an `nn.Module`, which is moved to the device and set to eval mode, or another callable of tensors.
        device: as for `compute.choose_device`; for a callable that is no `nn.Module`, `auto` is the CPU.

    Raises:
        InputError: PyTorch is not installed, or the device is not available.
    """

    def __init__(self, network: Callable[[Any], Any], device: Any = None) -> None:
        torch = require("torch", "train", "a network in memory needs")
        from hrdepth.compute import choose_device

        self.network = network
        is_module = isinstance(network, torch.nn.Module)
        self.torch_device = torch.device("cpu")
        if is_module or device not in (None, "auto"):
            self.torch_device = choose_device(device)
        if isinstance(network, torch.nn.Module):
            network.to(self.torch_device).eval()
        self.device = str(self.torch_device)

    def __call__(self, image: Float32) -> Float32:
        """Predict the finest disparity."""
        import torch

        with torch.inference_mode():
            found = self.network(torch.from_numpy(image).to(self.torch_device))
        if not (isinstance(found, Mapping) and isinstance(found.get(0), torch.Tensor)):
            raise InputError("a network must return a mapping with the finest disparity under 0")
        disparity = np.asarray(found[0].detach().float().cpu().numpy())
        if disparity.ndim != 4 or disparity.shape[:2] != (len(image), 1):
            raise InputError(f"a network's disparity must be (B,1,h,w), not of shape {disparity.shape}")
        if not (disparity.min() >= 0 and disparity.max() <= 1) and np.isfinite(disparity).all():
            raise InputError(
                f"a network's disparity must lie in [0,1], after a sigmoid; it has {disparity.min():g} to "
                f"{disparity.max():g}"
            )
        return disparity
