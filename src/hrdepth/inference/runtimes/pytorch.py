"""PyTorch: float32 or bfloat16, channels-last, compiled by option; also files of `torch.export`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hrdepth.config import RuntimeConfig
from hrdepth.inference.runtimes.graphs import simplify
from hrdepth.inference.runtimes.runtime import Runtime
from hrdepth.inference.runtimes.source import Source
from hrdepth.networks.blocks import channels_last

__all__ = ["PyTorch"]


class PyTorch(Runtime):
    """A network in PyTorch, on any of its devices."""

    name = "pytorch"
    precisions = ("float32", "bfloat16")
    suffixes = ("", ".pt2")

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        super().__init__(source, options)
        self.device = torch.device(options.device or "cpu")
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.graph: Callable[[Tensor], Tensor]
        if source.network is not None:
            module: nn.Module = simplify(source.network).to(self.device)
            channels_last(module)
        else:
            module = source.program.module().to(self.device)
        self.graph = torch.compile(module, dynamic=False) if options.compile else module

    def infer(self, image: Tensor) -> Tensor:
        """Run the network."""
        image = image.to(self.device, memory_format=torch.channels_last)
        # Autocast keeps in float32 what a network asks to keep: the sigmoid of the head.
        rough = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")
        with torch.inference_mode(), rough:
            return self.graph(image).float()
