"""Tests of objectives/view_synthesis.py with camera.DepthScale.

Depth in one canonical focal length: a zoom is a nearer thing to the network, and the loss knows better.
"""

import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.camera import DepthScale, focal_factor
from hrdepth.config import AugmentConfig, DatasetConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.errors import InputError
from hrdepth.geometry import depth_to_disparity
from hrdepth.objectives import Output, build_objective
from hrdepth.objectives.view_synthesis import ViewSynthesis

SIZE, CANONICAL, DISTANCE = (64, 96), 0.6, 8.0


class Fixed(nn.Module):
    """A network that sees the given depths, one a sample, whatever the image."""

    min_depth, max_depth = 0.1, 100.0

    def __init__(self, depths, canonical_focal=None):
        super().__init__()
        self.depths = depths
        self.scale = DepthScale(canonical_focal=canonical_focal)

    def forward(self, image):
        disparity = depth_to_disparity(self.depths, self.min_depth, self.max_depth)[:, None, None, None]
        return {scale: disparity.expand(-1, 1, SIZE[0] >> scale, SIZE[1] >> scale) for scale in range(4)}


@pytest.fixture
def batch(tmp_path):
    """A wall that faces the camera, seen by two cameras, as it is and through random zooms."""
    wall = fake_datasets.Wall(slope=(0, 0), distance=DISTANCE, motion=(0, 0, 0))
    parts = []
    for name, size, focal in (("short", (192, 288), 150.0), ("long", (128, 192), 220.0)):
        root = wall.drive(tmp_path / name, size=size, focal=focal)
        parts.append(DatasetConfig("folder", str(root), str(root / "train.txt")))
    whole = build_mix(parts, ["s"], SIZE)
    zoomed = build_mix(parts, ["s"], SIZE, AugmentConfig(jitter=0, zoom=2.0))
    return default_collate([whole[0], whole[3], *(zoomed[item] for item in range(6, 12))])


def interior_error(depths, batch, canonical_focal=None):
    objective = ViewSynthesis(Fixed(depths, canonical_focal), None, ["s"]).eval()
    output = objective(batch)
    assert torch.isfinite(output.loss)
    # Where the other eye does not see, nothing can be explained.
    return objective.panels(output, batch)["error"][..., 32:-32].mean(dim=(1, 2, 3))


def test_canonical_depth_explains_an_object_at_every_zoom(batch):
    focal_lengths = batch["intrinsics"][:, 0, 0]
    assert focal_lengths.max() > 2 * focal_lengths.min()
    seen = DISTANCE * CANONICAL * SIZE[1] / focal_lengths
    explained = interior_error(seen, batch, canonical_focal=CANONICAL)
    assert (explained < 0.02).all()
    # Neither the true depth nor any other one is, and without the canonical camera only the true one.
    assert (interior_error(0.8 * seen, batch, canonical_focal=CANONICAL) > 3 * explained).all()
    assert (interior_error(1.25 * seen, batch, canonical_focal=CANONICAL) > 3 * explained).all()
    true = torch.full_like(seen, DISTANCE)
    torch.testing.assert_close(interior_error(true, batch), explained, atol=1e-4, rtol=0)
    assert (interior_error(seen, batch) - explained).max() > 0.1


def test_the_canonical_camera_has_factor_one(batch):
    focal = float(batch["intrinsics"][0, 0, 0]) / SIZE[1]
    assert focal_factor(batch["intrinsics"][:, 0, 0], SIZE[1], focal)[0] == pytest.approx(1)
    disparities = Fixed(torch.full((8,), 5.0))(batch["target"])
    short = {key: value[:1] for key, value in batch.items()}
    first = {scale: disparity[:1] for scale, disparity in disparities.items()}
    output = Output(first, short["stereo_pose"][:, None], short["intrinsics"])
    losses = [
        ViewSynthesis(Fixed(None, canonical_focal), None, ["s"], tie_break=0.0).losses(output, short)
        for canonical_focal in (None, focal)
    ]
    torch.testing.assert_close(losses[0]["loss"], losses[1]["loss"])


def test_canonical_focal_is_not_an_option_of_the_objective():
    with pytest.raises(InputError, match="has no option 'canonical_focal'"):
        build_objective(ObjectiveConfig(frames=["s"], options={"canonical_focal": 0.6}), Fixed(None), None)
