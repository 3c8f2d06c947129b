"""The package's readers by the kind of file, each called with a changed one; and valid small files to change."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from attacks.mutations import mutate_array, mutate_bytes, mutate_json, mutate_text, mutate_values, mutate_yaml
from attacks.seeds import CLIPS, IMAGES, write_seeds

__all__ = ["OF_TORCH", "READERS", "write_seeds"]

Reader = Callable[[Random, Path, Path], Any]
READERS: dict[str, Reader] = {}
OF_TORCH = {
    "checkpoint", "weights", "published_weights", "openvino_file", "torch_export", "depth_hints", "labels",
    "folder_of_drives", "report_of_a_run",
}  # fmt: skip
"""Kinds whose readers, or valid files, need PyTorch."""
INTRINSICS = np.array([[30.0, 0, 30], [0, 30, 20], [0, 0, 1]])


def reader(function: Reader) -> Reader:
    """Register a function that changes a file of `seeds` as `chance` says, writes it to `work`, and reads it."""
    READERS[function.__name__] = function
    return function


PIPES = False
"""Put pipes in place of changed files."""


def put(path: Path, content: bytes) -> Path:
    """Write a changed file; or a pipe, from which nothing ever comes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if PIPES:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    return path


def changed(chance: Random, seeds: Path, name: str, mutate: Callable[..., bytes], share: float = 1.0) -> bytes:
    """Return a seed's content, changed in `share` of the cases."""
    content = (seeds / name).read_bytes()
    return mutate(chance, content) if chance.random() < share else content


