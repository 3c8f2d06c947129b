"""Tests of prepare/multiview.py.

Depth from several views of known pose.
"""

import numpy as np
import torch

import corridor
from hrdepth.prepare.multiview import consistent, normalised, plane_sweep

PLANES = torch.linspace(0, 1 / 1.5, 64)


def grey(frame, right=False):
    return torch.from_numpy(corridor.view(frame, right)[0] / 255).float()[None]


def forward(frames):
    """From a frame to one that many frames later, of a camera that drives ahead."""
    pose = torch.eye(4)
    pose[2, 3] = -frames * corridor.STEP
    return pose


def swept(frame, offsets):
    k = torch.from_numpy(corridor.intrinsics()).float()
    sources = [normalised(grey(frame + offset)) for offset in offsets]
    return plane_sweep(normalised(grey(frame)), sources, k, [forward(offset) for offset in offsets], PLANES), k


def error(found, frame):
    depth = torch.from_numpy(corridor.view(frame)[1]).float()
    return (1 / found.clamp(min=1e-3) / depth - 1).abs()


def test_a_plane_sweep_along_the_trajectory_finds_the_depth():
    found, _ = swept(6, [-4, -2, 2, 4])
    wrong = error(found.inverse_depth, 6)
    assert wrong.median() < 0.03
    assert (wrong < 0.1).float().mean() > 0.75
    assert found.cost.min() >= 0
    assert found.cost.max() <= 1
    # Where nothing shifts, straight ahead, the unmoved neighbour explains a pixel as well; at the sides it does not.
    assert found.unmoved[:, :40].mean() > found.unmoved[40:56, 112:144].mean() + 0.2


def test_depth_is_found_from_a_stereo_pair():
    k = torch.from_numpy(corridor.intrinsics()).float()
    pose = torch.eye(4)
    pose[0, 3] = -corridor.BASELINE
    found = plane_sweep(normalised(grey(0)), [normalised(grey(0, True))], k, [pose], PLANES)
    assert error(found.inverse_depth, 0).median() < 0.03


def test_depth_on_which_two_views_agree_is_correct():
    (here, k), (there, _) = swept(5, [-4, -2, 2, 4]), swept(7, [-4, -2, 2, 4])
    agreed = consistent(here.inverse_depth, there.inverse_depth, k, forward(2), 1.5 * float(PLANES[1]))
    wrong = error(here.inverse_depth, 5)
    assert 0.4 < agreed.float().mean() < 0.99
    assert (wrong[agreed] < 0.1).float().mean() > 0.9
    assert wrong[agreed].mean() < wrong[~agreed].mean() / 2


def test_a_point_behind_the_other_camera_is_not_consistent():
    depth = torch.full(corridor.SIZE, 1 / 2.0)
    k = torch.from_numpy(corridor.intrinsics()).float()
    assert not consistent(depth, depth, k, forward(20), 0.1).any()
    assert consistent(depth, depth, k, torch.eye(4), 0.01).all()
    assert np.isfinite(depth.numpy()).all()
