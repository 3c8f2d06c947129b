"""Draw what strong augmentation does to a sample: docs/images/augmentation.png.

Renders three frames of a synthetic street into demo/augmentation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor
from torch.nn.functional import avg_pool2d

from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix
from hrdepth.io.images import write_image
from hrdepth.io.visualize import side_by_side
from hrdepth.synthetic import render_drive

HERE = Path(__file__).resolve().parents[1]
# The settings of docs/augmentation.md, with every chance taken so that all of it shows.
STRONG = AugmentConfig(
    zoom=1.5, jitter=1.0, brightness=0.3, contrast=0.3, saturation=0.3, grey=0.2, blur=1.0, noise=0.02
)
DRAWS, SIZE, SEED = 3, (192, 640), 2


def main() -> None:
    """Render, draw, write."""
    root = HERE / "demo" / "augmentation"
    render_drive(root, frames=3, size=(384, 1280), seed=3, stereo=False)
    config = DatasetConfig("folder", str(root))
    rows = [row(build_mix([config], [-1, 1], SIZE)[0], "the whole image")]
    data = build_mix([config], [-1, 1], SIZE, STRONG, SEED)
    rows += [row(data[draw * len(data)], "zoomed") for draw in range(DRAWS)]
    write_image(HERE / "docs" / "images" / "augmentation.png", np.concatenate(rows))


def row(sample: dict[str, Tensor], what: str) -> np.ndarray:
    """Put what the loss compares beside what the networks see, with the focal length."""
    focal = float(sample["intrinsics"][0, 0]) / SIZE[1]
    images = [to_array(sample[key]) for key in ("target", "target_augmented")]
    return side_by_side(images, [f"the loss: {what}, fx = {focal:.2f} x width", "the networks"])


def to_array(image: Tensor) -> np.ndarray:
    """Turn a tensor (3,H,W) into uint8 (H/2,W/2,3)."""
    return np.uint8((255 * avg_pool2d(image, 2)).round().permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()
