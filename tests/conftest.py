"""What several test files use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# Those of several folders have one name, and hold no examples.
collect_ignore_glob = ["*conftest.py"]


@pytest.fixture(autouse=True)
def memory_is_given_back(monkeypatch) -> None:
    """Trainings of one process after the other would hold on to the peak of each; tests/test_memory.py has its own."""
    training = sys.modules.get("hrdepth.training")
    if training is not None:
        monkeypatch.setattr(training, "keep_memory", lambda: False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference numbers and real frames beside the checkout, or skip."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the reference numbers (../shared) are not here")
    return folder
