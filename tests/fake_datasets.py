"""Miniature recordings in the layouts of the readers; images are smooth noise that moves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image

SIZE = (64, 96)


def texture(seed: int = 0, size=SIZE, margin: int = 32) -> np.ndarray:
    """Smooth noise (H, W + margin, 3) uint8 to cut frames from."""
    coarse = np.random.default_rng(seed).integers(0, 255, (size[0] // 8, (size[1] + margin) // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size[1] + margin, size[0]), Image.Resampling.BICUBIC))


def image(shift: int, seed: int = 0, size=SIZE) -> Image.Image:
    return Image.fromarray(texture(seed, size)[:, shift : shift + size[1]])


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def drive(root: Path, name: str = "drive", frames: int = 6, *, stereo: bool = True, size=SIZE) -> Path:
    """A drive on disk as docs/design.md describes it, with depth."""
    for number in range(frames):
        save(image(2 * number, size=size), root / name / "left" / f"{number:06d}.png")
        if stereo:
            save(image(2 * number + 3, size=size), root / name / "right" / f"{number:06d}.png")
        depth = np.linspace(50, 4, size[0], dtype=np.float32)[:, None].repeat(size[1], axis=1)
        (root / name / "depth").mkdir(exist_ok=True)
        np.save(root / name / "depth" / f"{number:06d}.npy", depth)
    camera = {"width": size[1], "height": size[0], "fx": 55.0, "fy": 60.0, "cx": 47.0, "cy": 31.0}
    if stereo:
        camera["baseline"] = 0.5
    (root / name / "camera.yaml").write_text(yaml.safe_dump(camera))
    inner = "".join(f"{name} {number} l\n" for number in range(1, frames - 1))
    (root / "train.txt").write_text(inner)
    (root / "val.txt").write_text(inner)
    return root


def objects(root: Path, name: str = "drive", frames: int = 6, *, size=SIZE) -> Path:
    """Masks for `drive`: object 1 moves with the image, a smaller object 2 comes with frame 2."""
    for number in range(frames):
        ids = np.zeros(size, np.uint8)
        ids[30:50, 34 - 2 * number : 58 - 2 * number] = 1
        ids[10:18, 70:82] = 2 * (number >= 2)
        save(Image.fromarray(ids), root / name / "left_objects" / f"{number:06d}.png")
    return root


def shards(root: Path) -> Path:
    """The drive, packed."""
    from hrdepth.config import ObjectiveConfig, PrepareShardsConfig
    from hrdepth.prepare.shards import pack_shards
    from tiny_training import split, tiny_training

    files = split(drive(root / "files"))
    training = tiny_training(root / "run", files, validation=[], objective=ObjectiveConfig(frames=[-1, 1, "s"]))
    pack_shards(PrepareShardsConfig(str(root / "packed"), training, megabytes=0.02))
    for path in (root / "packed" / "train-1").iterdir():
        path.rename(root / path.name)
    (root / "train.txt").write_text((root / "files" / "train.txt").read_text())
    return root


def kitti_raw(root: Path, frames: int = 4) -> Path:
    date, name = "2011_09_26", "2011_09_26/2011_09_26_drive_0001_sync"
    for number in range(frames):
        for side, shift in (("image_02", 0), ("image_03", 3)):
            save(image(2 * number + shift), root / name / side / "data" / f"{number:010d}.jpg")
    camera = "S_rect_0{0}: 9.6e+01 6.4e+01\nP_rect_0{0}: 55 0 47 {1} 0 60 31 0 0 0 1 0\n"
    text = "R_rect_00: 1 0 0 0 1 0 0 0 1\n"
    text += "".join(camera.format(i, -55.0 * 0.5 * (i == 3)) for i in (0, 1, 2, 3))
    (root / date / "calib_cam_to_cam.txt").write_text(text)
    (root / "train.txt").write_text("".join(f"{name} {n} {side}\n" for n in range(1, frames - 1) for side in "lr"))
    return root


def kitti_odometry(root: Path, frames: int = 4) -> Path:
    sequence = root / "sequences" / "00"
    for number in range(frames):
        for side, shift in (("image_0", 0), ("image_1", 3)):
            save(image(2 * number + shift).convert("L"), sequence / side / f"{number:06d}.png")
    lines = (f"P{i}: 55 0 47 {-55.0 * 0.5 * (i % 2)} 0 60 31 0 0 0 1 0\n" for i in range(4))
    (sequence / "calib.txt").write_text("".join(lines))
    (root / "train.txt").write_text("".join(f"00 {n} l\n" for n in range(1, frames - 1)))
    return root


def cityscapes(root: Path, frames: int = 4) -> Path:
    """A snippet of `train` and one of `val`, resized copies of 2048x1024, with cameras and disparities.

    Without the bottom quarter, the camera is that of the other fake_datasets.
    """
    size = (48, 96)
    for part, city in (("train", "ulm"), ("val", "lindau")):
        stem = f"{part}/{city}/{city}_000000_"
        for number in range(frames):
            for side, shift in (("left", 0), ("right", 3)):
                file = f"{side}Img8bit_sequence/{stem}{number:06d}_{side}Img8bit.png"
                save(image(2 * number + shift, size=size), root / file)
        rig = {
            "intrinsic": {"fx": 55 * 2048 / 96, "fy": 720.0, "u0": 47 * 2048 / 96, "v0": 372.0},
            "extrinsic": {"baseline": 0.5, "x": 1.7, "pitch": 0.03},
        }
        file = root / "camera" / f"{stem}000002_camera.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(rig))
        disparity = np.linspace(0, 20, size[0])[:, None].repeat(size[1], axis=1)
        stored = np.where(disparity > 0, 1 + 256 * disparity, 0).astype(np.uint16)
        save(Image.fromarray(stored), root / "disparity" / f"{stem}000002_disparity.png")
        lines = (f"{part}/{city}/{city}_000000 {n} l\n" for n in range(1, frames - 1))
        (root / f"{part}.txt").write_text("".join(lines))
    return root


class Wall:
    """A textured wall `z + slope . (x, y) = distance` seen from cameras that look along z: all that it shows is exact.

    Camera n stands at `motion` times n, the right camera `baseline` to its right.
    """

    def __init__(self, slope=(0.2, -0.3), distance=8.0, motion=(0.3, 0.1, 0.5), baseline=0.5):
        self.slope, self.distance, self.baseline = np.array([*slope, 1.0]), distance, baseline
        self.motion = np.array(motion)

    def depth(self, intrinsics, size, place) -> np.ndarray:
        """Depth (H,W) of an image taken at `place`."""
        return (self.distance - self.slope @ place) / (self._rays(intrinsics, size) @ self.slope)

    def view(self, intrinsics, size, place) -> Image.Image:
        points = place + self.depth(intrinsics, size, place)[..., None] * self._rays(intrinsics, size)
        waves = np.array([[3.0, 1.0], [-1.0, 2.5], [2.0, -2.0]])
        return Image.fromarray(np.rint(127 + 90 * np.sin(points[..., :2] @ waves.T)).astype(np.uint8))

    def drive(self, root: Path, name="wall", frames=5, size=(192, 288), focal=200.0, *, stereo=True) -> Path:
        camera = {"fx": focal, "fy": 0.95 * focal, "cx": 0.46 * size[1], "cy": 0.55 * size[0]}
        intrinsics = np.array([[camera["fx"], 0, camera["cx"]], [0, camera["fy"], camera["cy"]], [0, 0, 1]])
        for number in range(frames):
            for side, shift in (("left", 0.0), ("right", self.baseline))[: 1 + stereo]:
                place = self.motion * number + [shift, 0, 0]
                save(self.view(intrinsics, size, place), root / name / side / f"{number:06d}.png")
        camera |= {"width": size[1], "height": size[0], **({"baseline": self.baseline} if stereo else {})}
        (root / name / "camera.yaml").write_text(yaml.safe_dump(camera))
        (root / "train.txt").write_text("".join(f"{name} {number} l\n" for number in range(1, frames - 1)))
        return root

    @staticmethod
    def _rays(intrinsics, size) -> np.ndarray:
        y, x = np.mgrid[: size[0], : size[1]]
        rays = [(x - intrinsics[0, 2]) / intrinsics[0, 0], (y - intrinsics[1, 2]) / intrinsics[1, 1], np.ones(size)]
        return np.stack(rays, axis=-1)


def images(root: Path) -> Path:
    """Images of several shapes, of no order and no camera."""
    shapes = {"b.png": SIZE, "a/c.jpg": (96, 64), "a/d 1.JPG": (48, 160), "e.webp": SIZE}
    for seed, (name, size) in enumerate(shapes.items()):
        save(image(0, seed, size), root / name)
    (root / "train.txt").write_text("# a list\nb.png\n\na/d 1.JPG\na/c.jpg\n")
    return root


def numbered(root: Path) -> Path:
    """The layout of the data set in docs/adding.md."""
    for number in range(4):
        save(image(2 * number), root / f"{number:06d}.png")
    return root


class Tree(NamedTuple):
    """A miniature and its camera: fx, fy, cx, cy in pixels of what is seen of 96x64."""

    make: Callable[[Path], Path]
    camera: tuple[float, float, float, float] = (55.0, 60.0, 47.0, 31.0)


TREES = {
    "images": Tree(images),
    "folder": Tree(drive),
    "kitti_raw": Tree(kitti_raw),
    "kitti_odometry": Tree(kitti_odometry),
    "cityscapes": Tree(cityscapes),
    "shards": Tree(shards),
    "numbered": Tree(numbered, (80.0, 80.0, 48.0, 32.0)),
}
