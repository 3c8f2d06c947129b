"""Tests of objectives/sfmlearner.py, vid2depth.py and struct2depth.py.

What the objectives of SfMLearner, Vid2Depth and Struct2Depth add to view synthesis.
"""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from torch import nn

from hrdepth.camera import DepthScale
from hrdepth.config import NetworkConfig, ObjectiveConfig
from hrdepth.errors import InputError
from hrdepth.geometry import backproject, depth_to_disparity, pose_matrix, project
from hrdepth.networks import build_pose_network
from hrdepth.objectives import Output, build_objective, check_objective
from hrdepth.objectives.sfmlearner import ExplainedOutput
from hrdepth.objectives.struct2depth import MovingOutput
from hrdepth.objectives.vid2depth import iterative_closest_points, rigid_fit

SIZE = (64, 96)
K = torch.tensor([[[60.0, 0, 47], [0, 55, 31], [0, 0, 1]]])
MOTION = pose_matrix(torch.tensor([[0.01, -0.02, 0.005]]), torch.tensor([[0.05, -0.02, 0.1]]))

STILL = torch.eye(4)[None, None]


class Constant(nn.Module):
    """A depth network of one disparity map, or one for each scale from the finest."""

    min_depth, max_depth = 0.1, 100.0
    scale = DepthScale()

    def __init__(self, *depths):
        super().__init__()
        self.scales = nn.ParameterList(depth_to_disparity(depth, self.min_depth, self.max_depth) for depth in depths)

    @property
    def disparity(self):
        return self.scales[0]

    def forward(self, image):
        return {s: disparity.expand(len(image), -1, -1, -1) for s, disparity in enumerate(self.scales)}


def objective_of(name, depth, frames=(1,), pose=None, **options):
    pose = build_pose_network(NetworkConfig(*(pose or ("posenet", {}))))
    nested = {} if name == "sfmlearner" else {"view_synthesis": {"scales": [0], "auto_mask": False}}
    depths = depth if isinstance(depth, tuple) else (depth,)
    return build_objective(ObjectiveConfig(name, list(frames), {**nested, **options}), Constant(*depths), pose)


def batch_of(target, source, **more):
    sources = source[:, None]
    return {
        "target": target, "sources": sources, "target_augmented": target, "sources_augmented": sources,
        "intrinsics": K, "stereo_pose": torch.eye(4)[None], "source_valid": torch.ones(1, 1, dtype=torch.bool), **more,
    }  # fmt: skip


def output_of(disparity, poses, source_disparities=None):
    return Output({0: disparity}, poses, K, source_disparities=source_disparities)


def moving(objective, batch, poses=STILL, **changes):
    """The output for given poses of the camera, with the objects' motions as the network predicts them."""
    camera = output_of(objective.network.disparity, poses)
    masks, object_poses = objective.predict_objects(camera, batch)
    return MovingOutput(**{**vars(camera), "object_masks": masks, "object_poses": object_poses, **changes})


def hills():
    """A depth without symmetry, so that a motion shows, (1,1,H,W)."""
    y, x = torch.meshgrid(torch.linspace(0, 3, SIZE[0]), torch.linspace(0, 5, SIZE[1]), indexing="ij")
    return (5 + torch.sin(2 * x) * torch.cos(3 * y) + 0.3 * x)[None, None]


# Vid2Depth


def test_a_rigid_motion_is_found_and_pairs_without_weight_do_not_count():
    torch.manual_seed(0)
    points = torch.rand(1, 50, 3)
    moved = points @ MOTION[:, :3, :3].mT + MOTION[:, None, :3, 3]
    weights = torch.ones(1, 50)
    weights[:, :5] = 0
    moved[:, :5] += 100
    torch.testing.assert_close(rigid_fit(points, moved, weights), MOTION, atol=1e-5, rtol=1e-4)
    assert torch.equal(rigid_fit(points, moved, torch.zeros(1, 50)), torch.eye(4)[None])


