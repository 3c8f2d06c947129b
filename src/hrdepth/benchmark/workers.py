"""Run what is measured in separate processes, so that it can be interleaved and device noise affects all equally."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from hrdepth.errors import InputError

__all__ = ["Job", "Worker", "start_workers"]

SECONDS_TO_END = 20


@dataclass(frozen=True)
class Job:
    """What a process builds and then calls methods of.

    Attributes:
        build: a function of a module; a context manager that it returns is entered.
        arguments: of `build`.
    """

    build: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass
class Worker:
    """A process that waits for calls.

    Attributes:
        refused: why it could not build, or None.
    """

    connection: Connection
    refused: str | None

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of what the process built, and return its result."""
        self.connection.send((method, arguments))
        return self.connection.recv()


@contextmanager
def start_workers(jobs: Mapping[str, Job]) -> Iterator[dict[str, Worker]]:
    """Start a process for each job, one after the other; they end with the context.

    Raises:
        InputError: a process ended early.
    """
    context = multiprocessing.get_context("spawn")
    workers: dict[str, Worker] = {}
    processes = []
    try:
        for name, job in jobs.items():
            parent, child = context.Pipe()
            process = context.Process(target=_serve, args=(job, child))  # no daemon: loaders have processes
            process.start()
            child.close()
            processes.append((process, parent))
            workers[name] = Worker(parent, parent.recv())
        yield workers
    except (EOFError, BrokenPipeError) as error:
        raise InputError("a process of the measurement ended early; its own message is above") from error
    finally:
        for process, parent in processes:
            with suppress(OSError):
                parent.send(None)
            process.join(SECONDS_TO_END)
            process.kill()
            process.join()


def _serve(job: Job, connection: Connection) -> None:
    with ExitStack() as stack, suppress(EOFError):  # the parent is gone
        try:
            built = job.build(*job.arguments)
            subject = stack.enter_context(built) if isinstance(built, AbstractContextManager) else built
        except Exception as error:
            # A runtime may fail in its own ways to load a network: that is a result, not an end.
            kind = "" if isinstance(error, InputError) else f"{type(error).__name__} "
            connection.send(f"{kind}{error}".strip())
            connection.recv()
            return
        connection.send(None)
        while (request := connection.recv()) is not None:
            method, arguments = request
            connection.send(getattr(subject, method)(*arguments))
