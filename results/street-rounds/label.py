r"""Label real frames with several networks at once, where they agree, and with the sky as far.

    python results/street-rounds/label.py runs/mini-street-fine/last.safetensors runs/street-round-3/last.safetensors \
        --config street-hints --out runs/street-labels

A label is the geometric mean of the networks' 1/depth, each of them that of the image and of its mirror image, at the
image's aspect. Its confidence is how far the networks agree up to a factor, and the last of them with its mirrored
self. It takes half a second an image on one core.
Bright or blue areas without texture that reach the image's upper edge are sky, if the label is not near there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from hrdepth.config import PrepareLabelsConfig
from hrdepth.config.setting_files import find_config, read_train_config
from hrdepth.data.sample import image_tensor
from hrdepth.geometry import scaled_disparity
from hrdepth.io.images import read_image
from hrdepth.prepare.labels import images_to_label
from hrdepth.teachers.base import Meaning, Teacher
from hrdepth.teachers.labelling import agreement, create_labels, fill_maps
from hrdepth.teachers.labels import Confidence
from hrdepth.teachers.network import NetworkTeacher, resize

SIZE = (192, 640)
WHITE = 0.93  # least of the three channels of a white sky
BLUE, BLUE_LIGHT = 0.04, 0.55  # how much more blue than red, and how light, a blue sky is at least
SMOOTH = 0.03  # largest local standard deviation
NEAREST, NEAREST_BLUE = 3.5, 1.0  # units; where the networks see something nearer there is no white or blue sky
SMALLEST = 0.004  # share of the image, of one area
LOWEST = 0.55  # of the height; no sky below


Label = tuple[NDArray[np.float32], NDArray[np.float32]]  # 1/depth and its confidence


class Ensemble(Teacher):
    """Several networks of one range of depth."""

    meaning = Meaning.METRIC

    def __init__(self, names: list[str]) -> None:
        self.members = [NetworkTeacher.read(name, own_aspect=True) for name in names]
        last = self.members[-1]
        self.name = " + ".join(member.name for member in self.members)
        self.licence = next((member.licence for member in self.members if member.licence), None)
        self.canonical_focal = last.canonical_focal
        self.metres_per_unit = last.metres_per_unit
        self.farthest = last.max_depth

    def digest(self) -> str:
        """See `Teacher.digest`."""
        return " ".join(member.digest() for member in self.members)

    def maps(self, images: list[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
        """See `Teacher.maps`."""
        return np.stack([self.label(image, size)[0] for image in images])

    def label(self, image: Image.Image, size: tuple[int, int]) -> Label:
        """Return 1/depth (h,w) and its confidence."""
        logs = []
        for member in self.members:
            seen = image_tensor(image, member.size_for((image.height, image.width)))[None]
            with torch.autocast("cpu", torch.bfloat16):
                both = member.disparity(torch.cat([seen, seen.flip(-1)]))
            both[1] = both[1].flip(-1)
            logs.append(resize(scaled_disparity(both, member.min_depth, member.max_depth), size)[:, 0].log().numpy())
        label = np.exp(np.mean(logs, axis=(0, 1)))
        sure = agreement(*np.exp(logs[-1]), Meaning.SCALE)
        if len(logs) > 1:
            sure = sure * np.sqrt(agreement(*np.exp(np.mean(logs, 1))[-2:], Meaning.SCALE))
        sky = find_sky(image, label)
        return np.where(sky, 1 / self.farthest, label), np.where(sky, 1, 0.1 + 0.9 * sure).astype(np.float32)


def find_sky(image: Image.Image, label: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where (h,w) the sky surely is."""
    height, width = label.shape
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    grey = pixels.mean(-1)
    mean = ndimage.uniform_filter(grey, 5)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(grey**2, 5) - mean**2, 0))
    white = pixels.min(-1) > WHITE
    blue = (pixels[..., 2] - pixels[..., 0] > BLUE) & (pixels[..., 1] >= pixels[..., 0]) & (grey > BLUE_LIGHT)
    far = (white & (label < 1 / NEAREST)) | (blue & (label < 1 / NEAREST_BLUE))
    sky = ndimage.binary_opening(far & (spread < SMOOTH), np.ones((3, 3)))
    parts, _ = ndimage.label(sky)
    large = np.bincount(parts.ravel()) > SMALLEST * sky.size
    at_top = np.unique(parts[0])
    sky = np.isin(parts, at_top[large[at_top] & (at_top > 0)])
    sky[round(height * LOWEST) :] = False
    return ndimage.binary_dilation(sky, iterations=1, mask=white | blue)


def main() -> None:
    """Write the labels that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", help="weights files or names; the last is the best")
    parser.add_argument("--config", required=True, help="a training config or recipe, whose images are labelled")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the labels")
    arguments = parser.parse_args()
    teacher = Ensemble(arguments.weights)
    labels = create_labels(arguments.out, teacher, SIZE)
    confidence = Confidence(labels)
    confidence.folder.mkdir(exist_ok=True)
    config = read_train_config(Path(find_config(arguments.config)))
    images = images_to_label(PrepareLabelsConfig(teacher=teacher.name, config=config))

    def compute(paths: Sequence[Path], images: Sequence[Image.Image]) -> list[Label]:
        return [teacher.label(image, labels.size_of(path)) for path, image in zip(paths, images, strict=True)]

    def write(path: Path, label: Label) -> None:
        map_, sure = label
        confidence.write(path, sure)
        labels.write(path, map_)

    fill_maps(labels, images, read_image, compute, write)


if __name__ == "__main__":
    main()
