"""What several test files use."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

# Those of several folders have one name, and hold no examples.
collect_ignore_glob = ["*conftest.py"]


def pytest_collection_finish() -> None:
    """Libraries stay: the collector of garbage need not look through what their import has made, time and again."""
    gc.freeze()


@pytest.fixture(autouse=True)
def memory_is_given_back(monkeypatch) -> None:
    """Trainings of one process after the other would hold on to the peak of each; tests/test_cpu.py has its own."""
    training = sys.modules.get("hrdepth.training")
    if training is not None:
        monkeypatch.setattr(training, "tune_malloc", lambda: False)


def _logging_at_large() -> tuple[int, int, list[object]]:
    root = logging.getLogger()
    return root.level, root.manager.disable, list(root.filters)


AT_FIRST = _logging_at_large()


@pytest.fixture(autouse=True)
def what_is_logged_is_seen(request: pytest.FixtureRequest) -> Iterator[None]:
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
