"""Tests of evaluation/regions.py.

Regions with a known answer, the errors within them, and what enlarging alone costs.
"""

import numpy as np
import pytest

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import compare_depth
from hrdepth.evaluation.edges import near_edges
from hrdepth.evaluation.regions import depth_regions, reduce_truth, region_errors, sparse_regions
from hrdepth.truth import GroundTruth

pytest.importorskip("skimage", reason="edges need the extra 'metrics'")

METRES = DepthProtocol(crop="none", scaling=1.0)


def step(height=32, width=64):
    """10 m on the left, 20 m on the right."""
    depth = np.full((height, width), 10, np.float32)
    depth[:, width // 2 :] = 20
    return depth


def test_regions_of_a_depth_step_are_found():
    masks = depth_regions(step(), 0.05, 2)
    assert masks["all"].all()
    assert np.flatnonzero(masks["high gradient"].all(axis=0)).tolist() == [31, 32]
    assert (masks["low gradient"] == ~masks["high gradient"]).all()
    columns = np.flatnonzero(masks["edges"].any(axis=0))
    assert 29 <= columns.min() <= 31 < 32 <= columns.max() <= 34
    # A slope of 3 % a pixel is low, and none where depth is unknown.
    slope = (10 * 1.03 ** np.arange(64, dtype=np.float32))[None].repeat(32, axis=0)
    slope[:8] = 0
    masks = depth_regions(slope, 0.05, 2)
    assert not masks["high gradient"].any()
    assert not masks["low gradient"][:8].any()
    assert depth_regions(slope, 0.02, 2)["high gradient"][8:].all()


def test_errors_are_attributed_to_their_region():
    truth = step()
    masks = depth_regions(truth, 0.05, 2)
    wrong = np.where(masks["high gradient"], 1.1, 1.0) * truth
    errors = region_errors(truth, compare_depth(truth, 1 / wrong.astype(np.float64), METRES), masks)["bilinear"]
    assert errors["low gradient"] == pytest.approx(0, abs=1e-6)
    assert errors["high gradient"] == pytest.approx(0.1, abs=1e-6)
    assert errors["all"] == pytest.approx(0.1 * 2 / 64, abs=1e-6)


def test_interpolation_errors_agree_with_a_calculation_by_hand():
    truth = step()
    masks = depth_regions(truth, 0.05, 2)
    reduced = reduce_truth(GroundTruth("step", None, truth), (16, 32))
    errors = region_errors(truth, compare_depth(truth, reduced, METRES), masks)
    assert errors["nearest"]["all"] == pytest.approx(0, abs=1e-6)
    bilinear = errors["bilinear"]
    # Beside the step, disparity is 3/4 its own and 1/4 the neighbour's: 11.43 m for 10 m, 16 m for 20 m.
    assert bilinear["high gradient"] == pytest.approx((1 / 7 + 1 / 5) / 2, abs=1e-5)
    assert bilinear["low gradient"] == pytest.approx(0, abs=1e-6)


def scan(depth, rows=5, columns=3):
    """Depth at every fifth row and third column alone, as of a laser."""
    sparse = np.zeros_like(depth)
    sparse[::rows, ::columns] = depth[::rows, ::columns]
    return sparse


def test_regions_of_a_sparse_scan_are_found_at_its_points():
    depth, brightness = step(), np.zeros((32, 64))
    brightness[:, 30:] = 0.4
    masks = sparse_regions(scan(depth), brightness, 0.05, 0.1)
    points = scan(depth) > 0
    assert (masks["all"] == points).all()
    # The points beside the step are three columns apart: a jump of log 2 in three pixels.
    assert np.flatnonzero(masks["high gradient"].any(axis=0)).tolist() == [30, 33]
    assert (masks["low gradient"] == (points & ~masks["high gradient"])).all()
    assert not sparse_regions(scan(depth), brightness, np.expm1(np.log(2) / 3 + 1e-6), 0.1)["high gradient"].any()
    assert np.flatnonzero(masks["high image gradient"].any(axis=0)).tolist() == [30]
    assert (masks["low image gradient"] == (points & ~masks["high image gradient"])).all()
    assert (masks["near edges"] == (points & near_edges(scan(depth)))).all()


def test_a_point_without_neighbours_has_no_depth_gradient():
    depth = np.zeros((32, 64), np.float32)
    depth[4, 4], depth[4, 20], depth[20, 20], depth[20, 28] = 10, 20, 10, 20
    masks = sparse_regions(depth, np.zeros(depth.shape), 0.05, 0.1)
    assert np.argwhere(masks["high gradient"]).tolist() == [[20, 20], [20, 28]]
    assert not masks["low gradient"].any()
    assert masks["low image gradient"].sum() == 4


def test_regions_of_edges_refuse_sparse_depth():
    sparse = step()
    sparse[:, ::2] = 0
    sparse[0] = 0
    with pytest.raises(InputError, match="dense true depth"):
        depth_regions(sparse, 0.05, 2)


def test_the_nearest_pixel_is_that_in_which_the_centre_lies():
    depth = np.arange(1, 7, dtype=np.float32)[None].repeat(2, axis=0)
    assert (1 / reduce_truth(GroundTruth("row", None, depth), (1, 3))).round(6).tolist() == [[2, 4, 6]]
    assert (1 / reduce_truth(GroundTruth("row", None, depth), (1, 2))).round(6).tolist() == [[2, 5]]
    assert (1 / reduce_truth(GroundTruth("row", None, depth), (2, 4))[0]).round(6).tolist() == [1, 3, 4, 6]
