"""What several test files use."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import browser, launch  # noqa: F401  # fixtures

# Those of several folders have one name, and hold no examples.
collect_ignore_glob = ["*conftest.py"]

# Of mallopt: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD and M_MMAP_MAX in bytes and blocks. The thresholds are those
# to which glibc raises its own when large blocks are freed, which it no longer does once any of the four is set.
GLIBC_DEFAULTS = {-1: 64 * 2**20, -2: 128 * 1024, -3: 32 * 2**20, -4: 65536}


def pytest_collection_finish() -> None:
    """Libraries stay: the collector of garbage need not look through what their import has made, time and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def the_disk_is_not_awaited() -> Iterator[None]:
    """Let durable files wait for no disk: a training writes a dozen, each of which would take tens of milliseconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


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


def _logging_state() -> tuple[object, ...]:
    """Return what decides whether the package's messages are seen: of the root logger, and own loggers that changed."""
    root = logging.getLogger()
    own = [logger for logger in _own_loggers() if (logger.level, logger.disabled, logger.propagate) != (0, False, True)]
    changed = sorted((logger.name, logger.level, logger.disabled, logger.propagate) for logger in own)
    return root.level, root.disabled, root.manager.disable, list(root.filters), changed


def _own_loggers() -> list[logging.Logger]:
    known = logging.getLogger().manager.loggerDict
    return [found for name, found in known.items() if name.startswith("hrdepth") and isinstance(found, logging.Logger)]


AT_FIRST = _logging_state()


@pytest.fixture(autouse=True)
def logging_as_at_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give each test the process's logging as it was at first; a test that changes it is named among the warnings.

    A root logger above WARNING, or a disabled logger, makes tests of warnings fail that run long after.
    """
    _restore_logging(f"before {request.node.nodeid}")
    yield
    _restore_logging(f"in {request.node.nodeid}")


def _restore_logging(when: str) -> None:
    found = _logging_state()
    if found != AT_FIRST:
        root = logging.getLogger()
        root.setLevel(AT_FIRST[0])
        root.disabled = False
        logging.disable(AT_FIRST[2])
        root.filters[:] = AT_FIRST[3]
        for logger in _own_loggers():
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
        warnings.warn(f"{when} the process's logging went from {AT_FIRST} to {found}", stacklevel=1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference numbers and real frames beside the checkout, or skip."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the reference numbers (../shared) are not here")
    return folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Start an S3 server, and return its address."""
    pytest.importorskip("s3fs", reason="S3 needs the extra `objects`")
    moto = pytest.importorskip("moto.server", reason="moto, whose S3 server the tests start, is not installed")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an empty bucket."""
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "ENDPOINT_URL": s3_server}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    name = f"b{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
