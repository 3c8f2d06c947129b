"""Add masks of moving objects to kitti-mini: a folder of links to it, and the boxes of objects.yaml drawn as images.

    python results/systems/objects.py ../shared/kitti-mini runs/mini-objects

The boxes are rectangles drawn by hand, not segmentations: good enough to see whether object motions are learnt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

BOXES = Path(__file__).with_name("objects.yaml")
Track = dict[int, list[int]]


def main() -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mini", type=Path, help="kitti-mini")
    parser.add_argument("out", type=Path, help="a new folder")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    for folder, tracks in yaml.safe_load(BOXES.read_text(encoding="utf-8")).items():
        images = Path(folder)
        masks = arguments.out / images.with_name(f"{images.name}_objects")
        masks.mkdir(parents=True)
        for image in sorted((arguments.mini / images).iterdir()):
            mask = draw(tracks, int(image.stem), Image.open(image).size)
            if mask.any():
                Image.fromarray(mask).save(masks / f"{image.stem}.png")
    link(arguments.mini.resolve(), arguments.out)


def draw(tracks: dict[int, Track], frame: int, size: tuple[int, int]) -> np.ndarray:
    """Draw the numbers of a frame's objects (H,W) uint8; where two overlap, the taller, nearer one is on top.

    Args:
        tracks: boxes by object and frame.
        frame: its number.
        size: (width, height) in pixels.
    """
    mask = np.zeros(size[::-1], np.uint8)
    there = {number: box(track, frame) for number, track in tracks.items() if min(track) <= frame <= max(track)}
    for number, (left, top, right, bottom) in sorted(there.items(), key=lambda item: item[1][3] - item[1][1]):
        mask[top:bottom, left:right] = number
    return mask


def box(track: Track, frame: int) -> list[int]:
    """Return the box of an object in a frame, between the two drawn ones."""
    frames = sorted(track)
    sides = zip(*(track[known] for known in frames), strict=True)
    return [round(float(np.interp(frame, frames, side))) for side in sides]


def link(source: Path, target: Path) -> None:
    """Link to everything in `source` that `target` lacks."""
    for entry in source.iterdir():
        if (target / entry.name).is_dir():
            link(entry, target / entry.name)
        else:
            (target / entry.name).symlink_to(entry)


if __name__ == "__main__":
    main()