def test_a_mirrored_cloud_is_not_mirrored_back():
    points = torch.rand(1, 30, 3)
    fit = rigid_fit(points, points * torch.tensor([-1.0, 1, 1]), torch.ones(1, 30))
    assert torch.det(fit[0, :3, :3]).item() == pytest.approx(1, abs=1e-4)


def test_closest_points_find_a_small_motion_without_knowing_the_pairs():
    cloud = backproject(hills(), K)[..., ::3, ::3].flatten(2).mT
    moved = cloud @ MOTION[:, :3, :3].mT + MOTION[:, None, :3, 3]
    shuffled = moved[:, torch.randperm(moved.shape[1])]
    transform, partners = iterative_closest_points(cloud, shuffled, torch.ones(cloud.shape[:2]), 30)
    torch.testing.assert_close(transform, MOTION, atol=2e-3, rtol=0)
    assert (partners - moved).norm(dim=-1).median() < 1e-4


def test_the_alignment_loss_is_zero_for_true_pose_and_depth():
    depth = hills()
    objective = objective_of("vid2depth", depth, points=600)
    batch = batch_of(torch.rand(1, 3, *SIZE), torch.rand(1, 3, *SIZE))
    disparity = objective.network.disparity
    right = objective.alignment_loss(output_of(disparity, torch.eye(4)[None, None], disparity[None]), batch)
    assert right.item() == pytest.approx(0, abs=1e-3)
    wrong = objective.alignment_loss(output_of(disparity, MOTION[:, None], disparity[None]), batch)
    assert wrong.item() > 0.01


def test_the_alignment_loss_pulls_pose_and_points_towards_the_truth():
    depth = hills()
    objective = objective_of("vid2depth", depth, points=600, iterations=20)
    batch = batch_of(torch.rand(1, 3, *SIZE), torch.rand(1, 3, *SIZE))
    seen = objective.network.disparity.detach()[None]
    pose = MOTION[:, None].clone().requires_grad_()
    objective.alignment_loss(output_of(objective.network.disparity, pose, seen), batch).backward()
    better = pose.detach() - 0.002 * pose.grad
    assert (better - torch.eye(4)).abs().sum() < (pose.detach() - torch.eye(4)).abs().sum()

    depth = depth.clone()
    depth[..., 20:30, 40:50] *= 0.9
    disparity = depth_to_disparity(depth).requires_grad_()
    objective.alignment_loss(output_of(disparity, torch.eye(4)[None, None], seen), batch).backward()
    assert disparity.grad[..., 20:30, 40:50].sum() > 0  # a step against it makes the bump go back


def cloud_of(depth, step):
    """Points (N,3) float64 of every `step`-th pixel of a depth (h,W), the image's upper rows."""
    y, x = np.mgrid[: depth.shape[0] : step, : depth.shape[1] : step]
    rays = np.stack([(x - 47) / 60, (y - 31) / 55, np.ones_like(x)], axis=-1)
    return (rays * depth[::step, ::step, None]).reshape(-1, 3)


def closest_points(moving, fixed, iterations):
    """ICP by other means: (rotation, translation) from `moving` to `fixed`, and the last partners."""
    rotation, translation = np.eye(3), np.zeros(3)
    tree = cKDTree(fixed)
    for _ in range(iterations):
        partners = fixed[tree.query(moving @ rotation.T + translation)[1]]
        centre, theirs = moving.mean(0), partners.mean(0)
        rotation = Rotation.align_vectors(partners - theirs, moving - centre)[0].as_matrix()
        translation = theirs - rotation @ centre
    return rotation, translation, partners


