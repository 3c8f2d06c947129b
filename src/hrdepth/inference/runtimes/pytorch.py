"""PyTorch: float32 or bfloat16, channels-last, compiled by option; also files of `torch.export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hrdepth.compute import choose_device
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.inference import for_inference
from hrdepth.inference.runtimes.runtime import Runtime, Settings
from hrdepth.inference.runtimes.source import Source
from hrdepth.networks.blocks import channels_last

__all__ = ["PyTorch", "read_metadata"]

METADATA = "hrdepth.json"


class PyTorch(Runtime):
    """A network in PyTorch, on any of its devices."""

    name = "pytorch"
    precisions = ("float32", "bfloat16")
    suffixes = ("", ".pt2")

    def __init__(self, source: Source, settings: Settings) -> None:
        super().__init__(source, settings)
        self.device = choose_device(settings.device)
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.graph: Callable[[Tensor], Tensor]
        if source.network is not None:
            module: nn.Module = for_inference(source.network).to(self.device)
            channels_last(module)
        else:
            module = _read(source.path, {}).module().to(self.device)
        self.graph = torch.compile(module, dynamic=False) if settings.compile else module

    def infer(self, image: Tensor) -> Tensor:
        """Run the network."""
        image = image.to(self.device, memory_format=torch.channels_last)
        # Autocast keeps in float32 what a network asks to keep: the sigmoid of the head.
        rough = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")
        with torch.inference_mode(), rough:
            return self.graph(image).float()


def read_metadata(path: Path) -> dict[str, str]:
    """Read what `hrdepth export` wrote about a file.

    Raises:
        InputError: it is no file of `torch.export`.
    """
    extra: dict[str, Any] = {METADATA: ""}
    _read(path, extra)
    text = extra[METADATA]
    metadata: dict[str, str] = json.loads(text) if text else {}
    return metadata


def _read(path: Path | None, extra: dict[str, Any]) -> torch.export.ExportedProgram:
    assert path is not None
    try:
        return torch.export.load(path, extra_files=extra)
    except Exception as error:  # whatever a damaged archive raises
        raise InputError(f"{path} is damaged or no file of torch.export ({error})") from error
