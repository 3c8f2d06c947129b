"""Tests of `build_loaders` of training/setup.py.

A loader's process yields to networks on the same cores, and to nothing else.
"""

import multiprocessing
import os
from dataclasses import replace

import pytest
import torch

from hrdepth.training import build_loaders


def niceness(start, answers):
    before = os.nice(0)
    start(0)
    answers.put(os.nice(0) - before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no priorities of that kind")
@pytest.mark.parametrize(("device", "steps"), [("cpu", 5), ("cuda", 0)])
def test_loader_processes_lower_their_priority_on_the_cpu_only(tiny, device, steps, monkeypatch):
    monkeypatch.setattr("hrdepth.training.setup.choose_device", lambda _="auto": torch.device(device))
    loader = build_loaders(replace(tiny, device=device, workers=1))["train"]
    context = multiprocessing.get_context("fork")  # a new interpreter would first import torch
    answers = context.Queue()
    process = context.Process(target=niceness, args=(loader.worker_init_fn, answers))
    process.start()
    assert answers.get(timeout=120) == steps
    process.join()
