"""Tests of io/parallel.py."""

import threading

import pytest

from hrdepth.errors import InputError
from hrdepth.io.parallel import parallel_map, repeated


@pytest.mark.parametrize(("workers", "processes"), [(1, False), (3, False), (2, True)])
def test_results_come_in_order(workers, processes):
    assert list(parallel_map(abs, range(-20, 0), workers, processes=processes)) == list(range(20, 0, -1))


def test_items_are_read_as_they_are_needed():
    read = []
    results = parallel_map(abs, (read.append(i) or i for i in range(100)), 2)
    next(results)
    assert len(read) <= 6
    results.close()
    assert len(read) <= 6


def test_an_error_is_raised_at_its_item_and_ends_the_rest():
    def work(item: int) -> int:
        if item == 3:
            raise KeyboardInterrupt
        return item

    before = set(threading.enumerate())
    results = parallel_map(work, range(1000), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert set(threading.enumerate()) <= before


def test_zero_workers_are_refused():
    with pytest.raises(InputError, match="at least one"):
        list(parallel_map(abs, [1], 0))


def test_work_is_repeated_until_the_block_ends_also_by_an_error():
    twice, calls = threading.Event(), []

    def work():
        calls.append(threading.current_thread())
        if len(calls) == 2:
            twice.set()

    with pytest.raises(AssertionError, match="ended"), repeated(work, 0.001):
        assert not twice.wait(60), "ended"
    assert threading.main_thread() not in calls
    assert not calls[0].is_alive()
