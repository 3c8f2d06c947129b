"""Run what is measured in separate processes, so that it can be interleaved and device noise affects all equally."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import track

from hrdepth.errors import InputError

__all__ = ["Worker", "memory", "peak_memory", "reset_peak_memory", "start_workers"]

SECONDS_TO_END = 20

Name = TypeVar("Name")


@dataclass
class Worker:
    """A process that waits for calls.

    Attributes:
        refused: why it could not build, or None.
    """

    connection: Any  # of Windows another class than elsewhere
    refused: str | None

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of what the process built, and return its result."""
        self.connection.send((method, arguments))
        return self.connection.recv()


@contextmanager
def start_workers(jobs: Mapping[Name, Callable[[], Any]], progress: str = "") -> Iterator[dict[Name, Worker]]:
    """Start a process for each job; they build one after the other, and end with the context.

    Not a pool of `concurrent.futures`: its processes stay when this one is killed.

    Args:
        jobs: what each process builds, by the worker's name: a function that can be pickled, such as a `partial` of a
            class. Methods of what it returns are called; a context manager is entered.
        progress: text of a bar while they build; without one, none is shown.

    Raises:
        InputError: a process ended early.
    """
    context = multiprocessing.get_context("spawn")
    workers: dict[Name, Worker] = {}
    processes = []
    try:
        for build in jobs.values():  # they import at the same time
            parent, child = context.Pipe()
            process = context.Process(target=_serve, args=(build, child))  # no daemon: loaders have processes
            process.start()
            child.close()
            processes.append((process, parent))
        building = track(jobs, progress, transient=True, disable=not progress)
        for name, (_, parent) in zip(building, processes, strict=True):
            parent.send("build")
            workers[name] = Worker(parent, parent.recv())
        yield workers
    except (EOFError, BrokenPipeError) as error:
        raise InputError("a process of the measurement ended early; its own message is above") from error
    finally:
        for process, parent in processes:
            parent.close()
            process.join(SECONDS_TO_END)
            process.kill()
            process.join()


def _serve(build: Callable[[], Any], connection: Any) -> None:
    logging.getLogger("hrdepth").setLevel(logging.WARNING)  # the first process has said it, such as a licence
    with ExitStack() as stack, suppress(EOFError, BrokenPipeError):  # the parent has closed its end, or is gone
        connection.recv()
        try:
            built = build()
            if isinstance(built, AbstractContextManager):
                built = stack.enter_context(built)
        except Exception as error:
            # A runtime may fail in its own ways to load a network: that is a result, not an end.
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__} "
            connection.send(f"{kind}{error}".strip())
            return
        connection.send(None)
        while True:
            method, arguments = connection.recv()
            connection.send(getattr(built, method)(*arguments))


def peak_memory(*, children: bool = False) -> float | None:
    """Return the most resident memory that this process has had, in MiB; None where that is unknown.

    Args:
        children: of the largest process that it started and that has ended, instead.
    """
    # Linux counts in getrusage's number the pages of the process that started this one, too.
    if not children and (peak := _linux_memory("VmHWM")) is not None:
        return peak
    try:
        resource = importlib.import_module("resource")
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (2**20 if platform.system() == "Darwin" else 2**10)  # bytes there, KiB elsewhere


def reset_peak_memory() -> None:
    """Let `peak_memory` begin again, where the kernel allows it; else it includes what was before."""
    path = Path("/proc/self/clear_refs")
    with suppress(OSError):
        if os.access(path, os.W_OK):
            path.write_text("5", encoding="ascii")


def memory() -> float | None:
    """Return the resident memory of this process now, MiB; the peak outside Linux, None where that is unknown."""
    now = _linux_memory("VmRSS")
    return peak_memory() if now is None else now


def _linux_memory(field: str) -> float | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return next((int(line.split()[1]) / 2**10 for line in status.splitlines() if line.startswith(f"{field}:")), None)
