"""Tests of inference/pipeline.py.

Reading ahead and writing behind: order, few that wait, errors where they belong.
"""

from __future__ import annotations

import threading
import time

import pytest

from hrdepth.inference.pipeline import WriteBehind, read_ahead


def counted(count, taken):
    for number in range(count):
        taken.append(number)
        yield number


def write_all(write, items):
    with WriteBehind(write) as behind:
        for item in items:
            behind.put(item)


def test_items_stay_in_order_and_the_queue_is_short():
    taken, seen = [], []
    with read_ahead(counted(200, taken), 3) as items, WriteBehind(seen.append, 3) as behind:
        for number, item in enumerate(items):
            assert len(taken) <= number + 1 + 3 + 1  # those that wait, and the one in hand
            behind.put(item)
    assert seen == list(range(200))


def test_reading_and_writing_overlap_with_the_work():
    read_on, written, seen = threading.Event(), threading.Event(), []

    def items():
        yield 1
        read_on.set()
        yield 2

    def write(item):
        seen.append((item, read_on.wait(10)))
        written.set()

    with read_ahead(items()) as taken, WriteBehind(write) as behind:
        first = next(taken)
        assert read_on.wait(10)  # the second is read before the first is done with
        behind.put(first)
        assert written.wait(10)  # and the first is written before the second is asked for
        behind.put(next(taken))
    assert seen == [(1, True), (2, True)]


def test_stopping_early_reads_no_more_and_closes_the_reader():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with read_ahead(endless()) as items:
        assert next(items) == 1
    assert closed.is_set()


def test_a_read_error_is_raised_at_its_position():
    def broken():
        yield from range(3)
        raise ValueError("no more")

    with read_ahead(broken()) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="no more"):
            next(items)


def test_a_write_error_is_raised_and_ends_the_pipeline():
    seen = []

    def write(item):
        if item == 2:
            raise OSError("disk full")
        seen.append(item)

    with pytest.raises(OSError, match="disk full"):
        write_all(write, range(100))
    assert seen == [0, 1]
    with pytest.raises(OSError, match="disk full"):
        write_all(write, [2])


def test_ctrl_c_writes_all_items_already_yielded():
    seen = []

    def write(item):
        time.sleep(0.01)
        seen.append(item)

    def interrupted():
        yield from range(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(write, interrupted())
    assert seen == [0, 1, 2]
