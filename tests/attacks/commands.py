"""Every command that writes, at a size that takes a second, and how a user repeats it after it was killed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import fake_datasets
import fake_run

RESUME, OVERWRITE, LAST = ("--resume", "true"), ("--overwrite", "true"), ("--resume", "last")


@dataclass(frozen=True)
class Command:
    """A command that writes below the folder `out` of the folder that it runs in.

    Attributes:
        line: its arguments, in words.
        again: what is added where it was killed and has left something under a final name.
        weight: how often it is killed, compared with others.
    """

    line: str
    again: tuple[str, ...] = ()
    weight: int = 10

    @property
    def arguments(self) -> list[str]:
        """The arguments of `hrdepth`."""
        return self.line.split()


CORE = "--weights ../in/net.onnx --runtime onnxruntime --threads 1"
DRIVES = "--data.kind drive --data.root ../in/drives"
BASE, OURS = "kitti-monodepth2-m-640x192", "kitti-hrdepth-m-640x192"
ROWS = f"--out out --runs ../in/runs {DRIVES}"
FIGURE = f"kitti-hrdepth-m-1024x320=../in/net.safetensors {ROWS} --count 1 --formats [svg,pdf]"
# Those of the core, which is imported in a second, first.
COMMANDS: dict[str, Command] = {
    "predict image": Command(f"predict ../in/images/0.png {CORE} --out out", OVERWRITE, 10),
    "predict folder": Command(f"predict ../in/images {CORE} --out out", RESUME, 40),
    "predict video": Command(
        f"predict ../in/clip.mp4 {CORE} --out out --depth-video true --npz true --smooth exponential", RESUME, 90
    ),
    "prepare video": Command("prepare video ../in/clip.mp4 --out out --intrinsics ../in/camera.yaml", (), 25),
    "evaluate": Command(f"evaluate {CORE} {DRIVES} --out out", OVERWRITE, 40),
    "tabulate": Command("tabulate a=../in/results --out out/table.md", OVERWRITE, 20),
    "recipes copy": Command("recipes copy kitti-hrdepth-m-640x192 --out out/recipe.yaml", OVERWRITE, 20),
    "render": Command("render out --frames 3 --size [32,64]", OVERWRITE, 2),
    "doctor": Command("doctor ../in/drives --page out/doctor.html", (), 20),
    "prepare cache": Command("prepare cache --cache out --config ../in/train.yaml --threads 1", (), 25),
    "prepare shards": Command("prepare shards --config ../in/train.yaml --megabytes 0.05 --out out", (), 15),
    "prepare kitti": Command(
        "prepare kitti ../in/kitti --lists [../in/kitti/train.txt] --splits --jpeg --out out", (), 25
    ),
    "prepare kitti-odometry": Command(
        "prepare kitti-odometry ../in/odometry --train ['00'] --test [] --splits --jpeg --out out", (), 30
    ),
    "prepare cityscapes": Command("prepare cityscapes ../in/cityscapes --splits --jpeg --out out", (), 30),
    "train": Command("train --config ../in/train.yaml --output out", LAST, 18),
    "train, loaders": Command("train --config ../in/train.yaml --output out --workers 1", LAST, 3),
    "train, accumulated": Command(
        "train --config ../in/train.yaml --output out --accumulate 2 --average 0.9 --optimiser.schedule cosine",
        LAST, 6,
    ),
    "prepare hints": Command(
        "prepare hints --config ../in/train.yaml --out out --weights ../in/net.safetensors --planes 8 --every 1 "
        "--offsets [-1,1]",
        (), 10,
    ),
    "prepare labels": Command(
        "prepare labels --data ../in/drives --teacher ../in/net.safetensors --out out --size [64,96]", (), 10
    ),
    "compare": Command(f"compare ../in/net.safetensors {DRIVES} --out out --count 1 --features false", OVERWRITE, 6),
    "report": Command("report ../in/run --out out/report.html --bootstrap 40 --points 500", OVERWRITE, 5),
    "odometry": Command("odometry ../in/images --weights ../in/net.safetensors --out out", OVERWRITE, 12),
    "calibrate-scale": Command(
        "calibrate-scale ../in/net.safetensors --input ../in/images --out out/metres.safetensors "
        "--distances ../in/distances.txt",
        OVERWRITE, 12,
    ),
    "pack": Command(
        "pack ../in/net.safetensors --out out/packed.safetensors --licence MIT --images ../in/images --tolerance 1",
        OVERWRITE, 12,
    ),
    "pack, page": Command("pack ../in/net.safetensors --web out/page", OVERWRITE, 8),
    "export onnx": Command("export ../in/net.safetensors --out out/net.onnx --size [64,96]", OVERWRITE, 6),
    "export openvino": Command("export ../in/net.safetensors --out out/net.xml --size [64,96]", OVERWRITE, 5),
    "export pt2": Command("export ../in/net.safetensors --out out/net.pt2 --size [64,96]", OVERWRITE, 1),
    "reproduce table1": Command(f"reproduce table1 {BASE}=../in/net.safetensors {ROWS}", (), 2),
    "reproduce table2": Command(f"reproduce table2 {OURS}=../in/net.safetensors {ROWS}", (), 2),
    "reproduce table3": Command(f"reproduce table3 {BASE}=../in/net.safetensors {ROWS}", (), 2),
    "reproduce table4": Command(f"reproduce table4 {OURS}=../in/net.safetensors {ROWS} --bootstrap 40", (), 7),
    "reproduce figure2": Command(
        f"reproduce figure2 {BASE}=../in/net.safetensors {ROWS} --low_size [32,48]", (), 6
    ),
    "reproduce figure4": Command(f"reproduce figure4 {FIGURE}", (), 4),
    "reproduce figure5": Command(f"reproduce figure5 {FIGURE}", (), 4),
    "reproduce resolution": Command(
        "reproduce resolution --out out --runs ../in/resolutions --resolutions [1,2] --seeds [0] --bootstrap 40 "
        + DRIVES,
        (), 8,
    ),
    "corruptions": Command(
        f"corruptions {CORE} {DRIVES} --out out --kinds [fog,contrast] --severities [1,3]", (), 12
    ),
    "benchmark load": Command(
        "benchmark load --config ../in/train.yaml --workers [0] --seconds 0.2 --out out/load.json", OVERWRITE, 6
    ),
    "import-weights": Command(
        "import-weights --network lite_hrdepth --encoder ../in/encoder.pth --depth ../in/depth.pth "
        "--out out/imported.safetensors",
        OVERWRITE, 8,
    ),
}  # fmt: skip
CORE_COMMANDS = list(COMMANDS)[:8]
# Those whose optional libraries are there.
INSTALLED = [name for name in COMMANDS if name != "corruptions" or find_spec("imagecorruptions")]
# Of `hrdepth`, those that are not killed, and why.
NOT_KILLED = {
    **dict.fromkeys(("diagnose", "models", "recipes list", "recipes show", "scan", "serve"), "writes nothing"),
    "app": "page.py kills it",
    **{
        f"benchmark {what}": "writes one file at its end, by the same function as `benchmark load`"
        for what in ("app", "evaluate", "export", "predict", "start", "train")
    },
}


def write_inputs(folder: Path, *, torch: bool = True) -> Path:
    """Write what the commands read into `folder`; without PyTorch what those of the core read."""
    folder.mkdir(parents=True, exist_ok=True)
    fake_datasets.drive(folder / "drives")
    (folder / "drives" / "train.txt").write_text("drive 1 l\ndrive 2 l\n")
    (folder / "drives" / "val.txt").write_text("drive 4 l\n")
    (folder / "images").mkdir()
    for number in range(6):
        fake_datasets.image(2 * number).save(folder / "images" / f"{number}.png")
    _write_clip(folder / "clip.mp4")
    camera = {"width": 96, "height": 64, "fx": 55.0, "fy": 60.0, "cx": 47.0, "cy": 31.0}
    (folder / "camera.yaml").write_text(yaml.safe_dump(camera))
    write_graph(folder / "net.onnx")
    metrics = dict.fromkeys(("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3"), 0.1)
    record = {"metrics": metrics, "protocol": {"scaling": "median"}, "ground_truth": "drive", "images": 3}
    (folder / "results").mkdir()
    (folder / "results" / "metrics.json").write_text(json.dumps(record | {"extras": {}, "extras_protocol": {}}))
    (folder / "distances.txt").write_text("0 40 50 7.5\n1 40 50 7.4\n2 50 40 9\n")
    fake_run.run_folder(folder / "run", data=folder / "drives")
    fake_datasets.kitti_raw(folder / "kitti")
    fake_datasets.kitti_odometry(folder / "odometry")
    fake_datasets.cityscapes(folder / "cityscapes")
    (folder / "train.yaml").write_text(yaml.safe_dump(_training()))
    if torch:
        _write_networks(folder)
    return folder


def _training() -> dict[str, Any]:
    """Return the settings of a training of seconds."""
    from tiny_networks import NETWORK, POSE_NETWORK

    part = [{"dataset": "folder", "root": "../in/drives", "split": "../in/drives/train.txt"}]
    return {
        "train": part, "validation": part, "output": "out", "size": [64, 96], "batch_size": 2, "epochs": 3,
        "workers": 0,
        "network": {"name": NETWORK.name, "options": NETWORK.options}, "pose_network": {"name": POSE_NETWORK.name},
        "device": "cpu", "precision": "32-true", "checkpoint_minutes": 0,
        "log": {"every_steps": 1, "panels_every_steps": 2},
    }  # fmt: skip


def _write_clip(path: Path, frames: int = 24) -> None:
    from hrdepth.io.video_writer import VideoWriter

    wide = fake_datasets.texture(3, margin=96)
    with VideoWriter(path, 10) as video:
        for number in range(frames):
            video.write(np.ascontiguousarray(wide[:, 3 * number : 3 * number + 96]))


def write_graph(path: Path) -> None:
    """Write a network as `hrdepth export` does, of one operation: disparity is the mean colour."""
    from onnx import TensorProto, helper, save

    shape = [1, 3, 64, 96]
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Clip", ["mean", "low", "high"], ["disparity"]),
        ],
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("disparity", TensorProto.FLOAT, [1, 1, 64, 96])],
        [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("low", 0.01), ("high", 0.99))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    from hrdepth.camera import DepthScale
    from hrdepth.inference.runtimes.source import Description

    metadata = Description(size=(64, 96), fixed=True, scale=DepthScale(0.1, 100.0)).metadata()
    helper.set_model_props(model, metadata)
    save(model, str(path))


def _write_networks(folder: Path) -> None:
    import torch

    import released_weights
    from hrdepth.networks import build_network, build_pose_network
    from hrdepth.weights.checkpoint import save_checkpoint
    from tiny_networks import NETWORK, POSE_NETWORK

    torch.manual_seed(0)
    networks = build_network(NETWORK), NETWORK
    pose = {"pose_network": build_pose_network(POSE_NETWORK), "pose_network_config": POSE_NETWORK}
    save_checkpoint(folder / "net.safetensors", *networks, size=(64, 96), **pose)
    copies = [folder / "run" / "best.safetensors"]
    copies += [
        folder / "resolutions" / factor / f"{row}-seed0" / "best.safetensors"
        for factor in ("x1", "x2")
        for row in (BASE, OURS)
    ]
    for copy in copies:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "net.safetensors", copy)
    released_weights.write(folder, "lite_hrdepth")
