"""Recover a camera's focal length from motion that is learned and depth that is given.

    hrdepth render drive --frames 240 --size [64,192] --seed 1 --stereo false
    python results/intrinsics/measure.py drive results/intrinsics

Optimises the motion between each two frames, starting from no motion, and fx, fy, cx and cy, starting from wrong fields
of view, with the objective that `hrdepth train` minimises. Depth is the true one and the motions are free parameters
instead of a network's output, so that minutes on a CPU are enough: this shows how well the motions of a drive determine
K, not how fast networks learn it. With `--straight` frames with rotation are left out, which leaves the focal length
undetermined. Writes FOV.json for each initial field of view.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from hrdepth.camera import DepthScale
from hrdepth.config import DatasetConfig, IntrinsicsConfig, TrainConfig
from hrdepth.data import mix, open_data
from hrdepth.data.sample import Batch
from hrdepth.evaluation.trajectory import read_poses
from hrdepth.geometry import depth_to_disparity, invert_pose, pose_matrix
from hrdepth.io.files import write_json
from hrdepth.io.media import read_image
from hrdepth.io.provenance import provenance
from hrdepth.objectives import Output
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training.cameras import find_learned_cameras

METRES_A_UNIT = 10.0
RANGE = (0.05, 100.0)  # units; the sky stands at the far end
STRAIGHT = np.radians(0.25)  # from frame to frame; in the drive's curves it is 2 degrees and more
BATCH = 8


class GivenDepth(nn.Module):
    """Stands where the depth network would; depth comes from the files."""

    stride, (min_depth, max_depth) = 32, RANGE
    scale = DepthScale(*RANGE)


class Motions(nn.Module):
    """The motion from each frame to the next, as axis-angle and translation."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.zeros(frames - 1, 6))

    def forward(self, first: Tensor, distance: int) -> Tensor:
        """Return the transform (B,4,4) of points from frames `first` (B,) to those `distance` later."""
        pose = torch.eye(4).expand(len(first), 4, 4)
        for offset in range(distance):
            step = self.steps[first + offset]
            pose = pose_matrix(step[:, :3], step[:, 3:]) @ pose
        return pose


