"""Videos of a camera that moves along a wall of smooth noise, a few pixels a frame, small enough for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from hrdepth.io.video import VideoWriter

SIZE = (96, 128)


def wall(seed=0, size=SIZE, length=1200) -> np.ndarray:
    random = np.random.default_rng(seed)
    fine = random.integers(30, 225, (size[0] // 4, length // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(fine).resize((length, size[0]), Image.Resampling.BICUBIC))


def frames(places, seed=0, size=SIZE) -> list[np.ndarray]:
    """The wall seen from each place, in pixels."""
    whole = wall(seed, size)
    return [whole[:, int(place) : int(place) + size[1]].copy() for place in places]


def video(path: Path, images, fps=10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps) as writer:
        for image in images:
            writer.write(image)
    return path


def with_hood_and_overlay(images) -> list[np.ndarray]:
    drawn = []
    for image in images:
        image = image.copy()
        image[-20:] = 20
        for column in range(8, 40, 6):  # letters
            image[8:16, column : column + 3] = 255
        drawn.append(image)
    return drawn