@pytest.mark.parametrize("hood", [64, 48])
def test_the_alignment_loss_agrees_with_another_icp(hood):
    """Vid2Depth, eq. 4 to 7, with a pose that turns and depths that differ; lengths in mean depths.

    Rows from `hood` on are masked: in the target, in the source, and where the source would be read.
    """
    depth, seen = hills(), 1.1 * hills().flip(-1)
    pose = pose_matrix(torch.tensor([[0.05, -0.15, 0.1]]), torch.tensor([[0.3, 0.9, 0.4]]))
    objective = objective_of("vid2depth", depth, points=600, iterations=4)
    mask = torch.ones(1, 1, *SIZE)
    mask[..., hood:, :] = 0
    batch = batch_of(*torch.rand(2, 1, 3, *SIZE), mask=mask)
    output = output_of(objective.network.disparity, pose[:, None], depth_to_disparity(seen)[None])
    found = objective.alignment_loss(output, batch)

    turn, shift = pose[0, :3, :3].double().numpy(), pose[0, :3, 3].double().numpy()
    depth, seen = (values[0, 0, :hood].double().numpy() for values in (depth, seen))
    moved = cloud_of(depth, 4) @ turn.T + shift
    x, y = moved[:, 0] / moved[:, 2] * 60 + 47, moved[:, 1] / moved[:, 2] * 55 + 31
    last = min(hood - 0.5, SIZE[0] - 1)  # the mask is read bilinearly
    assert (y > last).sum() > 10
    moved = moved[(x >= 0) & (x <= SIZE[1] - 1) & (y >= 0) & (y <= last) & (moved[:, 2] > 0)]
    assert 50 < len(moved) < hood // 4 * 24
    rotation, translation, partners = closest_points(moved, cloud_of(seen, 4), 4)
    assert np.abs(rotation - np.eye(3)).max() > 0.02
    unit = depth.mean().item()
    apart = np.abs(moved - (partners - translation) @ rotation).sum(1).mean() / unit
    motion = np.abs(rotation @ turn - turn).sum() + np.abs(rotation @ shift + translation - shift).sum() / unit
    assert min(apart, motion) > 0.05
    assert found.item() == pytest.approx(apart + motion, rel=1e-3)


def test_masked_points_are_in_neither_cloud():
    depth, seen = hills(), 1.1 * hills().flip(-1)
    objective = objective_of("vid2depth", depth, points=600)
    mask = torch.ones(1, 1, *SIZE)
    mask[..., 40:, :] = 0
    batch = batch_of(*torch.rand(2, 1, 3, *SIZE), mask=mask)

    def loss_of(target, source):
        loss = objective.alignment_loss(output_of(target, MOTION[:, None], depth_to_disparity(source)[None]), batch)
        return loss.item(), *torch.autograd.grad(loss, target)

    disparity = depth_to_disparity(depth).requires_grad_()
    loss, gradient = loss_of(disparity, seen)
    assert gradient[..., :40, :].any()
    assert not gradient[..., 40:, :].any()
    other = torch.where(mask > 0.5, depth, 0.5 * depth)
    assert loss_of(depth_to_disparity(other).requires_grad_(), seen)[0] == pytest.approx(loss, rel=1e-6)
    assert loss_of(disparity, torch.where(mask > 0.5, seen, 0.5 * seen))[0] == pytest.approx(loss, rel=1e-6)


def test_points_that_leave_the_source_image_do_not_count():
    objective = objective_of("vid2depth", torch.full((1, 1, *SIZE), 5.0))
    target = torch.rand(1, 3, *SIZE)
    batch = batch_of(target, target)
    pose = pose_matrix(torch.zeros(1, 3), torch.tensor([[10 * 5 / 60, 0.0, 0.0]]))[:, None]  # ten pixels to the right
    errors = objective.synthesis_errors(output_of(objective.network.disparity, pose), batch)
    assert errors[..., -10:].isinf().all()
    assert errors[..., :-11].isfinite().all()
    assert objective(batch_of(target, target)).loss.isfinite()


@pytest.mark.parametrize(("option", "value"), [("points", 2), ("iterations", 0)])
def test_impossible_counts_are_named(option, value):
    with pytest.raises(InputError, match=f"option {option} {value}"):
        check_objective(ObjectiveConfig("vid2depth", [1], {option: value}))


# Struct2Depth


