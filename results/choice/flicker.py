"""Measure how much networks' depth flickers on the clips of street-more, and print one table.

    python results/choice/flicker.py street runs/NAME/last.safetensors --out results/choice/flicker.md

`flow` is `hrdepth predict --flicker`: the change of disparity along optical flow. `poses` is for the clip with true
poses: the depth of each frame is carried into the one before by the camera's motion, and compared with what is
predicted there; the median and the mean over pixels of the absolute logarithm of the ratio, less each pair's median,
averaged over the pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import sets
import torch
from numpy.typing import NDArray

from hrdepth.data.camera_file import read_camera
from hrdepth.geometry import backproject, invert_pose, project, sample
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.smoothing import Flicker
from hrdepth.io.images import read_image
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

CLIPS = {"kitti_odo00_grey": 80, "camvid_0016E5": 101, "udacity_highway": 80}  # and how many frames of each


def main() -> None:
    """Measure several weights files."""
    arguments = sets.options(__doc__, several=True).parse_args()
    files = [locate_weights(name) for name in arguments.weights]
    rows = [row(file, arguments.more / "train") for file in files]
    headings = [f"{name}, flow" for name in ("odo00", "camvid", "highway")]
    table = ResultTable(
        ("weights", "size", *headings, "odo00, poses: median", "mean"),
        tuple(rows),
        "How much depth flickers",
        f"The first {', '.join(f'{count} frames of {clip}' for clip, count in CLIPS.items())}. All three train.",
    )
    sets.finish(table, arguments.out, files)


def row(file: Path, clips: Path) -> tuple[str, ...]:
    """Return a row of the table."""
    cells, changes = [], np.empty(0)
    for clip, count in CLIPS.items():
        folder = clips / clip
        camera = read_camera(folder / "camera.yaml")
        predictor = Predictor.from_file(file, runtime="pytorch")
        k = np.asarray(camera.intrinsics, np.float32)
        flicker, depths = Flicker(), []
        for path in sorted((folder / "left").iterdir())[:count]:
            image = np.asarray(read_image(path))
            prediction = predictor(image, k)
            flicker.update(image, prediction.disparity)
            depths.append(prediction.depth * predictor.scale.metres_per_unit)
        cells.append(f"{flicker.value:.4f}")
        if (poses := folder / "poses.txt").is_file():
            changes = np.array(list(pose_changes(depths, np.loadtxt(poses), torch.from_numpy(k)))).mean(0)
    return file.stem, "x".join(map(str, predictor.size[::-1])), *cells, *(f"{change:.4f}" for change in changes)


def pose_changes(
    depths: list[NDArray[np.float32]], poses: NDArray[np.float64], k: torch.Tensor
) -> Iterator[tuple[float, float]]:
    """Yield the median and the mean change of log depth between each frame and the next."""
    matrices = [torch.from_numpy(np.vstack([row.reshape(3, 4), [0, 0, 0, 1]])).float() for row in poses]
    for number, (before, after) in enumerate(pairwise(depths)):
        here, there = (torch.from_numpy(np.ascontiguousarray(depth))[None, None] for depth in (after, before))
        back = invert_pose(matrices[number][None]) @ matrices[number + 1][None]  # from the later camera to the earlier
        points = backproject(here, k[None])
        pixels = project(points, k[None], back)
        expected = (back[0, :3, :3] @ points[0, :3].flatten(1) + back[0, :3, 3:])[2].view_as(here)
        height, width = after.shape
        inside = (pixels[:, :1] > 0) & (pixels[:, :1] < width - 1) & (pixels[:, 1:] > 0) & (pixels[:, 1:] < height - 1)
        known = inside & (expected > 0.5) & (here < 80)
        change = (sample(there, pixels).clamp(min=1e-3) / expected.clamp(min=1e-3)).log()[known]
        change = (change - change.median()).abs()
        yield float(change.median()), float(change.mean())


if __name__ == "__main__":
    main()
