"""Run what is measured in separate processes, so that it can be interleaved and device noise affects all equally."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from rich.progress import track

from hrdepth.errors import InputError

__all__ = ["Worker", "start_workers"]

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
