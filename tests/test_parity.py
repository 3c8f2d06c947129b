"""Agreement with the reference implementations, in numbers (../shared/parity)."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import released_weights
from hrdepth import geometry
from hrdepth.networks.hrdepth import LiteHRDepth
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.weights.checkpoint import load_network, load_pose_network
from hrdepth.weights.released import import_weights

MODES = {"M": (-1, 1), "M_no_automask": (-1, 1), "MS": (-1, 1, "s"), "S": ("s",)}


def load(path):
    return {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(path).items()}


@pytest.mark.parametrize("network", ["hrdepth", "lite_hrdepth", "monodepth2"])
def test_networks_with_published_weights(network, shared, tmp_path):
    reference = load(shared / "parity" / "networks.npz")
    files = released_weights.write(tmp_path, shared / "parity", network, height=192, width=640, use_stereo=False)
    out = tmp_path / "net.safetensors"
    import_weights(network, out=out, **files)
    image = reference["image"]
    with torch.no_grad():
        disparities = load_network(out)(image)
        axis_angle, translation = load_pose_network(out)(torch.cat([image, image.flip(-1)], dim=1))
    for scale in range(4):
        torch.testing.assert_close(disparities[scale], reference[f"{network}/disp{scale}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(axis_angle, reference["pose/axisangle"], atol=1e-5, rtol=0)
    torch.testing.assert_close(translation, reference["pose/translation"], atol=1e-5, rtol=0)
    motion = geometry.pose_matrix(axis_angle[:, 0, 0], translation[:, 0, 0])
    torch.testing.assert_close(motion, reference["pose/matrix_invert_False"], atol=1e-5, rtol=0)
    torch.testing.assert_close(geometry.invert_pose(motion), reference["pose/matrix_invert_True"], atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def reference(shared):
    return load(shared / "parity" / "losses.npz")


def scene(reference, frames):
    batch_size = len(reference["image_0"])
    poses = {
        -1: geometry.invert_pose(geometry.pose_matrix(reference["axisangle_-1"], reference["translation_-1"])),
        1: geometry.pose_matrix(reference["axisangle_1"], reference["translation_1"]),
        "s": reference["stereo_T"].expand(batch_size, 4, 4),
    }
    batch = {
        "target": reference["image_0"],
        "sources": torch.stack([reference[f"image_{frame}"] for frame in frames], dim=1),
        "intrinsics": reference["K"][:3, :3].expand(batch_size, 3, 3),
        "source_valid": torch.ones(batch_size, len(frames), dtype=torch.bool),
    }
    return batch, torch.stack([poses[frame] for frame in frames], dim=1)


def objective(frames, **options):
    return ViewSynthesis(LiteHRDepth(), nn.Identity(), frames, tie_break=0.0, **options)


@pytest.mark.parametrize("mode", MODES)
def test_losses(mode, reference):
    batch, poses = scene(reference, MODES[mode])
    disparities = {scale: reference[f"disp{scale}"] for scale in range(4)}
    losses = objective(MODES[mode], auto_mask=mode != "M_no_automask").losses(batch, disparities, poses)
    assert losses["loss"].item() == pytest.approx(reference[f"{mode}/loss"].item(), abs=1e-5)
    for scale in range(4):
        expected = reference[f"{mode}/loss_scale{scale}"].item()
        assert losses[f"loss/scale{scale}"].item() == pytest.approx(expected, abs=1e-5)


def test_depth_and_warped_images(reference):
    batch, poses = scene(reference, (-1, 1, "s"))
    depth = geometry.disparity_to_depth(reference["disp0"])
    torch.testing.assert_close(depth, reference["depth0"], rtol=1e-5, atol=1e-4)
    for i, frame in enumerate((-1, 1, "s")):
        warped = geometry.view_synthesis(batch["sources"][:, i], depth, batch["intrinsics"], poses[:, i])
        torch.testing.assert_close(warped, reference[f"warped_{frame}"], atol=1e-4, rtol=0)


def test_auto_mask(reference):
    batch, poses = scene(reference, (-1, 1))
    own = objective((-1, 1))
    errors = own.synthesis_errors(batch, reference["disp0"], poses).amin(dim=1)
    kept = errors < own.identity_errors(batch).amin(dim=1)
    assert (kept.float() - reference["M/kept_mask_scale0"]).abs().mean() < 1e-3


def test_kept_share_with_stereo(reference):
    batch, poses = scene(reference, (-1, 1, "s"))
    own = objective((-1, 1, "s"))
    for scale in range(4):
        errors = own.synthesis_errors(batch, reference[f"disp{scale}"], poses).amin(dim=1)
        share = (errors < own.identity_errors(batch).amin(dim=1)).float().mean().item()
        assert share == pytest.approx(reference[f"M_S_kept_fraction_scale{scale}"].item(), abs=1e-3)


def test_the_smoothness_term_sees_the_target_as_the_reference_shrank_it(reference):
    for scale in (1, 2, 3):
        expected = reference[f"image_0_scale{scale}"]
        torch.testing.assert_close(
            F.adaptive_avg_pool2d(reference["image_0"], expected.shape[-2:]), expected, atol=1e-6, rtol=0
        )
