"""Valid small files of every kind that the package reads, for the fuzzer to change."""

from __future__ import annotations

import contextlib
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

import fake_datasets
from attacks.commands import write_inputs

IMAGES = [
    "a.jpg", "b.png", "c.bmp", "d.tif", "e.webp", "f.gif", "g.ppm", "h.jp2", "i.avif", "k.png", "l.png", "m.png",
    "n.png", "o.jpg", "p.tif",
]  # fmt: skip
CLIPS = ["clip.mp4", "b.mkv", "c.webm", "d.avi", "f.ts", "g.mov"]
CODECS = {
    "b.mkv": ("libx264", "yuv420p"), "c.webm": ("libvpx", "yuv420p"), "d.avi": ("mpeg4", "yuv420p"),
    "f.ts": ("mpeg2video", "yuv420p"), "g.mov": ("mjpeg", "yuvj420p"), "depth.mkv": ("ffv1", "gray16le"),
}  # fmt: skip
CAMERA = "image_width: 640\nimage_height: 192\n"
MATRIX = "[300., 0., 320., 0., 300., 96., 0., 0., 1.]"
TEXTS = {
    "cameras.txt": "# Camera list\n1 OPENCV 640 192 300 300 320 96 0.1 0.01 0.001 0.001\n"
    "2 PINHOLE 640 192 300 300 320 96\n",
    "opencv.yaml": f"%YAML:1.0\n---\n{CAMERA}camera_matrix: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
    f"   data: {MATRIX}\ndistortion_coefficients: !!opencv-matrix\n   rows: 5\n   cols: 1\n   dt: d\n"
    "   data: [0.1, 0.01, 0., 0., 0.]\n",
    "ros.yaml": f"{CAMERA}camera_name: c\ncamera_matrix: {{rows: 3, cols: 3, data: {MATRIX}}}\n"
    "distortion_model: plumb_bob\ndistortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0.01, 0., 0., 0.]}\n",
    "camera.yaml": "width: 640\nheight: 192\nfx: 300.0\nfy: 300.0\ncx: 319.5\ncy: 95.5\nbaseline: 0.54\n",
    "split.txt": "# frames\ndrive 1 l\ndrive 2 r\n2011_09_26/2011_09_26_drive_0001_sync 0000000003 l\ndrive 4\n",
    "calib_velo_to_cam.txt": "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 -0.08 -0.27\n",
    "poses.txt": "1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 0.1 0 1 0 0 0 0 1 0.9\n",
    "speeds.txt": "1.0\n2.0\n3.0\n",
    "gps.txt": "49.0 8.4\n49.0001 8.4\n",
    "card.yaml": "title: x\nsummary: y\ndata: z\nterms: t\nlimits: [a, b]\nrecipe: r\nnotes: [n]\n",
    "facts.yaml": "output: depth\nmeaning: metric\nsize: [64, 96]\nmean: [0.4, 0.4, 0.4]\nstd: [0.2, 0.2, 0.2]\n"
    "licence: MIT\n",
    "rig.json": '{"extrinsic": {"baseline": 0.21, "x": 1.7, "pitch": 0.03}, "intrinsic": {"fx": 2262.5, "fy": 2265.3, '
    '"u0": 1096.9, "v0": 513.1}}',
    "cache.json": '{"format": 1, "size": [64, 96], "pictures": {"../a.jpg": {"bytes": 3, "mtime_ns": 4, '
    '"sha256": "ab"}}}',
    "cameras.json": '[{"name": "a", "size": [64, 96], "fx": 0.6, "fy": 1.2, "cx": 0.5, "cy": 0.5}]',
    "measured.json": '{"key": "key", "images": 1, "pictures": {"a": [1, 2, 3, 4, 5, 6, 7]}}',
}  # fmt: skip


def write_seeds(folder: Path, *, torch: bool = True) -> None:
    """Write the files into `folder`; without PyTorch those of the core."""
    write_inputs(folder, torch=torch)
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    shutil.copy(folder / "kitti/2011_09_26/calib_cam_to_cam.txt", folder / "kitti.txt")
    shutil.copy(folder / "kitti.txt", folder / "calib_cam_to_cam.txt")
    shutil.copy(folder / "odometry/sequences/00/calib.txt", folder / "odometry.txt")
    shutil.copy(folder / "results/metrics.json", folder / "metrics.json")
    fake_datasets.objects(folder / "drives")
    (folder / "run/stopped.json").write_text('{"message": "the loss is not finite", "step": 40}')
    np.random.default_rng(1).random((500, 4), np.float32).tofile(folder / "scan.bin")
    _write_images(folder)
    for name, (codec, pixels) in CODECS.items():
        _write_clip(folder / name, codec, pixels)
    _write_arrays(folder)
    _make(["prepare", "video", str(folder / "clip.mp4"), "--out", str(folder / "made"), "--fov", "80"])
    shutil.copy(folder / "made/clip/manifest.json", folder / "manifest.json")
    _interrupt_a_video(folder)
    if torch:
        _write_made(folder)