def moving_patch(shift=6):
    """A wall 5 units away seen by a camera that stands still; a patch of it moves `shift` pixels to the right."""
    torch.manual_seed(0)
    wall = nn.functional.interpolate(torch.rand(1, 3, 16, 24), SIZE, mode="bicubic").clamp(0, 1)
    patch = nn.functional.interpolate(torch.rand(1, 3, 5, 6), (20, 24), mode="bicubic").clamp(0, 1)
    objects = torch.zeros(1, 2, *SIZE, dtype=torch.int64)
    target, source = wall.clone(), wall.clone()
    target[..., 20:40, 30:54] = patch
    source[..., 20:40, 30 + shift : 54 + shift] = patch
    objects[:, 0, 20:40, 30:54] = 7
    objects[:, 1, 20:40, 30 + shift : 54 + shift] = 7
    return batch_of(target, source, objects=objects)


def with_true_motion(objective, batch, shift=6):
    true = pose_matrix(torch.zeros(1, 3), torch.tensor([[shift * 5 / 60, 0.0, 0.0]]))
    return moving(objective, batch, object_poses=true[:, None, None])


def test_an_objects_motion_explains_it_and_occluded_pixels_do_not_count():
    objective = objective_of("struct2depth", torch.full((1, 1, *SIZE), 5.0), objects=1)
    batch = moving_patch()
    view = objective.synthesise(with_true_motion(objective, batch), batch, objective.network.disparity)[:, 0]
    seen = view[:, 3:] > 0.5
    torch.testing.assert_close(view[:, :3] * seen, batch["target"] * seen, atol=1e-3, rtol=0)
    assert seen[..., 20:40, 30:54].all()  # the object
    assert not seen[..., 20:40, 54:60].any()  # the wall that it hides in the source
    assert seen.float().mean() == pytest.approx(1 - 20 * 6 / (64 * 96), abs=1e-3)


def waves(x, y):
    """An image without edges, known everywhere, (3,H,W)."""
    return 0.5 + 0.25 * torch.stack([torch.sin(0.2 * x) + torch.cos(0.15 * y), torch.sin(0.12 * x + 0.2 * y),
                                     torch.cos(0.2 * x - 0.1 * y)])  # fmt: skip


def moving_camera_and_object(frame=1):
    """A wall 5 units away, seen by a camera that turns and moves; an object of it turns and moves too.

    Returns objective, batch, the camera's pose and the object's. The source shows `waves`.
    """
    torch.manual_seed(0)
    objective = objective_of(
        "struct2depth", torch.full((1, 1, *SIZE), 5.0), frames=(frame,), objects=1, object_network="posecnn"
    ).eval()
    camera = pose_matrix(torch.tensor([[0.02, -0.15, 0.1]]), torch.tensor([[0.8, -0.1, 0.6]]))
    moves = pose_matrix(torch.tensor([[0.1, 0.2, -0.25]]), torch.tensor([[0.2, 0.3, -0.8]]))
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    objects = torch.zeros(1, 2, *SIZE, dtype=torch.int64)
    objects[:, 0, 20:40, 30:54] = 7
    objects[:, 1, 15:45, 25:60] = 7
    batch = batch_of(torch.rand(1, 3, *SIZE), waves(x, y)[None], objects=objects)
    return objective, batch, camera, moves


