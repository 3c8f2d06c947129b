"""Contestants in processes of their own, measured in turns, so that the machine's moods meet all alike."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from hrdepth.benchmark.report import peak_memory
from hrdepth.benchmark.roofline import RATES, finish, rate
from hrdepth.benchmark.subject import Subject, Variant, drawn_image
from hrdepth.errors import InputError

__all__ = ["Contestant", "Job", "contestants"]


@dataclass(frozen=True)
class Job:
    """What a process is to run: a network in a runtime, or, without a variant, the machine's own rates."""

    subject: Subject
    variant: Variant | None
    size: tuple[int, int]
    image_size: tuple[int, int]
    threads: int
    device: str
    calibration: str | None = None


@dataclass
class Contestant:
    """A process that waits for its turn.

    Attributes:
        facts: what it said when it was ready: `device`, `loading_peak` (MiB), or `refused`, why it cannot run.
    """

    connection: Connection
    facts: dict[str, Any]

    def measure(self, what: str, runs: int) -> list[float]:
        """Return the values of `runs` runs: seconds, or a rate."""
        self.connection.send((what, runs))
        values: list[float] = self.connection.recv()
        return values

    def peak(self) -> float:
        """Return the most memory that it held since it was ready, MiB."""
        return self.measure("peak", 1)[0]


@contextmanager
def contestants(jobs: Mapping[str, Job]) -> Iterator[dict[str, Contestant]]:
    """Start a process for each job, one after the other; they end with the context.

    Raises:
        InputError: a process ended early.
    """
    context = multiprocessing.get_context("spawn")
    ready: dict[str, Contestant] = {}
    processes = []
    try:
        for name, job in jobs.items():
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(job, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append((process, ours))
            ready[name] = Contestant(ours, ours.recv())
        yield ready
    except (EOFError, BrokenPipeError) as error:
        raise InputError("a process of the measurement ended early; its own message stands above") from error
    finally:
        for process, ours in processes:
            if process.is_alive():
                try:
                    ours.send(None)
                except OSError:
                    process.terminate()
            process.join()


def serve(job: Job, connection: Connection) -> None:
    """Answer `(what, runs)` with the values of so many runs; None ends."""
    try:
        works, device = _rates(job) if job.variant is None else _network(job, job.variant)
    except Exception as error:
        # A runtime may fail in its own ways to load a network: that is a finding, not an end.
        connection.send({"refused": f"{type(error).__name__ * (not isinstance(error, InputError))} {error}".strip()})
        connection.recv()
        return
    connection.send({"device": device.type, "loading_peak": _peak()})
    _forget_peak()
    while (request := connection.recv()) is not None:
        what, runs = request
        if what == "peak":
            gpu = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
            connection.send([gpu if gpu else _peak()])
            continue
        works[what]()  # the others' turns have filled the caches with their own
        connection.send([works[what]() for _ in range(runs)])


def _rates(job: Job) -> tuple[dict[str, Callable[[], float]], torch.device]:
    torch.set_num_threads(job.threads)
    device = torch.device(job.device)
    works = {}
    for name in RATES:
        try:
            works[name] = rate(name, device)
            works[name]()
        except (RuntimeError, NotImplementedError, AttributeError):  # a device without such arithmetic
            works[name] = lambda: float("nan")
    return works, device


def _network(job: Job, variant: Variant) -> tuple[dict[str, Callable[[], float]], torch.device]:
    from hrdepth.inference.predictor import Predictor

    run, device = job.subject.run(variant, job.size, job.threads, job.device, job.calibration)
    batch = torch.rand(1, 3, *job.size, generator=torch.Generator().manual_seed(0)).to(device)
    predictor = Predictor(run, job.size, device=device)
    image = drawn_image(job.image_size)

    def network() -> float:
        finish(device)
        start = time.perf_counter()
        with torch.inference_mode():
            run(batch)
        finish(device)
        return time.perf_counter() - start

    def end_to_end() -> float:
        start = time.perf_counter()
        _ = predictor(image).depth
        return time.perf_counter() - start

    for work in (network, end_to_end, network, end_to_end):  # compiles, fills caches
        work()
    return {"network": network, "end_to_end": end_to_end}, device


def _peak() -> float:
    """Return this process's largest resident memory, MiB.

    Linux: of its own pages alone; what `getrusage` says starts with those of the process that started it.
    """
    if platform.system() == "Linux":
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    return peak_memory() or float("nan")


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        if os.access("/proc/self/clear_refs", os.W_OK):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # a kernel that does not let it: loading then counts, too
        return
