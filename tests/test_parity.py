"""Tests of networks/, geometry.py and objectives/view_synthesis.py against the reference numbers.

Agreement with the reference implementations, in numbers: a part in tests/golden, all in ../shared/parity.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import released_weights
from hrdepth import geometry
from hrdepth.networks.hrdepth import LiteHRDepth
from hrdepth.objectives import Output
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.released import import_weights

GOLDEN = Path(__file__).parent / "golden"
MODES = {"M": (-1, 1), "M_no_automask": (-1, 1), "MS": (-1, 1, "s"), "S": ("s",)}


def load(path):
    return {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(path).items()}


@pytest.fixture(scope="module")
def golden():
    """A part of the reference's numbers: of the networks the first image, of disparities every 8th, 4th, 2nd pixel."""
    return load(GOLDEN / "reference.npz")


@pytest.fixture(scope="module", params=["hrdepth", "lite_hrdepth", "monodepth2"])
def published(request, tmp_path_factory):
    """A network's name and what was imported from files as they are published."""
    folder = tmp_path_factory.mktemp("published")
    files = released_weights.write(folder, request.param, height=192, width=640, use_stereo=False)
    import_weights(request.param, out=folder / "net.safetensors", **files)
    return request.param, read_checkpoint(folder / "net.safetensors")


def check_networks(published, reference, strides):
    name, checkpoint = published
    image = reference["image"]
    with torch.no_grad():
        disparities = checkpoint.network(image)
        axis_angle, translation = checkpoint.pose_network(torch.cat([image, image.flip(-1)], dim=1))
    for scale, stride in enumerate(strides):
        found = disparities[scale][..., ::stride, ::stride]
        torch.testing.assert_close(found, reference[f"{name}/disp{scale}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(axis_angle, reference["pose/axisangle"], atol=1e-5, rtol=0)
    torch.testing.assert_close(translation, reference["pose/translation"], atol=1e-5, rtol=0)
    motion = geometry.pose_matrix(axis_angle[:, 0, 0], translation[:, 0, 0])
    torch.testing.assert_close(motion, reference["pose/matrix_invert_False"], atol=1e-5, rtol=0)
    torch.testing.assert_close(geometry.invert_pose(motion), reference["pose/matrix_invert_True"], atol=1e-5, rtol=0)


def test_networks_with_published_weights_agree_with_the_reference(published, shared):
    check_networks(published, load(shared / "parity" / "networks.npz"), (1, 1, 1, 1))


def test_networks_with_published_weights_agree_with_the_golden_part(published, golden):
    check_networks(published, golden, (8, 4, 2, 1))


def test_depth_of_disparity_agrees_with_the_golden_part(golden):
    depth = geometry.disparity_to_depth(golden["disparity"])
    torch.testing.assert_close(depth, golden["depth"], rtol=1e-5, atol=1e-4)


def waves(seed, *shape):
    """Smooth values in [0, 1], the same on every machine."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[: shape[-2], : shape[-1]] / 8.0
    frequency, phase, level = (random.uniform(size=(3, *shape[:-2]))[..., None, None] for _ in range(3))
    parts = np.sin((1 + 2 * frequency[0]) * x + (1 + 2 * frequency[1]) * y + 6.28 * phase[0]) * level[0]
    return torch.from_numpy((0.5 + parts / 2).astype(np.float32))


def made_scene():
    """A batch as the reference's, at 32x48, made of waves."""
    made = {f"image_{frame}": waves(seed, 2, 3, 32, 48) for seed, frame in enumerate((0, -1, 1, "s"))}
    made |= {f"disp{scale}": 0.05 + 0.5 * waves(10 + scale, 2, 1, 32 >> scale, 48 >> scale) for scale in range(4)}
    made["K"] = torch.tensor([[28.0, 0, 24, 0], [0, 60, 16, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    made["stereo_T"] = torch.eye(4)
    made["stereo_T"][0, 3] = -0.1
    for seed, frame in enumerate((-1, 1)):
        numbers = np.random.RandomState(20 + seed).uniform(-0.03, 0.03, (2, 2, 3)).astype(np.float32)
        made[f"axisangle_{frame}"], made[f"translation_{frame}"] = torch.from_numpy(numbers)
    return made


@pytest.mark.parametrize("mode", MODES)
def test_losses_are_those_recorded_when_they_agreed_with_the_reference(mode):
    """The reference's own images are too large for the repository.

    `test_losses_agree_with_the_reference` compares with them where they are available.
    """
    made = made_scene()
    recorded = json.loads((GOLDEN / "recorded.json").read_text())["losses"][mode]
    losses = measure(mode, made)
    assert losses.keys() == recorded.keys()
    assert losses == pytest.approx(recorded, abs=1e-5)


def measure(mode, reference):
    batch, poses = scene(reference, MODES[mode])
    disparities = {scale: reference[f"disp{scale}"] for scale in range(4)}
    output = Output(disparities, poses, batch["intrinsics"])
    losses = objective(MODES[mode], auto_mask=mode != "M_no_automask").losses(output, batch)
    return {name: loss.item() for name, loss in losses.items()}


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
def test_losses_agree_with_the_reference(mode, reference):
    losses = measure(mode, reference)
    assert losses["loss"] == pytest.approx(reference[f"{mode}/loss"].item(), abs=1e-5)
    for scale in range(4):
        assert losses[f"loss/scale{scale}"] == pytest.approx(reference[f"{mode}/loss_scale{scale}"].item(), abs=1e-5)


def test_depth_and_warped_images_agree_with_the_reference(reference):
    batch, poses = scene(reference, (-1, 1, "s"))
    depth = geometry.disparity_to_depth(reference["disp0"])
    torch.testing.assert_close(depth, reference["depth0"], rtol=1e-5, atol=1e-4)
    for i, frame in enumerate((-1, 1, "s")):
        warped = geometry.view_synthesis(batch["sources"][:, i], depth, batch["intrinsics"], poses[:, i])
        torch.testing.assert_close(warped, reference[f"warped_{frame}"], atol=1e-4, rtol=0)


def test_the_auto_mask_agrees_with_the_reference(reference):
    batch, poses = scene(reference, (-1, 1))
    own = objective((-1, 1))
    errors = own.synthesis_errors(Output({0: reference["disp0"]}, poses, batch["intrinsics"]), batch).amin(dim=1)
    kept = errors < own.identity_errors(batch).amin(dim=1)
    assert (kept.float() - reference["M/kept_mask_scale0"]).abs().mean() < 1e-3


def test_the_auto_masks_share_with_stereo_agrees_with_the_reference(reference):
    batch, poses = scene(reference, (-1, 1, "s"))
    own = objective((-1, 1, "s"))
    for scale in range(4):
        output = Output({scale: reference[f"disp{scale}"]}, poses, batch["intrinsics"])
        errors = own.synthesis_errors(output, batch, scale).amin(dim=1)
        share = (errors < own.identity_errors(batch).amin(dim=1)).float().mean().item()
        assert share == pytest.approx(reference[f"M_S_kept_fraction_scale{scale}"].item(), abs=1e-3)


def test_the_smoothness_term_uses_the_target_resized_as_in_the_reference(reference):
    for scale in (1, 2, 3):
        expected = reference[f"image_0_scale{scale}"]
        torch.testing.assert_close(
            F.adaptive_avg_pool2d(reference["image_0"], expected.shape[-2:]), expected, atol=1e-6, rtol=0
        )
