"""Comparing images on several cores: threads, or processes where reading true depth is what takes the time."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from hrdepth.errors import InputError

__all__ = ["in_order", "usable_cores"]

Result = TypeVar("Result")
# Items that wait for a worker, so that none is idle and few images are in memory.
WAITING = 2


def in_order(
    work: Callable[..., Result], items: Iterable[tuple[Any, ...]], workers: int | None, *, processes: bool = False
) -> Iterator[Result]:
    """Yield `work(*item)` for each item, in their order; what it raises is raised here.

    Args:
        work: numpy frees the interpreter while it computes, so that threads share the cores.
        items: taken as they are needed, by the caller's own thread.
        workers: threads or processes; None for as many as there are cores, 1 works in the caller's own thread.
        processes: instead of threads; `work` and items must go to another process.

    Raises:
        InputError: fewer than one worker, or `work` does not go to another process.
    """
    workers = usable_cores() if workers is None else workers
    if workers < 1:
        raise InputError(f"{workers} workers: give at least one, or none for as many as there are cores")
    if workers == 1 and not processes:
        yield from (work(*item) for item in items)
        return
    with _pool(work, workers, processes) as (pool, run):
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(run, *item))
            if len(waiting) >= (1 + WAITING) * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _pool(work: Callable[..., Any], workers: int, processes: bool) -> Iterator[tuple[Executor, Callable[..., Any]]]:
    pool: Executor
    if processes:
        try:
            packed = pickle.dumps(work)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise InputError(f"the true depth does not go to other processes ({error}); use threads") from error
        context = multiprocessing.get_context("spawn")
        pool, run = ProcessPoolExecutor(workers, context, _install, (packed,)), _run
    else:
        pool, run = ThreadPoolExecutor(workers), work
    try:
        yield pool, run
    finally:
        pool.shutdown(cancel_futures=True)


_work: Callable[..., Any]


def _install(packed: bytes) -> None:
    """Give a new process its work, once: the set of true depth may be large."""
    global _work
    _work = pickle.loads(packed)  # from our own process, through a pipe


def _run(*item: Any) -> Any:
    return _work(*item)
