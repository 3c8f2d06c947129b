"""Recordings for tests of whole folders of them, and the files that were made of them."""

from pathlib import Path

import numpy as np

import fake_datasets
from hrdepth.io.video_writer import VideoWriter


def clip(path: Path, frames: int = 4) -> None:
    """Write a video of a camera that moves past a texture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 10) as video:
        for number in range(frames):
            video.write(np.asarray(fake_datasets.image(2 * (number % 16))))


def files(root: Path) -> dict[str, bytes]:
    """Return the contents of the files below a folder, by their names in it."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
