"""Tests of geometry.py."""

import math

import pytest
import torch
from torch.nn import functional as F

from hrdepth import geometry

K = torch.tensor([[[50.0, 0, 31.5], [0, 55.0, 19.5], [0, 0, 1]]])
SIZE = (40, 64)


@pytest.fixture
def image():
    torch.manual_seed(0)
    return F.interpolate(torch.rand(1, 3, 10, 16), SIZE, mode="bicubic", align_corners=True).clamp(0, 1)


@pytest.fixture
def pose():
    return geometry.pose_matrix(torch.tensor([[0.02, -0.03, 0.01]]), torch.tensor([[0.1, -0.05, 0.3]]))


def grid():
    y, x = torch.meshgrid(torch.arange(SIZE[0]).float(), torch.arange(SIZE[1]).float(), indexing="ij")
    return torch.stack([x, y])[None]


def test_identity_warp_is_the_image(image):
    depth = 1 + 9 * torch.rand(1, 1, *SIZE)
    torch.testing.assert_close(geometry.view_synthesis(image, depth, K, torch.eye(4)[None]), image, atol=1e-4, rtol=0)


def test_projecting_what_was_lifted_gives_the_grid():
    depth = 1 + 9 * torch.rand(1, 1, *SIZE)
    points = geometry.backproject(depth, K)
    torch.testing.assert_close(points[:, 2:], depth)
    torch.testing.assert_close(geometry.project(points, K, torch.eye(4)[None]), grid(), atol=1e-4, rtol=0)


def test_a_motion_and_its_inverse_cancel(pose):
    torch.testing.assert_close(geometry.invert_pose(pose) @ pose, torch.eye(4)[None], atol=1e-6, rtol=0)
    torch.testing.assert_close(geometry.invert_pose(pose), torch.linalg.inv(pose), atol=1e-6, rtol=0)


def test_rotation_is_the_matrix_exponential():
    axis_angle = torch.tensor([[0.3, -0.2, 0.5], [0.0, 0.0, 0.0], [1e-4, 0, 0], [0, math.pi / 2, 0]])
    x, y, z = axis_angle.T
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    rotation = geometry.pose_matrix(axis_angle, torch.zeros(4, 3))[:, :3, :3]
    torch.testing.assert_close(rotation, torch.linalg.matrix_exp(cross), atol=1e-6, rtol=0)


def test_no_motion_has_a_finite_gradient():
    axis_angle = torch.zeros(1, 3, requires_grad=True)
    geometry.pose_matrix(axis_angle, torch.zeros(1, 3)).sum().backward()
    assert torch.isfinite(axis_angle.grad).all()


def test_a_plane_moved_sideways_shifts_by_fx_b_over_z():
    pose = torch.eye(4)[None].clone()
    pose[0, 0, 3] = -0.5
    pixels = geometry.project(geometry.backproject(torch.full((1, 1, *SIZE), 10.0), K), K, pose)
    torch.testing.assert_close(
        pixels, grid() - torch.tensor([50 * 0.5 / 10, 0])[None, :, None, None], atol=1e-4, rtol=0
    )


def test_sampling_reads_whole_pixels_and_the_border(image):
    shifted = geometry.sample(image, grid() + torch.tensor([3.0, 0])[None, :, None, None])
    torch.testing.assert_close(shifted[..., :-3], image[..., 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(shifted[..., -3:], image[..., -1:].expand(-1, -1, -1, 3), atol=1e-5, rtol=0)


def test_points_behind_the_camera_stay_finite(image):
    pose = torch.eye(4)[None].clone()
    pose[0, 2, 3] = -20.0
    depth = torch.full((1, 1, *SIZE), 10.0, requires_grad=True)
    warped = geometry.view_synthesis(image, depth, K, pose)
    warped.sum().backward()
    assert torch.isfinite(warped).all()
    assert torch.isfinite(depth.grad).all()


def test_a_flipped_scene_has_flipped_geometry(image, pose):
    """Mirroring images, depth, K and motion mirrors the synthesised view."""
    depth = 5 + torch.rand(1, 1, *SIZE)
    mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1]))
    flipped = geometry.view_synthesis(
        image.flip(-1), depth.flip(-1), geometry.flip_intrinsics(K, SIZE[1]), mirror @ pose @ mirror
    )
    torch.testing.assert_close(flipped.flip(-1), geometry.view_synthesis(image, depth, K, pose), atol=1e-4, rtol=0)


def test_resizing_scales_k_row_by_row():
    torch.testing.assert_close(
        geometry.scale_intrinsics(K[0], 2.0, 0.5), torch.tensor([[100.0, 0, 63], [0, 27.5, 9.75], [0, 0, 1]])
    )


def test_disparity_and_depth_are_inverse():
    disparity = torch.linspace(0, 1, 11)
    depth = geometry.disparity_to_depth(disparity, 0.5, 50)
    torch.testing.assert_close(geometry.depth_to_disparity(depth, 0.5, 50), disparity)
    assert (depth[0].item(), depth[-1].item()) == pytest.approx((50, 0.5))


def test_geometry_has_correct_gradients(pose):
    source = torch.rand(1, 1, 5, 6, dtype=torch.float64)
    depth = (2 + torch.rand(1, 1, 5, 6, dtype=torch.float64)).requires_grad_()
    k = torch.tensor([[[5.0, 0, 2.5], [0, 5, 2], [0, 0, 1]]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda d: geometry.view_synthesis(source, d, k, pose.double()), depth)


def test_nan_coordinates_do_not_end_the_process():
    pixels = torch.full((1, 2, 4, 6), float("nan"), requires_grad=True)
    geometry.sample(torch.rand(1, 3, 4, 6), pixels).sum().backward()
    assert torch.equal(pixels.grad, torch.zeros_like(pixels))
