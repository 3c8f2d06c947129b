"""Simulate training and prediction on many machines, from the rates of one core (rates.json) and of a card.

    python results/scaling/simulate.py     the tables of docs/scaling.md

Each process is a rank with loading workers: a worker loads a batch when there is room in its queue; a step begins when
the rank has a batch, and ends when all ranks have computed and exchanged gradients. Shared cores bound the rate.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from pathlib import Path

CORE_HOUR, CARD_HOUR = 0.04, 3.0  # dollars, assumed
RUN = 20 * 40_000  # samples of a training of 20 epochs on KITTI


@dataclass(frozen=True)
class Machine:
    """What the simulation is of; seconds.

    Attributes:
        ranks: processes that train together, on all machines.
        ranks_a_node: on one.
        cores: of one machine.
        workers: loading processes of each rank; 0: the rank loads between its steps.
        load: core seconds of a sample.
        step: seconds of a step's computation, of a batch, on its card or its cores.
        step_cores: cores that a step occupies; 0 where a card computes.
        batch: samples of a rank's step.
        exchange: seconds of exchanging gradients.
        ahead: batches that a worker may be ahead.
    """

    ranks: int
    ranks_a_node: int
    cores: float
    workers: int
    load: float
    step: float
    step_cores: float
    batch: int
    exchange: float = 0.0
    ahead: int = 2


def samples_a_second(m: Machine, steps: int = 200) -> float:
    """Return the samples a second of all ranks together, after the start."""
    load, compute = m.load * m.batch, m.step
    # All ranks are alike: one is simulated, and the exchange is added to its steps.
    ready: list[float] = []  # times at which loaded batches are there
    free = [0.0] * m.workers  # times at which workers can begin
    taken: list[float] = []
    now = 0.0
    for number in range(steps):
        if not m.workers:
            taken.append(now)
            now += load + compute + m.exchange
            continue
        worker = number % m.workers
        # A worker begins when its batch of `ahead` rounds before has been taken.
        earlier = number - m.ahead * m.workers
        free[worker] = max(free[worker], taken[earlier] if earlier >= 0 else 0.0) + load
        heapq.heappush(ready, free[worker])
        now = max(now, heapq.heappop(ready))
        taken.append(now)
        now += compute + m.exchange
    half = steps // 2
    of_queues = m.batch * half / (now - taken[half])
    # A sample of each rank of a machine takes so many seconds of its cores, which exchange where they compute.
    of_cores = m.cores / (m.ranks_a_node * (m.load + (m.step + m.exchange) * m.step_cores / m.batch))
    return m.ranks * min(of_queues, of_cores)


def exchange_seconds(parameters: float, ranks: int, bytes_a_second: float) -> float:
    """Return how long a ring exchanges float32 gradients, not hidden behind the backward pass."""
    return 0.0 if ranks == 1 else 2 * (ranks - 1) / ranks * 4 * parameters / bytes_a_second


def tables(rates: dict[str, float]) -> None:
    """Print what docs/scaling.md shows."""
    load = {
        kind: rates[f"load a sample of three images, {kind}"] / 1000 for kind in ("files", "cache", "decoded shards")
    }
    print("training, HR-Depth 640x192, batch 12 a card, 16 cores a card, cards of 100 and 800 samples/s (assumed)")
    print("| cards | card's rate | files | cache | decoded shards | from these |")
    for card in (100.0, 800.0):
        for ranks in (1, 8, 64):
            row = []
            for kind in load:
                machine = Machine(ranks, min(ranks, 8), 16.0 * min(ranks, 8), 15, load[kind], 12 / card, 0, 12,
                                  exchange_seconds(28e6, ranks, 20e9 if ranks <= 8 else 5e9))  # fmt: skip
                row.append(rate := samples_a_second(machine))
            dollars = RUN / rate / 3600 * ranks * CARD_HOUR  # the last kind's
            shown = " | ".join(f"{one:,.0f}" for one in row)
            print(f"| {ranks} | {card:g} | {shown} | 20 epochs of KITTI: {RUN / rate / 60:,.1f} min, ${dollars:.2f} |")
    core = sum(rates[part] for part in ("decode a video's frame", "resize to the network's size")) / 1000
    written = rates["write disparity and panel"] / 1000
    one = core + written + rates["predict, bundled network, ONNX Runtime"] / 1000
    print(f"prediction: {1000 * one:.0f} ms of a core a frame, {1000 * (core + written):.0f} of them without network")
    for cores in (2, 64, 4096):
        days = 1e9 * one / cores / 86400
        print(f"| {cores} cores | {cores / one:,.0f} frames/s | a billion frames in {days:,.1f} days |")
    print(f"a billion frames: {1e9 * one / 3600:,.0f} core hours, ${1e9 * one / 3600 * CORE_HOUR:,.0f}")
    for cards in (1, 8, 64):
        for cores in (16, 64):
            rate = min(1000.0 * cards, cards * cores / (core + written))
            hours = 1e9 / rate / 3600
            print(f"| {cards} cards, {cores} cores each | {rate:,.0f} frames/s | {hours / 24:,.1f} days | "
                  f"{cards * hours:,.0f} card hours, ${cards * hours * CARD_HOUR:,.0f} |")  # fmt: skip


if __name__ == "__main__":
    tables(json.loads(Path(__file__).with_name("rates.json").read_text(encoding="utf-8"))["rates"])