def seen_at(turn, shift):
    """Where the source shows each pixel of the wall, (2,H,W), written out."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    wall = 5 * torch.stack([(x - 47) / 60, (y - 31) / 55, torch.ones_like(x)])
    moved = torch.einsum("ij,jhw->ihw", turn, wall) + shift[:, None, None]
    return torch.stack([60 * moved[0] / moved[2] + 47, 55 * moved[1] / moved[2] + 31])


def test_an_object_moves_first_and_the_camera_sees_where_it_went():
    """Casser et al., eq. 6: an object's points x are seen at C (O x), with motions that do not commute."""
    objective, batch, camera, moves = moving_camera_and_object()
    output = moving(objective, batch, camera[:, None], object_poses=moves[:, None, None])
    view = objective.synthesise(output, batch, objective.network.disparity)[0, 0, :3]
    (c, t), (o, s) = ((pose[0, :3, :3], pose[0, :3, 3]) for pose in (camera, moves))
    own = batch["objects"][0, 0] == 7
    right, wrong = seen_at(c @ o, c @ s + t), seen_at(o @ c, o @ t + s)
    assert all(line[own].min() > 0 and line[own].max() < most - 1 for line, most in zip(right, (96, 64), strict=True))
    assert (right - wrong)[:, own].norm(dim=0).min() > 2
    torch.testing.assert_close(view[:, own], waves(*right)[:, own], atol=0.01, rtol=0)
    x, y = seen_at(c, t)  # all else stands still
    still = ~own & (x > 0) & (x < 95) & (y > 0) & (y < 63)
    torch.testing.assert_close(view[:, still], waves(x, y)[:, still], atol=0.01, rtol=0)


@pytest.mark.parametrize("frame", [-1, 1])
def test_the_object_network_sees_the_object_as_the_cameras_motion_shows_it(frame):
    objective, batch, camera, _ = moving_camera_and_object(frame)
    pairs = []
    objective.object_motion.network.register_forward_hook(lambda module, inputs, output: pairs.append(inputs[0]))
    moving(objective, batch, camera[:, None])
    target, view = (pairs[0][0, :3], pairs[0][0, 3:])[::frame]  # in temporal order
    assert torch.equal(target, batch["target"][0] * (batch["objects"][0, 0] == 7))
    x, y = seen_at(camera[0, :3, :3], camera[0, :3, 3])
    inside = (x > 26) & (x < 58) & (y > 16) & (y < 43)
    outside = (x < 23) | (x > 61) | (y < 13) | (y > 46)
    assert min(inside.sum(), outside.sum()) > 200
    torch.testing.assert_close(view[:, inside], waves(x, y)[:, inside], atol=0.01, rtol=0)
    assert not view[:, outside].any()


def test_a_masked_object_is_ignored():
    objective = objective_of("struct2depth", torch.full((1, 1, *SIZE), 5.0), objects=1)
    batch = moving_patch()
    batch["objects"][:, :, 44:, :] = 9  # larger than the patch, and on the hood
    batch["mask"] = torch.ones(1, 1, *SIZE)
    batch["mask"][..., 44:, :] = 0
    losses = objective(batch).losses
    again = objective_of("struct2depth", torch.full((1, 1, *SIZE), 5.0), objects=1)(
        {**batch, "objects": moving_patch()["objects"]}
    ).losses
    assert losses["loss/object_size"].item() == pytest.approx(again["loss/object_size"].item(), rel=1e-6)
    losses["loss/object_size"].backward()
    assert objective.network.disparity.grad[..., 20:40, 30:54].any()
    assert not objective.network.disparity.grad[..., 44:, :].any()


def test_an_object_that_the_mask_covers_in_part_keeps_its_height():
    depth, half = torch.full((1, 1, *SIZE), 5.0), torch.ones(1, 1, *SIZE)
    half[..., 30:, :] = 0
    objective = objective_of("struct2depth", depth, object_height=5 * 20 / 55)
    assert objective({**moving_patch(), "mask": half}).losses["loss/object_size"].item() == pytest.approx(0, abs=1e-5)
    objective = objective_of("struct2depth", depth, object_height=1.0)
    objective({**moving_patch(), "mask": half}).losses["loss/object_size"].backward()
    gradient = objective.network.disparity.grad
    assert gradient[..., 20:30, 30:54].any()
    assert not gradient[..., 30:, :].any()


def test_an_object_that_the_source_lacks_does_not_count():
    objective = objective_of("struct2depth", torch.full((1, 1, *SIZE), 5.0))
    batch = moving_patch()
    batch["objects"][:, 1] = 0
    errors = objective.synthesis_errors(moving(objective, batch), batch)
    assert errors[..., 20:40, 30:54].isinf().all()
    assert errors[..., :20, :].isfinite().all()