def _write_images(folder: Path) -> None:
    image = fake_datasets.image(0)
    grey = np.random.default_rng(0).integers(0, 65535, fake_datasets.SIZE, dtype=np.uint16)
    kinds = {
        "k.png": Image.fromarray(grey), "l.png": image.convert("P"), "m.png": image.convert("RGBA"),
        "n.png": image.convert("LA"), "o.jpg": image.convert("CMYK"), "p.tif": Image.fromarray(grey / np.float32(9e4)),
    }  # fmt: skip
    for name in IMAGES:
        kinds.get(name, image).save(folder / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 28
    image.save(folder / "exif.jpg", exif=exif)


def _write_clip(path: Path, codec: str, pixels: str, frames: int = 8) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = *fake_datasets.SIZE, pixels
        for number in range(frames):
            image = np.asarray(fake_datasets.image(2 * number))
            if pixels == "gray16le":
                frame = av.VideoFrame.from_ndarray(image[..., 0].astype(np.uint16) * 200, format=pixels)
            else:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_arrays(folder: Path) -> None:
    import scipy.io

    from hrdepth.truth.sparse_maps import write_sparse_maps

    rng = np.random.default_rng(0)
    depth = np.zeros((20, 30), np.float32)
    depth[5:9, 4:9] = 7
    objects = np.empty(3, object)
    objects[:] = depth, depth[:10] + 1, depth + 2
    np.savez(folder / "object.npz", data=objects)
    np.savez(folder / "plain.npz", data=np.stack([depth, depth]))
    np.savez_compressed(folder / "packed.npz", data=objects)
    write_sparse_maps(folder / "sparse.npz", iter([("drive 1 l", depth), ("drive 2 l", depth)]), {"ground_truth": "x"})
    disparities = rng.random((3, 12, 16)).astype(np.float32)
    np.save(folder / "disparities.npy", disparities)
    np.savez(folder / "disparities.npz", a=disparities)
    np.save(folder / "depth.npy", depth)
    Image.fromarray((depth * 256).astype(np.uint16)).save(folder / "depth.png")
    np.save(folder / "cached.npy", rng.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    scipy.io.savemat(folder / "make3d.mat", {"Position3DGrid": rng.random((55, 305, 4))})


def _make(line: list[str]) -> None:
    from hrdepth.cli import main

    if main(line):
        raise RuntimeError(f"hrdepth {' '.join(line)} failed")


def _write_made(folder: Path) -> None:
    """Write what PyTorch's commands make: a checkpoint, hints, labels, exports."""
    import torch

    torch.save({"a": torch.rand(3, 4), "height": 192, "width": 640, "use_stereo": True}, folder / "new.pth")
    torch.save({"a": torch.rand(3, 4)}, folder / "old.pth", _use_new_zipfile_serialization=False)
    config, weights = [str(folder / name) for name in ("train.yaml", "net.safetensors")]
    (folder / "train.yaml").write_text((folder / "train.yaml").read_text().replace("../in", str(folder)))
    geometry = ["--planes", "8", "--every", "1", "--offsets", "[-1,1]"]
    _make(["train", "--config", config, "--output", str(folder / "trained"), "--epochs", "1"])
    _make(["prepare", "hints", "--config", config, "--out", str(folder / "hints"), "--weights", weights, *geometry])
    labels = ["--out", str(folder / "labels"), "--size", "[64,96]", "--confidence"]
    _make(["prepare", "labels", "--data", str(folder / "drives"), "--teacher", weights, *labels])
    for name in ("net.xml", "net.pt2"):
        _make(["export", weights, "--out", str(folder / name), "--size", "[64,96]"])
    content = torch.load(folder / "trained/last.ckpt", weights_only=True)
    small = {name: content[name] for name in content if name not in ("state_dict", "optimizer_states")}
    small = json.loads(json.dumps(small, default=str)) | {"state_dict": {}, "optimizer_states": []}
    torch.save(small, folder / "last.ckpt")


def _interrupt_a_video(folder: Path) -> None:
    """Predict a video as far as a process does that is killed."""
    import hrdepth.inference.writer
    from hrdepth.config import Outputs
    from hrdepth.inference.folder import predict_to_folder
    from hrdepth.inference.predictor import Predictor

    hrdepth.inference.writer.PART_FRAMES = 5
    predictor, calls = Predictor.from_file(folder / "net.onnx", threads=1), 0
    infer = predictor.infer

    def stop(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 12:
            raise RuntimeError("stopped")
        return infer(*arguments)

    predictor.infer = stop  # type: ignore[assignment]
    with contextlib.suppress(RuntimeError):
        predict_to_folder(predictor, folder / "clip.mp4", folder / "predicted", Outputs(), progress=False)
    assert (folder / "predicted/clip_unfinished/state.npz").exists()
