"""A corridor with a box in it, of rich texture and exact depth, that a camera drives along: what geometry can solve."""

from functools import cache
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

SIZE, FOCAL, BASELINE, STEP = (96, 256), 150.0, 0.5, 0.35  # height, width in pixels; pixels; metres; metres a frame
TEXTURE = np.random.default_rng(3).uniform(0, 255, (6, 256, 256))


def intrinsics():
    return np.array([[FOCAL, 0, SIZE[1] / 2 - 0.5], [0, FOCAL, SIZE[0] / 2 - 0.5], [0, 0, 1.0]])


def pattern(u, v, seed):
    """Look up noise at two scales, bilinearly; u and v in metres."""
    total = 0.0
    for scale, weight in ((3.0, 0.6), (10.0, 0.4)):
        x, y = u * scale % 254.99, v * scale % 254.99
        i, j = x.astype(int), y.astype(int)
        a, b = x - i, y - j
        t = TEXTURE[seed]
        total += weight * (
            t[j, i] * (1 - a) * (1 - b)
            + t[j, i + 1] * a * (1 - b)
            + t[j + 1, i] * (1 - a) * b
            + t[j + 1, i + 1] * a * b
        )
    return total


def view(frame, right=False):
    """Return the image (H,W) float and depth (H,W) of a frame."""
    grey, depth = _kept_view(frame, right)
    return grey.copy(), depth.copy()


@cache
def _kept_view(frame, right):
    place = np.array([BASELINE if right else 0.0, 0.0, STEP * frame])
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    k = intrinsics()
    rays = np.stack([(x - k[0, 2]) / FOCAL, (y - k[1, 2]) / FOCAL, np.ones(SIZE)], -1)
    depth, grey = np.full(SIZE, np.inf), np.zeros(SIZE)
    surfaces = [  # axis, where it stands, its two other axes, and what of them it covers
        (1, 1.5, (0, 2), None),
        (0, -3.0, (1, 2), None),
        (0, 3.5, (1, 2), None),
        (2, 22.0, (0, 1), None),
        (2, 9.0, (0, 1), (-0.2, 1.6, -0.4, 1.5)),
    ]
    for seed, (axis, at, (u, v), part) in enumerate(surfaces):
        with np.errstate(divide="ignore", invalid="ignore"):
            along = (at - place[axis]) / rays[..., axis]
        seen = (along > 0) & (along < depth)
        points = place + np.where(seen, along, 0)[..., None] * rays
        if part is not None:
            left, r, top, bottom = part
            seen &= (points[..., u] > left) & (points[..., u] < r) & (points[..., v] > top) & (points[..., v] < bottom)
        grey = np.where(seen, pattern(points[..., u], points[..., v], seed), grey)
        depth = np.where(seen, along, depth)
    return grey, depth


def drive(root: Path, frames=10, *, stereo=False, calibrated=1.0):
    """Write it in the layout of the data set `folder`, with a calibration of images so many times as large."""
    folder = root / "drive"
    sides = {"left": False, **({"right": True} if stereo else {})}
    (folder / "depth").mkdir(parents=True)
    for number in range(frames):
        for side, right in sides.items():
            (folder / side).mkdir(exist_ok=True)
            grey, depth = view(number, right)
            Image.fromarray(grey.round().astype(np.uint8)).convert("RGB").save(folder / side / f"{number:06d}.png")
            if not right:
                np.save(folder / "depth" / f"{number:06d}.npy", depth.astype(np.float32))
    k = intrinsics()
    camera = {"width": SIZE[1], "height": SIZE[0], "fx": FOCAL, "fy": FOCAL, "cx": float(k[0, 2]), "cy": float(k[1, 2])}
    camera = {key: calibrated * value for key, value in camera.items()}
    if stereo:
        camera["baseline"] = BASELINE
    (folder / "camera.yaml").write_text(yaml.safe_dump(camera))
    (root / "train.txt").write_text("".join(f"drive {number} l\n" for number in range(frames)))
    (root / "val.txt").write_text("drive 2 l\n")
    return root
