"""Make a street with a board that moves by itself: both images of each stereo pair, exact depth, object masks.

    python examples/moving_board.py FOLDER [--frames 80]

The camera drives along a corridor of ground, two walls and a far end; a board in front of it slides from side to side.
Depth and motion are exact, so that the benefit of object motions can be measured (docs/systems.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

SIZE = (96, 288)  # height, width in pixels
FOCAL, BASELINE, STEP = 160.0, 0.5, 0.4  # pixels; metres; metres from frame to frame
GROUND, WALL, END = 1.6, 5.0, 90.0  # metres below, beside and before the first camera
BOARD = (1.2, 1.4)  # metres to each side and in height


def rays() -> np.ndarray:
    """Return the direction (H,W,3) of each pixel, z = 1."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([(x - SIZE[1] / 2 + 0.5) / FOCAL, (y - SIZE[0] / 2 + 0.5) / FOCAL, np.ones(SIZE)], -1)


def colour(u: np.ndarray, v: np.ndarray, seed: int) -> np.ndarray:
    """Return a pattern of waves (...,3) in [0,255] on a surface with coordinates in metres."""
    random = np.random.default_rng(seed)
    waves = [
        sum(np.sin(f[0] * u + f[1] * v + f[2]) for f in random.uniform(-4, 4, (5, 3))) + random.uniform(-1, 1)
        for _ in range(3)
    ]
    return 127 + 38 * np.clip(np.stack(waves, -1), -3, 3)


def view(frame: int, right: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image (H,W,3) uint8, depth (H,W) float32 and objects (H,W) uint8 of a frame."""
    place = np.array([BASELINE if right else 0.0, 0.0, STEP * frame])
    direction = rays()
    depth, image = np.full(SIZE, np.inf), np.zeros((*SIZE, 3))
    # Each plane: axis, where it stands, the two axes of its pattern.
    for seed, (axis, at, u, v) in enumerate(
        [(1, GROUND, 0, 2), (0, -WALL, 1, 2), (0, WALL, 1, 2), (2, END + STEP * frame, 0, 1)]
    ):
        with np.errstate(divide="ignore", invalid="ignore"):
            along = (at - place[axis]) / direction[..., axis]
        nearer = (along > 0) & (along < depth)
        points = place + np.where(nearer, along, 0)[..., None] * direction
        image = np.where(nearer[..., None], colour(points[..., u], points[..., v], seed), image)
        depth = np.where(nearer, along, depth)
    away = 9 + 1.5 * np.sin(frame / 7)  # metres before the camera: it keeps pace, and more
    centre = 1.8 * np.sin(frame / 5)
    points = place + away * direction
    side, height = points[..., 0] - centre, GROUND - points[..., 1]
    board = (abs(side) < BOARD[0]) & (height > 0) & (height < BOARD[1])
    image = np.where(board[..., None], colour(side, height, 9), image)
    return image.astype(np.uint8), np.where(board, away, depth).astype(np.float32), board.astype(np.uint8)


def main() -> None:
    """Write the drive, in the layout of docs/design.md and with masks as docs/systems.md says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=80)
    arguments = parser.parse_args()
    drive = arguments.folder / "drive"
    for name in ("left", "right", "left_objects", "depth"):
        (drive / name).mkdir(parents=True)
    for frame in range(arguments.frames):
        image, depth, objects = view(frame, right=False)
        Image.fromarray(image).save(drive / "left" / f"{frame:06d}.png")
        Image.fromarray(objects).save(drive / "left_objects" / f"{frame:06d}.png")
        np.save(drive / "depth" / f"{frame:06d}.npy", depth)
        Image.fromarray(view(frame, right=True)[0]).save(drive / "right" / f"{frame:06d}.png")
    camera = {"width": SIZE[1], "height": SIZE[0], "fx": FOCAL, "fy": FOCAL, "baseline": BASELINE}
    camera |= {"cx": SIZE[1] / 2 - 0.5, "cy": SIZE[0] / 2 - 0.5}
    (drive / "camera.yaml").write_text(yaml.safe_dump(camera))
    split = arguments.frames * 4 // 5
    for name, numbers in {"train": range(1, split), "val": range(split + 1, arguments.frames - 1)}.items():
        (arguments.folder / f"{name}.txt").write_text("".join(f"drive {number} l\n" for number in numbers))


if __name__ == "__main__":
    main()
