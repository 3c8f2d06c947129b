"""A compiler is used where it works and missed nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hrdepth.compilation import compiled

SCRIPT = """
import logging, torch
logging.basicConfig(level=logging.INFO, format="%(message)s")
from hrdepth.compilation import compiled
x = torch.ones(64, requires_grad=True)
twice = compiled(lambda x: torch.sin(x) * 2, "the sine")
for _ in range(2):
    twice(x).sum().backward()
print("gradient", x.grad[0].item())
"""


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), **environment}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=300
    )


def test_without_a_compiler_the_function_runs_as_it_is(tmp_path):
    done = run(tmp_path, CXX="/nonexistent/c++")
    assert "the sine cannot be compiled here and runs uncompiled" in done.stderr
    assert f"gradient {4 * torch.cos(torch.tensor(1.0)).item():.4f}" in done.stdout[:15]


def test_compilation_is_announced_once(monkeypatch, caplog):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    caplog.set_level("INFO")
    double = compiled(lambda x: 2 * x, "the double")
    assert double(torch.ones(1)).item() == double(torch.ones(1)).item() == 2
    assert [record.message for record in caplog.records] == [
        "compiling the double; the first step takes a minute or two longer"
    ]


def test_without_gradients_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: pytest.fail)
    with torch.no_grad():
        assert compiled(lambda x: 2 * x, "the double")(torch.ones(1)).item() == 2
