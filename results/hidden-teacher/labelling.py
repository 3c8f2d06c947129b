"""Is labelling bound by the teacher alone? Its rate beside that of the teacher with the images in memory.

    python results/hidden-teacher/labelling.py IMAGES... --teacher street --out results/hidden-teacher/labelling.json

Both in turns, on the same images, with the teacher on one core. Load of other processes changes both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from hrdepth.io.files import write_json
from hrdepth.io.images import read_image
from hrdepth.io.provenance import provenance
from hrdepth.teachers import Teacher, open_teacher
from hrdepth.teachers.labelling import create_labels, label_images

BATCH = 4  # as label_images has


def bare(teacher: Teacher, images: list[Path], size: tuple[int, int]) -> float:
    """Return images a second of the teacher alone; they are decoded before."""
    pictures = [read_image(image) for image in images]
    begin = time.monotonic()
    for at in range(0, len(pictures), BATCH):
        teacher.maps(pictures[at : at + BATCH], size)
    return len(images) / (time.monotonic() - begin)


def labelling(teacher: Teacher, images: list[Path], size: tuple[int, int]) -> float:
    """Return images a second from files to labels."""
    with tempfile.TemporaryDirectory() as folder:
        labels = create_labels(Path(folder) / "labels", teacher, size)
        begin = time.monotonic()
        label_images(teacher, labels, images)
        return len(images) / (time.monotonic() - begin)


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+", help="folders of drives, whose left images are labelled")
    parser.add_argument("--teacher", default="street")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    size = (192, 640)
    images = sorted(image for folder in given.images for image in folder.glob("*/left/*.[jp]*g"))[: given.count]
    teacher = open_teacher(given.teacher)
    bare(teacher, images[:BATCH], size)
    rounds = [
        {"teacher alone": bare(teacher, images, size), "labelling": labelling(teacher, images, size)}
        for _ in range(given.rounds)
    ]
    ratios = [one["labelling"] / one["teacher alone"] for one in rounds]
    content = {
        "teacher": teacher.name, "images": len(images), "size": size, "images a second": rounds,
        "labelling / teacher alone": {"median": statistics.median(ratios), "each": ratios},
    }  # fmt: skip
    write_json(given.out, {**content, **provenance()})
    print(content)


if __name__ == "__main__":
    main()
