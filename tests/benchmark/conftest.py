"""Workers in this process: starting others takes longer than the rest of a test."""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from hrdepth.benchmark import roofline


@dataclass
class Here:
    built: Any
    refused: None = None

    def call(self, method, *arguments):
        return getattr(self.built, method)(*arguments)


@contextmanager
def start_workers(jobs, progress=""):
    with ExitStack() as stack:
        built = {name: build() for name, build in jobs.items()}
        yield {
            name: Here(stack.enter_context(one) if hasattr(one, "__enter__") else one) for name, one in built.items()
        }


@pytest.fixture
def in_process(monkeypatch):
    """Measure in this process, and rates on little."""
    threads = torch.get_num_threads()
    for module in ("predict", "train"):
        monkeypatch.setattr(f"hrdepth.benchmark.{module}.start_workers", start_workers, raising=False)
    monkeypatch.setattr(roofline, "MATRIX", 128)
    monkeypatch.setattr(roofline, "PROBE", 64)
    monkeypatch.setattr(roofline, "COPIED", 2**16)
    yield
    torch.set_num_threads(threads)
