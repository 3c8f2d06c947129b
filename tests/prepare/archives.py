"""Published data as their archives have it, in miniature, and the command that prepares it."""

import numpy as np
from PIL import Image

import fake_datasets
from hrdepth.cli import main

NAME = "2011_09_26/2011_09_26_drive_0001_sync"


def kitti_raw(root):
    """KITTI raw in PNG, frames 1 and 2 to learn from, the laser's scan of frame 2."""
    fake_datasets.kitti_raw(root)
    for file in root.glob("**/*.jpg"):
        Image.open(file).save(file.with_suffix(".png"))
        file.unlink()
    (root / "2011_09_26" / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    scans = root / NAME / "velodyne_points" / "data"
    scans.mkdir(parents=True)
    points = np.random.default_rng(0).uniform((4, -2, -1, 0), (40, 2, 1, 1), (300, 4))
    (scans / "0000000002.bin").write_bytes(points.astype("<f4").tobytes())
    (root / "test.txt").write_text(f"{NAME} 2 l\n")
    return root


def prepare(name, root, *more):
    """Run `hrdepth prepare NAME ROOT`, of KITTI raw with the lists there unless others are given; return its status."""
    if name == "kitti" and "--lists" not in more:
        more = ("--lists", f"[{root}/train.txt]", "--test", str(root / "test.txt"), *more)
    return main(["prepare", name, str(root), *map(str, more)])
