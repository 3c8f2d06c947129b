"""Tests of objectives/view_synthesis.py with masks.

Pixels that a mask leaves out change neither loss nor gradients, as target or as source.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig, NetworkConfig
from hrdepth.data import build_mix
from hrdepth.networks import build_network
from hrdepth.objectives import Output
from hrdepth.objectives.view_synthesis import ViewSynthesis

HOOD = np.s_[..., 48:, :]


def config_of(root, *, mask):
    fake_datasets.drive(root)
    if mask:
        keep = np.full(fake_datasets.SIZE, 255, np.uint8)
        keep[HOOD] = 0
        Image.fromarray(keep).save(root / "drive" / "mask.png")
    return DatasetConfig("folder", str(root), str(root / "train.txt"))


@pytest.fixture
def batch(tmp_path):
    data = build_mix([config_of(tmp_path, mask=True)], [-1, 1], fake_datasets.SIZE)
    return default_collate([data[0], data[1]])


def loss_and_gradient(batch, disparity, **options):
    objective = ViewSynthesis(build_network(NetworkConfig("lite_hrdepth")), torch.nn.Identity(), smoothness=0.0,
                              tie_break=0.0, **options)  # fmt: skip
    disparity = disparity.clone().requires_grad_()
    poses = torch.eye(4).repeat(2, 2, 1, 1)
    poses[:, :, 0, 3] = torch.tensor([0.02, -0.02])
    loss = objective.losses(Output(dict.fromkeys(range(4), disparity), poses, batch["intrinsics"]), batch)["loss"]
    loss.backward()
    return loss.item(), disparity.grad


def test_masked_pixels_do_not_count(batch):
    torch.manual_seed(0)
    disparity = 0.05 + 0.05 * torch.rand(2, 1, *fake_datasets.SIZE)
    loss, gradient = loss_and_gradient(batch, disparity, auto_mask=False)
    other = dict(batch)
    for name in ("target", "sources"):
        other[name] = batch[name].clone()
        other[name][..., 50:, :] = torch.rand_like(other[name][..., 50:, :])  # beyond the reach of SSIM's windows
    again, same = loss_and_gradient(other, disparity, auto_mask=False)
    assert again == pytest.approx(loss, rel=1e-6)
    torch.testing.assert_close(same, gradient)
    assert not gradient[..., 50:, :].any()
    assert gradient[..., :40, :].any()
    bare = {key: value for key, value in other.items() if key != "mask"}
    assert loss_and_gradient(bare, disparity, auto_mask=False)[0] != pytest.approx(loss, rel=1e-3)


def test_a_source_is_not_read_where_it_is_masked(batch):
    """What moves in from behind the hood of one source is explained by the other alone."""
    objective = ViewSynthesis(build_network(NetworkConfig("lite_hrdepth")), torch.nn.Identity(), tie_break=0.0)
    poses = torch.eye(4).repeat(2, 2, 1, 1)
    poses[:, 0, 1, 3], poses[:, 1, 1, 3] = 0.5, -0.5  # down in the first source, up in the second
    disparity = torch.full((2, 1, *fake_datasets.SIZE), 0.05)
    errors = objective.synthesis_errors(Output({0: disparity}, poses, batch["intrinsics"]), batch)
    row = 46  # just above the hood
    assert errors[:, 0, row].isinf().all()
    assert errors[:, 1, row].isfinite().all()


def test_masks_follow_size_zoom_and_flip(tmp_path):
    part = config_of(tmp_path, mask=True)
    small = build_mix([part], [-1, 1], (32, 64))[0]["mask"]
    assert small.shape == (1, 32, 64)
    assert (small[:, :23].mean(), small[:, 24:].mean()) == (1, 0)
    # A recording that shows its own mask: whatever happens to the image happens to the mask.
    half = config_of(tmp_path / "half", mask=False)
    keep = np.full(fake_datasets.SIZE, 255, np.uint8)
    keep[:, :40] = 0
    for file in [tmp_path / "half/drive/mask.png", *(tmp_path / "half/drive/left").iterdir()]:
        Image.fromarray(keep).save(file)
    mix = build_mix([half], [-1, 1], fake_datasets.SIZE, AugmentConfig(flip=0.5, jitter=0, zoom=1.5), seed=1)
    samples = [mix[1 + draw * len(mix)] for draw in range(24)]
    for sample in samples:
        shown = (sample["target"][:1] > 0.98).float()
        assert (sample["mask"] - shown).abs().mean() < 0.03
    assert len({bool(sample["mask"][0, 0, 0]) for sample in samples}) == 2


def test_sets_with_and_without_masks_can_be_mixed(tmp_path):
    parts = [config_of(tmp_path / name, mask=name == "a") for name in "ab"]
    mix = build_mix(parts, [-1, 1], fake_datasets.SIZE)
    batch = default_collate([mix[0], mix[len(mix) - 1]])
    assert batch["mask"].shape == (2, 1, *fake_datasets.SIZE)
    assert (batch["mask"][1].all(), bool(batch["mask"][0].all())) == (True, False)
    assert "mask" not in build_mix(parts[1:], [-1, 1], fake_datasets.SIZE)[0]