def test_only_the_largest_objects_get_a_motion():
    objective = objective_of("struct2depth", torch.full((1, 1, *SIZE), 5.0), objects=1)
    batch = moving_patch()
    batch["objects"][:, :, 50:55, 10:20] = 3
    output = moving(objective, batch)
    assert torch.equal(output.object_masks[0, 0, 0], batch["objects"][0, 0] == 7)
    view = objective.synthesise(output, batch, objective.network.disparity)[:, 0]
    assert not (view[:, 3, 50:55, 10:20] > 0.5).any()


def test_the_camera_is_found_by_what_stands_still():
    objective = objective_of("struct2depth", torch.full((1, 1, *SIZE), 5.0)).eval()
    batch = moving_patch()
    changed = {**batch, "target_augmented": batch["target"] * (batch["objects"][:, :1] == 0)}
    torch.testing.assert_close(objective.predict(batch).poses, objective.predict(changed).poses)


@pytest.mark.slow
@pytest.mark.parametrize("frame", [-1, 1])
def test_object_motions_can_be_learned(frame):
    """From no motion towards the true one, whose loss is lower."""
    torch.manual_seed(0)
    objective = objective_of(
        "struct2depth", torch.full((1, 1, *SIZE), 5.0), frames=(frame,), object_network="posecnn", size_weight=0.0
    )
    batch = moving_patch(shift=2)
    objective.predict_poses = lambda batch: (STILL, None)
    optimiser = torch.optim.Adam(objective.object_motion.parameters(), 1e-3)
    losses = []
    for _ in range(60):
        losses.append(objective(batch).loss)
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    _, object_poses = objective.predict_objects(output_of(objective.network.disparity, STILL), batch)
    assert losses[-1] < 0.5 * losses[0]
    centre = torch.tensor([[42.0, 30.0]]).view(1, 2, 1, 1)
    point = torch.cat(
        [(centre - K[:, :2, 2, None, None]) / torch.tensor([60.0, 55.0]).view(1, 2, 1, 1), torch.ones(1, 1, 1, 1)],
        1,
    )
    shift = project(5 * point, K, object_poses[:, 0, 0]) - centre
    assert shift.flatten().tolist() == pytest.approx([2, 0], abs=0.3)


def test_an_objects_height_determines_its_distance():
    # 20 pixels tall at fy = 55: 1.8182 units tall at 5 units.
    error = []
    for depth, height in ((5.0, 5 * 20 / 55), (5.0, 1.0), (8.0, 5 * 20 / 55)):
        objective = objective_of("struct2depth", torch.full((1, 1, *SIZE), depth), object_height=height)
        error.append(objective(moving_patch()).losses["loss/object_size"])
    assert error[0].item() == pytest.approx(0, abs=1e-5)
    assert error[1].item() == pytest.approx((5 - 55 / 20) / 5, rel=1e-4)
    assert error[2].item() == pytest.approx(3 / 8, rel=1e-4)
    error[2].backward()
    assert objective.object_motion.log_height.grad < 0
    assert objective.network.disparity.grad[..., 20:40, 30:54].sum() < 0


@pytest.mark.parametrize(
    ("frames", "options", "said"),
    [([1], {"objects": 0}, "objects 0"), ([1], {"object_height": -1.0}, "object_height"), (["s"], {}, "in time")],
)
def test_invalid_settings_are_named(frames, options, said):
    with pytest.raises(InputError, match=said):
        check_objective(ObjectiveConfig("struct2depth", frames, options))


# SfMLearner


def test_the_mask_weighs_the_error_and_costs_what_it_hides():
    objective = objective_of(
        "sfmlearner", hills(), pose=("posecnn", {"explainability": True}), scales=[0], smoothness=0.0
    )
    target = torch.rand(1, 3, *SIZE)
    batch = batch_of(target, torch.rand(1, 3, *SIZE))
    error = objective.synthesis_errors(output_of(objective.network.disparity, STILL), batch).mean()
    for share in (1.0, 0.5):
        masks = {0: torch.full((1, 1, *SIZE), share)}
        output = ExplainedOutput({0: objective.network.disparity}, STILL, K, explained=masks)
        loss = objective._scale_loss(output, batch, 0)
        assert loss.item() == pytest.approx(share * error.item() - 0.2 * torch.tensor(share).log().item(), rel=1e-4)


