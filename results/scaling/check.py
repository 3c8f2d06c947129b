"""Compare the simulation with runs of one and two processes.

The runs are PyTorch's loader, with its processes and its queues, and gloo's exchange between ranks; decoding and the
card's computation are played by pauses of known length, so that the speed of the cores does not decide. On a machine
that is busy otherwise pauses last longer than they should. Writes check.json: python results/scaling/check.py
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from simulate import Machine, samples_a_second
from torch import distributed, multiprocessing
from torch.utils.data import DataLoader, Dataset

from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance

STEPS, SKIPPED = 24, 8
CASES = {
    "the card decides": {"load": 0.1, "step": 0.5, "workers": 2},
    "loading decides": {"load": 0.3, "step": 0.5, "workers": 2},
    "both are as long": {"load": 0.25, "step": 0.5, "workers": 2},
}
BATCH = 4


class Slow(Dataset[int]):
    """Samples that take a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return STEPS * BATCH

    def __getitem__(self, item: int) -> int:
        time.sleep(self.seconds)
        return item


def rank(number: int, ranks: int, load: float, step: float, workers: int, file: str, queue: object) -> None:
    """Train with pauses; the first process reports the samples a second of all."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=number, world_size=ranks)
    gradients = torch.zeros(1000)
    begun = ended = 0.0
    for index, _ in enumerate(DataLoader(Slow(load), BATCH, num_workers=workers)):
        if index == SKIPPED:
            begun = time.perf_counter()
        time.sleep(step)
        distributed.all_reduce(gradients)
        ended = time.perf_counter()  # ending the loader's processes takes long on a busy machine
    if number == 0:
        queue.put(ranks * BATCH * (STEPS - SKIPPED) / (ended - begun))  # type: ignore[attr-defined]
    distributed.destroy_process_group()


def main() -> None:
    """Run, compare and write."""
    context = multiprocessing.get_context("spawn")
    found = {}
    for name, case in CASES.items():
        for ranks in (1, 2):
            queue, file = context.Queue(), f"/tmp/hrdepth-check-{os.getpid()}-{ranks}-{len(found)}"
            values = (case["load"], case["step"], int(case["workers"]))
            processes = [context.Process(target=rank, args=(n, ranks, *values, file, queue)) for n in range(ranks)]
            for process in processes:
                process.start()
            measured = queue.get(timeout=300)
            for process in processes:
                process.join()
            Path(file).unlink(missing_ok=True)
            machine = Machine(ranks, ranks, 1000, int(case["workers"]), case["load"], case["step"], 0, BATCH)
            simulated = samples_a_second(machine)
            error = simulated / measured - 1
            found[f"{name}, {ranks} processes"] = {"measured": measured, "simulated": simulated, "error": error}
            print(f"{name:20s} {ranks}: {measured:7.3f} samples/s, simulated {simulated:7.3f} ({100 * error:+.1f} %)")
    about = {"unit": "samples a second of all processes", "cases": CASES, "batch": BATCH, "load": os.getloadavg()}
    write_json(Path(__file__).with_name("check.json"), provenance(**about, found=found))


if __name__ == "__main__":
    main()
