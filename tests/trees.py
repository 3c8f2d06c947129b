"""Miniature recordings in the layouts that the readers know; pictures are smooth noise that moves."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

SIZE = (64, 96)


def texture(seed: int = 0, size=SIZE, margin: int = 32) -> np.ndarray:
    """Smooth noise (H, W + margin, 3) uint8 to cut frames from."""
    coarse = np.random.default_rng(seed).integers(0, 255, (size[0] // 8, (size[1] + margin) // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((size[1] + margin, size[0]), Image.Resampling.BICUBIC))


def picture(shift: int, seed: int = 0, size=SIZE) -> Image.Image:
    return Image.fromarray(texture(seed, size)[:, shift : shift + size[1]])


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def drive(root: Path, name: str = "drive", frames: int = 6, *, stereo: bool = True, size=SIZE) -> Path:
    """A drive on disk as docs/design.md describes it, with depth."""
    for number in range(frames):
        save(picture(2 * number, size=size), root / name / "left" / f"{number:06d}.png")
        if stereo:
            save(picture(2 * number + 3, size=size), root / name / "right" / f"{number:06d}.png")
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


def kitti_raw(root: Path, frames: int = 4) -> Path:
    date, name = "2011_09_26", "2011_09_26/2011_09_26_drive_0001_sync"
    for number in range(frames):
        for eye, shift in (("image_02", 0), ("image_03", 3)):
            save(picture(2 * number + shift), root / name / eye / "data" / f"{number:010d}.jpg")
    camera = "S_rect_0{0}: 9.6e+01 6.4e+01\nP_rect_0{0}: 55 0 47 {1} 0 60 31 0 0 0 1 0\n"
    text = "R_rect_00: 1 0 0 0 1 0 0 0 1\n"
    text += "".join(camera.format(i, -55.0 * 0.5 * (i == 3)) for i in (0, 1, 2, 3))
    (root / date / "calib_cam_to_cam.txt").write_text(text)
    (root / "train.txt").write_text("".join(f"{name} {n} {side}\n" for n in range(1, frames - 1) for side in "lr"))
    return root


def kitti_odometry(root: Path, frames: int = 4) -> Path:
    sequence = root / "sequences" / "00"
    for number in range(frames):
        for eye, shift in (("image_0", 0), ("image_1", 3)):
            save(picture(2 * number + shift).convert("L"), sequence / eye / f"{number:06d}.png")
    lines = (f"P{i}: 55 0 47 {-55.0 * 0.5 * (i % 2)} 0 60 31 0 0 0 1 0\n" for i in range(4))
    (sequence / "calib.txt").write_text("".join(lines))
    (root / "train.txt").write_text("".join(f"00 {n} l\n" for n in range(1, frames - 1)))
    return root


TREES = {"folder": drive, "kitti_raw": kitti_raw, "kitti_odometry": kitti_odometry}
