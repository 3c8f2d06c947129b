"""Tests of benchmark/workers.py.

Processes of a measurement: what they build, calls to it, refusals and ends.
"""

import os
from contextlib import contextmanager
from functools import partial

import pytest

from hrdepth.benchmark.workers import start_workers
from hrdepth.errors import InputError


class Counter:
    def __init__(self, start):
        self.count = start

    def add(self, number):
        self.count += number
        return self.count, os.getpid()

    def end(self):
        os._exit(3)


@contextmanager
def opened(path):
    path.write_text("open")
    try:
        yield Counter(0)
    finally:
        path.write_text("closed")


def refuse():
    raise InputError("this machine has none")


def break_down():
    raise ValueError("wrong shape")


def test_workers_are_called_in_turn_and_closed(tmp_path):
    file = tmp_path / "state.txt"
    with start_workers({"a": partial(Counter, 5), "b": partial(opened, file)}) as workers:
        assert [worker.refused for worker in workers.values()] == [None, None]
        (first, one), (second, two) = workers["a"].call("add", 1), workers["b"].call("add", 2)
        assert (first, second) == (6, 2)
        assert len({one, two, os.getpid()}) == 3
        assert workers["a"].call("add", 1)[0] == 7
        assert file.read_text() == "open"
    assert file.read_text() == "closed"


def test_a_worker_that_cannot_build_is_refused_and_the_others_continue():
    jobs = {"none": refuse, "broken": break_down, "able": partial(Counter, 0)}
    with start_workers(jobs) as workers:
        assert workers["none"].refused == "this machine has none"
        assert workers["broken"].refused == "ValueError wrong shape"
        assert workers["able"].call("add", 1)[0] == 1


def test_a_worker_that_ends_early_is_an_error():
    with pytest.raises(InputError, match="ended early"), start_workers({"a": partial(Counter, 0)}) as workers:
        workers["a"].call("end")
