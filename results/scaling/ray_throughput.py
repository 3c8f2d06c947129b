"""Compare `predict --ray local` with the plain command: processor time a frame, memory, and the clock's time.

Both predict the same clips on the same two cores, in turns: the plain one with two threads, Ray with two processes of
one thread. Processor time counts what happens in the processes that predict, from their first frame on (reading,
network, writing, publishing). Writes ray.json beside this file: python results/scaling/ray_throughput.py
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hrdepth.config import PredictConfig
from hrdepth.fleet.recordings import _Predicting, find_units
from hrdepth.fleet.units import stream
from hrdepth.inference.folder import predict_to_folder
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.video_writer import VideoWriter

CLIPS, FRAMES, ROUNDS, SIZE = 10, 16, 2, (192, 640)


class Timed:
    """`predict --ray`'s work, with its processor time, memory and process."""

    def __init__(self, config: PredictConfig) -> None:
        self.work = _Predicting(config)

    def __call__(self, unit: Any) -> tuple[float, int, int]:
        """Return seconds, mebibytes of the process's own memory, and the process."""
        before = time.process_time()
        self.work(unit)
        taken = time.process_time() - before
        status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
        return taken, int(status["RssAnon"].split()[0]) // 1024, os.getpid()  # without the pages of Ray's store


def main() -> None:
    """Measure and write."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        random = np.random.default_rng(0)
        for clip in range(CLIPS):
            still = np.kron(random.integers(0, 255, (24, 80, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
            with VideoWriter(folder / "in" / f"{clip}.mp4", 10) as video:
                for number in range(FRAMES):
                    video.write(np.roll(still, 3 * number, axis=1))
        config = PredictConfig(str(folder / "in"), out=str(folder / "out"), device="cpu", runtime="onnxruntime",
                               size=SIZE, ray="local", ray_workers=2)  # fmt: skip
        ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
        predictor = Predictor.from_pretrained(None, device="cpu", runtime="onnxruntime", size=SIZE, threads=2)
        found: dict[str, list[dict[str, Any]]] = {"plain": [], "ray": []}
        units = find_units(config.input, "predict.json")
        for _ in range(ROUNDS):
            shutil.rmtree(folder / "out", ignore_errors=True)
            begun, cpu = time.perf_counter(), time.process_time()
            for clip in sorted((folder / "in").iterdir()):
                predict_to_folder(
                    predictor, clip, folder / "out" / clip.stem, replace(config, ray=None), progress=False
                )
            found["plain"].append(rate(time.process_time() - cpu, time.perf_counter() - begun))
            shutil.rmtree(folder / "out")
            begun = time.perf_counter()
            done = [one.result for one in stream(partial(Timed, config), units, config, "ray")]
            taken = rate(sum(cpu for cpu, _, _ in done), time.perf_counter() - begun)
            for pid in {pid for _, _, pid in done}:
                taken.setdefault("mebibytes", []).append([most for _, most, own in done if own == pid])
            found["ray"].append(taken)
    best = {kind: min(one["cpu_ms_a_frame"] for one in runs) for kind, runs in found.items()}
    clock = {kind: sum(one["clock_ms_a_frame"] for one in runs) for kind, runs in found.items()}
    print(best, best["plain"] / best["ray"], clock["plain"] / clock["ray"])
    about = {"clips": CLIPS, "frames": FRAMES, "size": SIZE, "load": os.getloadavg(), "runs": found}
    write_json(
        Path(__file__).with_name("ray.json"),
        provenance(
            seed=0,
            **about,
            throughput_a_core_against_plain=round(best["plain"] / best["ray"], 3),
            throughput_by_the_clock_against_plain=round(clock["plain"] / clock["ray"], 3),
        ),
    )


def rate(cpu: float, clock: float) -> dict[str, Any]:
    """Return times a frame; the clock's includes starting the processes."""
    frames = CLIPS * FRAMES
    return {"cpu_ms_a_frame": round(1000 * cpu / frames, 2), "clock_ms_a_frame": round(1000 * clock / frames, 2)}


if __name__ == "__main__":
    main()
