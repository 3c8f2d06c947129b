"""Tests of training/holes.py.

Holes: far beyond what surrounds them on all four sides.
"""

import pytest
import torch

from hrdepth.training.holes import find_holes, hole_share


@pytest.fixture
def street():
    """A road that runs to the horizon between two walls, sky above."""
    rows = torch.arange(64.0).view(1, 1, 64, 1).expand(1, 1, 64, 96)
    depth = torch.where(rows > 30, 60 / (rows - 30).clamp(min=1), torch.full_like(rows, 80.0)).clone()
    depth[..., :20] = depth[..., -20:] = 6.0
    return depth


def test_a_street_has_no_holes(street):
    assert hole_share(street) == 0
    assert hole_share(3.7 * street) == 0  # in any unit


def test_a_car_that_is_infinitely_far_is_counted_exactly(street):
    clean = street.clone()
    street[..., 40:50, 44:54] = 80.0
    assert find_holes(street).nonzero().amin(dim=0).tolist() == [0, 0, 40, 44]
    assert float(hole_share(street)) == pytest.approx(100 / (64 * 96))
    keep = torch.ones_like(street)
    keep[..., 40:50, 44:49] = 0
    assert float(hole_share(street, keep)) == pytest.approx(50 / (64 * 96 - 50))
    clean[..., 40:50, 44:54] *= 1.5  # a little too far is no hole
    assert hole_share(clean) == 0


def test_a_region_open_on_one_side_is_not_a_hole():
    depth = torch.full((1, 1, 32, 64), 5.0)
    depth[..., :10, 28:34] = 90.0  # reaches the upper border
    assert not find_holes(depth).any()
