"""Reading, predicting and writing at the same time: one thread each, with short queues between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["WriteBehind", "read_ahead"]

T = TypeVar("T")

MOST_WAITING = 3
"""Images that may wait on either side: enough to keep all three threads busy, few enough to keep memory flat."""
# Seconds after which a waiting thread checks whether the run has ended.
POLL_SECONDS = 0.05


@contextmanager
def read_ahead(items: Iterator[T], max_waiting: int = MOST_WAITING) -> Iterator[Iterator[T]]:
    """Run an iterator in a thread that stays at most `max_waiting` items ahead.

    Args:
        items: what is slow to make, such as decoded images.
        max_waiting: items that wait.

    Yields:
        An iterator over the same items in order; an error comes where the item would have come.

    Example:
        >>> with read_ahead(iter("abc")) as letters:
        ...     "".join(letters)
        'abc'
    """
    waiting: Queue[tuple[str, Any]] = Queue(max_waiting)
    unwanted = Event()

    def put(kind: str, value: Any) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put((kind, value), timeout=POLL_SECONDS)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # for the other thread to raise
            put("error", error)

    def received() -> Iterator[T]:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value

    thread = Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        unwanted.set()
        thread.join()
        if hasattr(items, "close"):  # a generator closes its files
            items.close()


class WriteBehind(Generic[T]):
    """Call `write` with each item, in order, in a thread; a context manager that ends when all is written.

    Also when the block ends by an error or Ctrl-C, what was given is written. An error of `write` is raised by the
    next `put`, or at the end, and nothing after it is written.

    Args:
        write: what is done with an item.
        max_waiting: items that wait; more make `put` wait.

    Example:
        >>> written = []
        >>> with WriteBehind(written.append) as behind:
        ...     behind.put(1)
        ...     behind.put(2)
        >>> written
        [1, 2]
    """

    def __init__(self, write: Callable[[T], None], max_waiting: int = MOST_WAITING) -> None:
        self._write = write
        self._waiting: Queue[T] = Queue(max_waiting)
        self._last = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="write behind", daemon=True)

    def __enter__(self) -> WriteBehind[T]:
        self._thread.start()
        return self

    def put(self, item: T) -> None:
        """Queue an item; wait while the queue is full."""
        while self._error is None:
            try:
                return self._waiting.put(item, timeout=POLL_SECONDS)
            except Full:
                continue
        raise self._error

    def _run(self) -> None:
        while True:
            try:
                item = self._waiting.get(timeout=POLL_SECONDS)
            except Empty:
                if self._last.is_set():
                    return
                continue
            try:
                self._write(item)
            except BaseException as error:  # for the other thread to raise
                self._error = error
                return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._last.set()
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error
