"""Work on many items with several threads or processes, in order and with few of them in memory."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, TypeVar

from hrdepth.errors import InputError

__all__ = ["parallel_map", "repeated", "usable_cores"]

Item = TypeVar("Item")
Result = TypeVar("Result")
# Items queued per worker: none is idle, and few are in memory.
WAITING = 2


def parallel_map(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, *, processes: bool = False
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in their order; what it raises is raised here.

    When the caller stops early, or by Ctrl-C, items that no worker has begun are dropped.

    Args:
        work: called with each item. NumPy and Pillow release the interpreter lock, so that threads share the cores.
        items: read as they are needed, in the caller's own thread.
        workers: threads or processes; None for as many as there are cores, 1 works in the caller's own thread.
        processes: instead of threads; `work` and items must be picklable.

    Raises:
        InputError: fewer than one worker, or `work` cannot be pickled.

    Example:
        >>> list(parallel_map(str.upper, "abc", workers=2))
        ['A', 'B', 'C']
    """
    workers = usable_cores() if workers is None else workers
    if workers < 1:
        raise InputError(f"{workers} workers: give at least one, or none for as many as there are cores")
    if workers == 1 and not processes:
        yield from map(work, items)
        return
    with _pool(work, workers, processes) as (pool, call):
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) >= (1 + WAITING) * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def repeated(work: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `work` every so many seconds in a thread of its own, until the block ends and the last call has ended."""
    ended = Event()

    def run() -> None:
        while not ended.wait(seconds):
            work()

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
            raise InputError(f"the work cannot be sent to other processes ({error}); use threads") from error
        context = multiprocessing.get_context("spawn")
        pool, call = ProcessPoolExecutor(workers, context, _install, (packed,)), _call
    else:
        pool, call = ThreadPoolExecutor(workers), work
    try:
        yield pool, call
    finally:
        pool.shutdown(cancel_futures=True)


_work: Callable[..., Any]


def _install(packed: bytes) -> None:
    """Unpickle the work in a new process, once: a set of true depth may be large."""
    global _work
    _work = pickle.loads(packed)  # from the parent process, through a pipe


def _call(item: Any) -> Any:
    return _work(item)