def main() -> None:
    """Learn K from each field of view and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drive", type=Path, help="what `hrdepth render` made")
    parser.add_argument("out", type=Path)
    parser.add_argument("--fields-of-view", type=float, nargs="+", default=[60.0, 110.0], help="degrees")
    parser.add_argument("--frames", type=int, default=60, help="the first ones of the drive")
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--hold-steps", type=int, default=200, help="in which motion alone is learned")
    parser.add_argument("--distances", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--straight", action="store_true", help="leave out frames with rotation")
    parser.add_argument("--separate-fy", action="store_true", help="learn fy apart from fx")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for field_of_view in arguments.fields_of_view:
        result = learn(arguments, field_of_view)
        variant = "straight-" * arguments.straight + "separate-fy-" * arguments.separate_fy
        name = f"{variant}{field_of_view:g}.json"
        write_json(arguments.out / name, {**result, "provenance": provenance(seed=0)})
        print(name, {key: result[key] for key in ("fx", "relative_error")})


def learn(arguments: argparse.Namespace, field_of_view: float) -> dict[str, object]:
    """Learn motions and K; return where K went."""
    torch.manual_seed(0)
    size = read_image(next(arguments.drive.rglob("left/*.png"))).size[::-1]
    part = DatasetConfig("folder", str(arguments.drive), missing="skip")
    settings = IntrinsicsConfig("all", field_of_view, separate_fy=arguments.separate_fy, learning_rate_factor=3.0)
    config = TrainConfig([part], [part], "", intrinsics=settings)
    mixes = {}
    for distance in arguments.distances:
        cameras, data = find_learned_cameras(config, {"train": open_data([part], [-distance, distance])})
        mixes[distance] = mix(data["train"], size)
    assert cameras is not None
    reader = mixes[1].datasets[0].reader
    folder = arguments.drive / reader.targets[0].folder
    turns = turning(folder / "poses.txt")
    samples = {d: usable(d, mixes[d].datasets[0].reader.targets, arguments, turns) for d in mixes}
    motions = Motions(arguments.frames)
    objective = ViewSynthesis(GivenDepth(), motions, auto_mask=False, scales=(0,), cameras=cameras)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(objective.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, arguments.steps)
    random, course, start = np.random.default_rng(0), [], time.monotonic()
    true = reader.camera(reader.targets[0]).intrinsics
    for step in range(arguments.steps):
        frozen = step < arguments.hold_steps
        distance = 1 if frozen else int(random.choice(arguments.distances))
        items = random.choice(samples[distance], BATCH)
        batch: Batch = default_collate([mixes[distance][int(item)] for item in items])
        lines = [mixes[distance].datasets[0].reader.targets[item] for item in items]
        frames = torch.tensor([line.frame for line in lines])
        poses = torch.stack([invert_pose(motions(frames - distance, distance)), motions(frames, distance)], dim=1)
        disparity = depth_to_disparity(torch.stack([read_depth(folder, line.frame) for line in lines]), *RANGE)
        loss = objective.losses(Output({0: disparity}, poses, objective.current_intrinsics(batch)), batch)["loss"]
        optimiser.zero_grad()
        loss.backward()
        for parameter in cameras.parameters() if frozen else ():
            parameter.grad = None  # as the training does in its first steps
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == arguments.steps - 1:
            camera = cameras.table()[0]
            course.append([step, round(camera.fx, 2), round(camera.fy, 2), round(camera.cx, 2), round(camera.cy, 2)])
            print(*course[-1], f"loss {loss.item():.4f}", f"{time.monotonic() - start:.0f} s", flush=True)
    return {
        "fx": camera.fx,
        "fx_true": float(true[0, 0]),
        "fx_start": camera.start,
        "relative_error": camera.fx / float(true[0, 0]) - 1,
        "fy_relative_error": camera.fy / float(true[1, 1]) - 1,
        "principal_point_off_pixels": [camera.cx - float(true[0, 2]), camera.cy - float(true[1, 2])],
        "samples": {str(distance): len(chosen) for distance, chosen in samples.items()},
        "steps": arguments.steps,
        "hold_steps": arguments.hold_steps,
        "batch": BATCH,
        "seconds": round(time.monotonic() - start),
        "course": {"columns": ["step", "fx", "fy", "cx", "cy"], "rows": course},
    }


def usable(distance: int, targets: list, arguments: argparse.Namespace, turns: np.ndarray) -> list[int]:
    """Return the items whose neighbours lie within the frames used and, with `--straight`, without rotation."""
    found = []
    for item, line in enumerate(targets):
        first, last = line.frame - distance, line.frame + distance
        if first >= 0 and last < arguments.frames and (not arguments.straight or turns[first:last].max() < STRAIGHT):
            found.append(item)
    if not found:
        raise SystemExit(f"no frame of the drive has such neighbours at distance {distance}")
    return found


def read_depth(folder: Path, frame: int) -> Tensor:
    """Return the true depth of a frame (1,H,W) in units."""
    metres = torch.from_numpy(np.load(folder / "depth" / f"{frame:06d}.npy"))[None]
    return torch.where(metres > 0, metres / METRES_A_UNIT, RANGE[1]).clamp(*RANGE)


def turning(path: Path) -> np.ndarray:
    """Return the angle from each frame to the next, in radians."""
    poses = read_poses(path)
    relative = np.linalg.inv(poses[:-1]) @ poses[1:]
    return np.asarray(np.arccos(np.clip((np.trace(relative[:, :3, :3], axis1=1, axis2=2) - 1) / 2, -1, 1)))


if __name__ == "__main__":
    main()
