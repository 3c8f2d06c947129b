"""What several test files use."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

# Those of several folders have one name, and hold no examples.
collect_ignore_glob = ["*conftest.py"]

# Of mallopt: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_MAX in bytes and blocks.
GLIBC_DEFAULTS = {-1: 128 * 1024, -2: 128 * 1024, -4: 65536}


def pytest_collection_finish() -> None:
    """Libraries stay: the collector of garbage need not look through what their import has made, time and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def freed_memory_goes_back_after_a_training(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo `tune_malloc` after each test: a worker's later tests would hold on to the peak of its largest training."""
    tuned: list[bool] = []
    if (training := sys.modules.get("hrdepth.training.train")) is not None:
        tune = training.tune_malloc
        monkeypatch.setattr(training, "tune_malloc", lambda: tuned.append(tune()))
    yield
    if any(tuned):
        libc = ctypes.CDLL(None)
        for parameter, default in GLIBC_DEFAULTS.items():
            libc.mallopt(parameter, default)
        libc.malloc_trim(0)


def _logging_at_large() -> tuple[int, int, list[object]]:
    root = logging.getLogger()
    return root.level, root.manager.disable, list(root.filters)


AT_FIRST = _logging_at_large()


@pytest.fixture(autouse=True)
def logging_as_at_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give each test the process's logging as it was at first; in which test it changed stands among the warnings.

    Once, a root logger that something had left above WARNING made tests of warnings fail that ran long after.
    """
    _as_at_first(f"before {request.node.nodeid}")
    yield
    _as_at_first(f"in {request.node.nodeid}")


def _as_at_first(when: str) -> None:
    found = _logging_at_large()
    if found != AT_FIRST:
        root = logging.getLogger()
        root.setLevel(AT_FIRST[0])
        logging.disable(AT_FIRST[1])
        root.filters[:] = AT_FIRST[2]
        warnings.warn(f"{when} the process's logging went from {AT_FIRST} to {found}", stacklevel=1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference numbers and real frames beside the checkout, or skip."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the reference numbers (../shared) are not here")
    return folder
