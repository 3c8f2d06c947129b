"""Measure what one core does: seconds of processor time a frame, of each part of training, prediction and labelling.

Processor time of one thread, not the clock's, so that other work on the machine counts as little as can be. Parts are
measured in turns; of each, the median. Writes rates.json beside this file: python results/scaling/measure.py
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hrdepth.benchmark.workloads import FRAME_SIZE, made_drive
from hrdepth.config import NetworkConfig, ObjectiveConfig, Outputs, PrepareConfig, PrepareShardsConfig, TrainConfig
from hrdepth.config.setting_files import read_train_config
from hrdepth.data import mix, open_data
from hrdepth.data.cache import open_cache
from hrdepth.data.sample import resize_image
from hrdepth.inference.outputs import write_npz
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.writer import Writer
from hrdepth.io.files import write_json
from hrdepth.io.images import read_image
from hrdepth.io.provenance import provenance
from hrdepth.io.video import read_video
from hrdepth.io.video_writer import VideoWriter
from hrdepth.prepare.cache import prepare
from hrdepth.prepare.shards import pack_shards
from hrdepth.training import build_training_objective
from hrdepth.training.optimiser import build_optimiser

SIZE, FRAMES, ROUNDS = (192, 640), 8, 5


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        parts = build(Path(name))
        taken: dict[str, list[float]] = {part: [] for part in parts}
        for work, _ in parts.values():
            work()  # caches, compilation
        for _ in range(ROUNDS):
            for part, (work, count) in parts.items():
                begun = time.process_time()
                work()
                taken[part].append((time.process_time() - begun) / count)
    rates = {part: round(1000 * statistics.median(seconds), 3) for part, seconds in taken.items()}
    spread = {part: [round(1000 * min(s), 3), round(1000 * max(s), 3)] for part, s in taken.items()}
    for part, rate in rates.items():
        print(f"{part:55s} {rate:9.2f} ms  ({spread[part][0]:.2f} to {spread[part][1]:.2f})")
    about = {
        "unit": "milliseconds of one core a frame",
        "image": FRAME_SIZE,
        "network_size": SIZE,
        "load": os.getloadavg(),
    }
    write_json(Path(__file__).with_name("rates.json"), provenance(seed=0, **about, rates=rates, least_and_most=spread))


def build(folder: Path) -> dict[str, tuple[Callable[[], object], int]]:
    """Return each part's work, and how many frames it is of."""
    drive = made_drive(folder / "drive", FRAMES)
    images = sorted((folder / "drive" / "drive" / "left").glob("*.jpg"))
    pixels = [np.asarray(read_image(path)) for path in images]
    with VideoWriter(folder / "clip.mp4", 10) as video:
        for image in pixels:
            video.write(image[:374])
    config = TrainConfig(
        [drive],
        [drive],
        str(folder / "run"),
        size=SIZE,
        batch_size=1,
        workers=0,
        device="cpu",
        objective=ObjectiveConfig(frames=[-1, 1]),
        cache=str(folder / "cache"),
        scan="off",
    )
    prepare(PrepareConfig(config, threads=1))
    cached = mix(open_data(config.train, [-1, 1]), SIZE, read=read_cached(config))
    plain = mix(open_data(config.train, [-1, 1]), SIZE)
    packed = {}
    for kind in ("source", "decoded"):
        pack_shards(PrepareShardsConfig(str(folder / kind), config, images=kind, threads=1))  # type: ignore[arg-type]
        packed[kind] = mix(open_data(read_train_config(folder / kind / "train.yaml").train, [-1, 1]), SIZE)
    samples = len(plain)
    predictor = Predictor.from_pretrained(None, device="cpu", runtime="onnxruntime", threads=1, size=SIZE)
    predictions = [predictor(image) for image in pixels[:2]]
    (folder / "out").mkdir()
    writer = Writer(folder / "out", Outputs(), None, None)
    steps = {}
    for name, network in {"Lite-HR-Depth": "lite_hrdepth", "HR-Depth": "hrdepth"}.items():
        steps[f"training step, {name}, batch 1"] = (step(replace(config, network=NetworkConfig(network))), 1)
    return {
        "decode a JPEG of KITTI's size": (lambda: [read_image(path) for path in images], len(images)),
        "decode a video's frame": (lambda: sum(1 for _ in read_video(folder / "clip.mp4")), FRAMES),
        "resize to the network's size": (
            lambda: [resize_image(read_pixels(image), SIZE) for image in pixels], len(pixels)),
        "load a sample of three images, files": (lambda: [plain[item] for item in range(samples)], samples),
        "load a sample of three images, cache": (lambda: [cached[item] for item in range(samples)], samples),
        "load a sample of three images, shards of files": (
            lambda: [packed["source"][item] for item in range(samples)], samples),
        "load a sample of three images, decoded shards": (
            lambda: [packed["decoded"][item] for item in range(samples)], samples),
        "predict, bundled network, ONNX Runtime": (lambda: [predictor(image) for image in pixels[:2]], 2),
        "write disparity and panel": (lambda: [writer(str(i), one) for i, one in enumerate(predictions)], 2),
        "write .npz": (lambda: [write_npz(folder / "out" / "a.npz", one) for one in predictions], 2),
        **steps,
    }  # fmt: skip


def read_pixels(image: np.ndarray) -> object:
    """Return an array as a Pillow image."""
    from PIL import Image

    return Image.fromarray(image)


def read_cached(config: TrainConfig) -> Callable[[Path], object]:
    """Return the reader of a config's cache."""
    sets = [part.neighbours for part in open_data(config.train, config.objective.frames)]
    return open_cache(str(config.cache), config, sets).read


def step(config: TrainConfig) -> Callable[[], object]:
    """Return a training step on a batch in memory."""
    torch.manual_seed(0)
    objective = build_training_objective(config).train()
    optimiser = build_optimiser(objective.parameters(), config.optimiser)
    data = mix(open_data(config.train, [-1, 1]), config.size)
    batch = torch.utils.data.default_collate([data[item] for item in range(config.batch_size)])

    def run() -> None:
        optimiser.zero_grad()
        objective(batch).loss.backward()
        optimiser.step()

    return run


if __name__ == "__main__":
    sys.exit(main())