def test_two_scales_are_summed_and_the_coarser_is_smoothed_by_half():
    """Zhou et al. 2017, eq. 4: the sum over scales, and lambda_s / 2^s."""
    depths = []
    for scale, bend in ((0, 0.001), (1, 0.004)):
        x = torch.arange(SIZE[1] >> scale).float().expand(1, 1, SIZE[0] >> scale, -1)
        depths.append(1 / (0.1 + bend * x**2))  # second differences 0.002 and 0.008
    objective = objective_of("sfmlearner", tuple(depths), scales=[0, 1], explainability=0.0)
    objective.predict_poses = lambda batch: (STILL, None)
    target = 0.9 * torch.rand(1, 3, *SIZE)
    losses = objective(batch_of(target, target + 0.004)).losses
    assert losses["loss/scale0"].item() == pytest.approx(0.004 + 0.5 * 0.002, rel=1e-3)
    assert losses["loss/scale1"].item() == pytest.approx(0.004 + 0.25 * 0.008, rel=1e-3)
    assert losses["loss"].item() == pytest.approx(0.008 + 0.001 + 0.002, rel=1e-3)


def test_a_source_is_not_read_where_the_mask_covers_it():
    objective = objective_of(
        "sfmlearner", torch.full((1, 1, *SIZE), 5.0), scales=[0], explainability=0.0, smoothness=0.0
    )
    mask = torch.ones(1, 1, *SIZE)
    mask[..., 48:, :] = 0
    target = torch.rand(1, 3, *SIZE)
    pose = pose_matrix(torch.zeros(1, 3), torch.tensor([[0.0, 10 * 5 / 55, 0.0]]))[:, None]
    objective.predict_poses = lambda batch: (pose, None)
    source = torch.rand(1, 3, *SIZE)
    loss = objective(batch_of(target, source, mask=mask)).loss
    source[..., 49:, :] = 0  # what pixels from ten rows above the hood on would see
    assert objective(batch_of(target, source, mask=mask)).loss.item() == pytest.approx(loss.item(), rel=1e-5)


def test_inverse_depth_is_smoothed_by_its_second_differences():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    target = torch.rand(1, 3, *SIZE)
    for inverse, bent in ((0.1 + 0.002 * x + 0.001 * y, False), (0.1 + 0.0001 * x**2, True)):
        objective = objective_of("sfmlearner", 1 / inverse[None, None], scales=[0], explainability=0.0)
        loss = objective._scale_loss(
            ExplainedOutput({0: objective.network.disparity}, STILL, K),
            {**batch_of(target, target), "source_valid": torch.zeros(1, 1, dtype=torch.bool)},
            0,
        )
        assert loss.item() == pytest.approx(0.5 * 0.0002 if bent else 0.0, abs=2e-7)


def test_a_pose_network_without_mask_is_refused():
    with pytest.raises(InputError, match="explainability to true"):
        objective_of("sfmlearner", hills())
    assert (
        objective_of("sfmlearner", hills(), explainability=0.0).predict_masks(batch_of(*torch.rand(2, 1, 3, *SIZE)))
        is None
    )


def test_the_mask_is_the_targets_whatever_the_order_in_time():
    torch.manual_seed(0)
    batch = batch_of(*torch.rand(2, 1, 3, *SIZE))
    pose = ("posecnn", {"explainability": True})
    masks = [objective_of("sfmlearner", hills(), (frame,), pose).eval() for frame in (-1, 1)]
    masks[1].load_state_dict(masks[0].state_dict())
    torch.testing.assert_close(*[objective.predict_masks(batch)[0] for objective in masks])