@reader
def image(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.io.images import image_size, read_image, small_grey

    name = chance.choice(IMAGES)
    path = put(work / f"x{Path(name).suffix}", changed(chance, seeds, name, mutate_bytes))
    chance.choice([read_image, image_size, lambda file: small_grey(file, (32, 48))])(path)


@reader
def image_with_exif(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.io.images import read_image
    from hrdepth.prepare.calibration import find_lens

    content = mutate_bytes(chance, (seeds / "exif.jpg").read_bytes(), head=True)
    path = put(work / "exif" / "x.jpg", content)
    read_image(path)
    find_lens(path.parent, (64, 96), "auto", None, None)


@reader
def video(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.io.media import probe
    from hrdepth.io.video import read_video

    name = chance.choice(CLIPS)
    path = put(work / f"x{Path(name).suffix}", changed(chance, seeds, name, mutate_bytes))
    probe(path)
    for _ in read_video(path):
        pass


@reader
def depth_video(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.io.depth_video import read_depth_video

    for _ in read_depth_video(put(work / "x.mkv", changed(chance, seeds, "depth.mkv", mutate_bytes))):
        pass


@reader
def upload(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.app.visitors import clip_frames, kind_of, read_upload
    from hrdepth.config import UploadLimits

    name, limits = chance.choice([*IMAGES, *CLIPS]), UploadLimits()
    path = put(work / f"u{Path(name).suffix}", changed(chance, seeds, name, mutate_bytes))
    if kind_of(path, limits) == "image":
        read_upload(path, limits)
    else:
        for _ in clip_frames(path, limits):
            pass


@reader
def calibration(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.prepare.calibration import find_lens
    from hrdepth.prepare.framing import Framing

    name = chance.choice(["kitti.txt", "cameras.txt", "opencv.yaml", "ros.yaml", "camera.yaml", "odometry.txt"])
    mutate = mutate_yaml if name in ("ros.yaml", "camera.yaml") else mutate_text
    path = put(work / f"c{Path(name).suffix}", changed(chance, seeds, name, mutate))
    lens = find_lens(work, (192, 640), str(path), None, chance.choice([None, None, None, "1", "x"]))
    Framing(lens, None).apply(np.zeros((192, 640, 3), np.uint8))


@reader
def laser(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.kitti import read_kitti_calibration
    from hrdepth.data.lidar import project_lidar, read_scan

    for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"):
        put(work / "day" / name, changed(chance, seeds, name, mutate_text, 0.4))
    calibration = read_kitti_calibration(work / "day")
    calibration.intrinsics(2)
    scan = read_scan(put(work / "scan.bin", changed(chance, seeds, "scan.bin", mutate_bytes, 0.5)))
    height, width = calibration.size(2)
    if height * width < 1e7:
        project_lidar(scan, calibration.velo_to_image(2), (height, width))


@reader
def odometry_calibration(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.kitti import read_projections

    read_projections(put(work / "calib.txt", changed(chance, seeds, "odometry.txt", mutate_text)))


@reader
def folder_of_drives(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.config import DatasetConfig
    from hrdepth.data import open_data

    drives = work / "drives"
    if not drives.exists():
        shutil.copytree(seeds / "drives", drives)
    for name, mutate in (("drive/camera.yaml", mutate_yaml), ("train.txt", mutate_text)):
        put(drives / name, changed(chance, seeds, f"drives/{name}", mutate, 0.6))
    put(drives / "drive/left/000001.png", changed(chance, seeds, "drives/drive/left/000001.png", mutate_bytes, 0.2))
    objects = "drives/drive/left_objects/000001.png"
    put(work / objects, changed(chance, seeds, objects, mutate_bytes, 0.2))
    config = DatasetConfig("folder", str(drives), str(drives / "train.txt"))
    dataset = open_data([config], [-1, 1])[0]
    from hrdepth.data.dataset import FrameDataset
    from hrdepth.data.layers import Mask, Objects

    layers = [Mask(), Objects.of(dataset.neighbours.images())] if chance.random() < 0.5 else []
    frames = FrameDataset(dataset.neighbours, (64, 96), layers)
    _ = frames[0] if len(frames) else None


@reader
def split(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.splits import read_split

    read_split(put(work / "split.txt", changed(chance, seeds, "split.txt", mutate_text)))


@reader
def config(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.cli import main

    path = put(work / "config.yaml", changed(chance, seeds, "train.yaml", mutate_yaml))
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            status = main(["train", "--config", str(path), "--print_config"])
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 2
    if status not in (0, 2) or "Traceback" in errors.getvalue() or len(errors.getvalue()) > 20_000:
        raise RuntimeError(f"status {status}: {errors.getvalue()[-200:]}")


@reader
def run_folder(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.app.training_tab import state_as_html
    from hrdepth.io.run_folder import read_run

    _changed_run(chance, seeds, work / "run")
    state_as_html(read_run(work / "run"))


@reader
def report_of_a_run(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.report.curves import read_log
    from hrdepth.report.run_metrics import read_results
    from hrdepth.report.run_summary import RunFolder

    _changed_run(chance, seeds, work / "run")
    run = RunFolder.read(work / "run")
    _ = run.validation, run.best_validation_loss, run.panels, run.parts, run.samples, run.frames, run.main_settings
    _ = run.environment, run.shown_settings, run.result_folders
    with contextlib.suppress(KeyError):
        read_log(work / "run", "train/loss")
    put(work / "results/metrics.json", changed(chance, seeds, "metrics.json", mutate_json))
    read_results(work / "results")


def _changed_run(chance: Random, seeds: Path, run: Path) -> None:
    (run / "panels").mkdir(parents=True, exist_ok=True)
    put(run / "config.yaml", changed(chance, seeds, "run/config.yaml", mutate_yaml, 0.6))
    put(run / "run.json", changed(chance, seeds, "run/run.json", mutate_json, 0.5))
    put(run / "metrics.csv", changed(chance, seeds, "run/metrics.csv", mutate_text, 0.6))
    put(run / "stopped.json", changed(chance, seeds, "run/stopped.json", mutate_json, 0.9))


@reader
def checkpoint(chance: Random, seeds: Path, work: Path) -> None:
    import torch

    from hrdepth.config.setting_files import read_train_config
    from hrdepth.training.state import find_start

    content = torch.load(seeds / "last.ckpt", weights_only=True)
    if chance.random() < 0.6:
        content = mutate_values(chance, content)
    work.mkdir(exist_ok=True)
    torch.save(content, work / "last.ckpt")
    if chance.random() < 0.5:
        put(work / "last.ckpt", mutate_bytes(chance, (work / "last.ckpt").read_bytes()))
    from dataclasses import replace

    settings = read_train_config(seeds / "train.yaml")
    find_start(replace(settings, output=str(work), resume="last"))


@reader
def weights(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.inference.predictor import Predictor
    from hrdepth.weights.checkpoint import load_pose_network

    path = put(work / "w.safetensors", _changed_weights(chance, (seeds / "net.safetensors").read_bytes()))
    predictor = Predictor.from_file(path, runtime="pytorch", threads=1)
    if max(predictor.size) <= 256:
        _use(predictor)
    if chance.random() < 0.3:
        load_pose_network(path)


def _use(predictor: Any) -> None:
    prediction = predictor(np.zeros((40, 60, 3), np.uint8), INTRINSICS)
    _ = prediction.depth, prediction.scale, prediction.best_depth


def _changed_weights(chance: Random, content: bytes) -> bytes:
    length = struct.unpack("<Q", content[:8])[0]
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata, kind = header["__metadata__"], chance.random()
    if kind < 0.55:
        name = chance.choice([name for name in metadata if name != "format"])
        if chance.random() < 0.75:
            metadata[name] = json.dumps(mutate_values(chance, json.loads(metadata[name])))
        else:
            metadata[name] = mutate_text(chance, metadata[name].encode()).decode("utf-8", "replace")
    elif kind < 0.8:
        name = chance.choice([name for name in header if name != "__metadata__"])
        header[name] = mutate_values(chance, header[name])
    elif kind < 0.9:
        body = mutate_bytes(chance, body)
    else:
        return mutate_bytes(chance, content, head=True)
    text = json.dumps(header).encode()
    stated = len(text) if chance.random() < 0.95 else chance.choice([0, 1, 2**63, 2**64 - 1, 2**31, len(text) - 1])
    return struct.pack("<Q", stated) + text + body


@reader
def published_weights(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.networks.backbone_weights import _read
    from hrdepth.weights.released import _read_published

    path = put(work / "p.pth", changed(chance, seeds, chance.choice(["new.pth", "old.pth"]), mutate_bytes))
    chance.choice([_read_published, _read])(path)


@reader
def onnx_file(chance: Random, seeds: Path, work: Path) -> None:
    import onnx

    from hrdepth.inference.predictor import Predictor

    content = (seeds / "net.onnx").read_bytes()
    if chance.random() < 0.7:
        model = onnx.load_from_string(content)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        name = chance.choice(list(metadata))
        if chance.random() < 0.7:
            metadata[name] = json.dumps(mutate_values(chance, json.loads(metadata[name])))
        else:
            metadata[name] = mutate_text(chance, metadata[name].encode()).decode("utf-8", "replace")
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, metadata)
        content = model.SerializeToString()
    else:
        content = mutate_bytes(chance, content)
    predictor = Predictor.from_file(put(work / "m.onnx", content), threads=1)
    if max(predictor.size) <= 512:
        _use(predictor)


@reader
def openvino_file(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.inference.predictor import Predictor

    text, data = (seeds / "net.xml").read_bytes(), (seeds / "net.bin").read_bytes()
    at = text.rfind(b"<rt_info>")
    if chance.random() < 0.75:
        text = text[:at] + mutate_text(chance, text[at:])
    else:
        text, data = mutate_bytes(chance, text), mutate_bytes(chance, data) if chance.random() < 0.5 else data
    put(work / "m.bin", data)
    predictor = Predictor.from_file(put(work / "m.xml", text), threads=1, cache=False)
    if max(predictor.size) <= 512:
        _use(predictor)


@reader
def array(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.cache import read_array
    from hrdepth.evaluation.predictions import read_disparities
    from hrdepth.io.images import read_depth

    name, read = chance.choice(
        [("disparities.npy", read_disparities), ("depth.npy", read_depth), ("cached.npy", read_array)]
    )
    read(put(work / name, changed(chance, seeds, name, mutate_array)))


@reader
def depth_hints(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.map_cache import DepthHints

    folder = work / "hints"
    if not folder.exists():
        shutil.copytree(seeds / "hints", folder)
    put(folder / "hints.json", changed(chance, seeds, "hints/hints.json", mutate_json, 0.6))
    hints = DepthHints.open(folder)
    for file in seeds.glob("hints/**/*.npy"):
        put(folder / file.relative_to(seeds / "hints"), changed(chance, file.parent, file.name, mutate_array))
    hints.load(seeds / "drives/drive/left/000001.png", ())


@reader
def labels(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.teachers.labels import Labels

    folder = work / "labels"
    if not folder.exists():
        shutil.copytree(seeds / "labels", folder)
    for file in seeds.glob("labels/**/*"):
        mutate = {".npy": mutate_array, ".json": mutate_json}.get(file.suffix)
        if mutate is not None:
            put(folder / file.relative_to(seeds / "labels"), changed(chance, file.parent, file.name, mutate, 0.6))
    found, source = Labels.open(folder), seeds / "drives/drive/left/000001.png"
    found.check([source])
    found.resized(source, (64, 96))


@reader
def teachers_facts(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.teachers.onnx import _read_facts

    _read_facts(put(work / "facts.yaml", changed(chance, seeds, "facts.yaml", mutate_yaml)))


@reader
def true_depth_archive(chance: Random, seeds: Path, work: Path) -> None:
    import zipfile

    from hrdepth.truth.sparse_maps import read_depth_maps

    name = chance.choice(["object.npz", "plain.npz", "packed.npz", "sparse.npz"])
    content = (seeds / name).read_bytes()
    if chance.random() < 0.6:
        packed = zipfile.ZipFile(io.BytesIO(content))
        member = chance.choice(packed.namelist())
        again = io.BytesIO()
        with zipfile.ZipFile(again, "w") as archive:
            for entry in packed.namelist():
                data = packed.read(entry)
                archive.writestr(entry, mutate_bytes(chance, data) if entry == member else data)
        content = again.getvalue()
    else:
        content = mutate_bytes(chance, content)
    for _ in read_depth_maps(put(work / "g.npz", content), ["drive 1 l", "drive 2 l"]):
        pass


@reader
def disparities(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.evaluation.predictions import read_disparities

    name = chance.choice(["disparities.npy", "disparities.npz"])
    read_disparities(put(work / name, changed(chance, seeds, name, mutate_bytes)))


@reader
def depth_file(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.io.images import read_depth
    from hrdepth.truth.cityscapes import read_disparity

    name = chance.choice(["depth.npy", "depth.png"])
    read = chance.choice([read_depth, read_disparity]) if name == "depth.png" else read_depth
    read(put(work / name, changed(chance, seeds, name, mutate_bytes)))


@reader
def make3d(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.truth.make3d import _read

    _read(put(work / "m.mat", mutate_bytes(chance, (seeds / "make3d.mat").read_bytes(), head=True)))


@reader
def numbers(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.evaluation.metric_scale import _read_distances
    from hrdepth.evaluation.trajectory import read_poses, read_rows

    name, read = chance.choice(
        [
            ("poses.txt", read_poses),
            ("speeds.txt", lambda path: read_rows(path, 1, "speeds")),
            ("gps.txt", lambda path: read_rows(path, 2, "positions")),
            ("distances.txt", lambda path: _read_distances(str(path))),
        ]
    )
    read(put(work / name, changed(chance, seeds, name, mutate_text)))


@reader
def rig(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.cityscapes import read_rig

    read_rig(put(work / "rig.json", changed(chance, seeds, "rig.json", mutate_json)))


@reader
def manifest_of_a_drive(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.prepare.recording import drives_with_manifest, verify_drive

    put(work / "made/drive/manifest.json", changed(chance, seeds, "manifest.json", mutate_json))
    for drive in drives_with_manifest(work / "made"):
        verify_drive(drive)


@reader
def cache(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.data.cache import ImageCache
    from hrdepth.prepare.cache import verify_cache

    put(work / "cache/manifest.json", changed(chance, seeds, "cache.json", mutate_json))
    ImageCache.open(work / "cache").match([work / "a.jpg"])
    verify_cache(str(work / "cache"), 1)


@reader
def card(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.weights.card import Card, read_card

    facts = put(work / "card.yaml", changed(chance, seeds, "card.yaml", mutate_yaml))
    results = put(work / "results.json", changed(chance, seeds, "metrics.json", mutate_json))
    read_card(chance.choice([None, facts]), chance.choice([None, results]), Card()).as_dict()


@reader
def metrics(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.evaluation.tabulate import _read

    put(work / "row/metrics.json", changed(chance, seeds, "metrics.json", mutate_json))
    _read(str(work / "row"))


@reader
def prediction(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.config import Outputs
    from hrdepth.inference.folder import predict_to_folder
    from hrdepth.inference.predictor import Predictor

    shutil.rmtree(work / "predicted", ignore_errors=True)
    shutil.copytree(seeds / "predicted", work / "predicted")
    for name, mutate in (("predict.json", mutate_json), ("clip_unfinished/state.npz", mutate_bytes)):
        put(work / "predicted" / name, changed(chance, seeds, f"predicted/{name}", mutate, 0.6))
    predictor = Predictor.from_file(seeds / "net.onnx", threads=1)
    clip = chance.choice([seeds / "clip.mp4", seeds / "images"])
    predict_to_folder(predictor, clip, work / "predicted", Outputs(), resume=True, progress=False)


@reader
def measurement(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.reproduce.measure import _read

    _read(put(work / "measured.json", changed(chance, seeds, "measured.json", mutate_json)))


@reader
def learned_cameras(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.camera import choose_camera
    from hrdepth.weights.find import read_cameras

    text = changed(chance, seeds, "cameras.json", mutate_json).decode("utf-8", "replace")
    cameras = read_cameras({"cameras": text}, work / "w.safetensors")
    choose_camera(cameras, chance.choice([None, "a"]))


@reader
def torch_export(chance: Random, seeds: Path, work: Path) -> None:
    from hrdepth.inference.runtimes.source import read_description

    read_description(put(work / "m.pt2", changed(chance, seeds, "net.pt2", mutate_bytes)))
