"""Tests of evaluation/edges.py.

Edges of depth, against cases worked out by hand.
"""

import sys

import numpy as np
import pytest

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.edges import (
    boundary_f1,
    depth_edges,
    edge_distances,
    edge_errors,
    is_dense,
    near_edge_errors,
    near_edges,
)

WHOLE = DepthProtocol(crop="none")


def column(place, size=(20, 40)):
    edges = np.zeros(size, dtype=bool)
    edges[:, place] = True
    return edges


def test_distances_between_edges_agree_with_a_calculation_by_hand():
    assert edge_distances(column(20), column(20)) == (0, 0)
    assert edge_distances(column(20), column(23)) == (3, 3)
    # The second predicted edge is farther than ten pixels from any true one: no error of accuracy.
    assert edge_distances(column(5), column(8) | column(30)) == (3, 3)
    # Of two true edges one is met, the other, 20 pixels away, counts as 10.
    assert edge_distances(column(5) | column(25), column(5)) == (0, 5)
    assert edge_distances(column(5), column(30)) == (10, 10)
    assert edge_distances(column(5), np.zeros((20, 40), dtype=bool)) == (10, 10)
    assert np.isnan(edge_distances(np.zeros((20, 40), dtype=bool), column(3))).all()


def step(place, near=5.0, far=10.0, size=(20, 40)):
    depth = np.full(size, far)
    depth[:, :place] = near
    return depth


def test_edges_lie_at_depth_steps():
    edges = depth_edges(step(20))
    assert set(np.nonzero(edges)[1]) <= {19, 20}
    assert edges[5:15].any(axis=1).all()
    assert not depth_edges(step(20, 9.5)).any()  # a jump of 5 %
    np.testing.assert_array_equal(depth_edges(step(20) * 7), edges)


def test_edge_errors_of_an_image_agree_with_a_calculation_by_hand():
    perfect = edge_errors(step(20), step(20), WHOLE)
    assert perfect == {"edge_accuracy": 0, "edge_completeness": 0, "boundary_f1": 1}
    moved = edge_errors(step(20), step(24), WHOLE)
    assert moved["edge_accuracy"] == pytest.approx(4, abs=1)
    assert moved["edge_completeness"] == pytest.approx(4, abs=1)  # either pixel of the step
    assert moved["boundary_f1"] == 0
    assert np.isnan(list(edge_errors(np.full((20, 40), 3.0), step(20), WHOLE).values())).all()
    sparse = np.where(np.random.default_rng(0).random((20, 40)) < 0.05, 5.0, 0)
    with pytest.raises(InputError, match="dense"):
        edge_errors(sparse, step(20), WHOLE)


def test_boundary_metrics_agree_with_a_calculation_by_hand():
    true = np.array([[1.0, 2.0, 2.0, 2.0]])
    assert boundary_f1(true, 3 * true) == 1
    # One right, one too many: precision 1/2, recall 1.
    assert boundary_f1(true, np.array([[1.0, 2.0, 2.0, 4.0]])) == pytest.approx(2 / 3)
    # The other side is in front.
    assert boundary_f1(true, np.array([[2.0, 1.0, 1.0, 1.0]])) == 0
    assert np.isnan(boundary_f1(np.ones((1, 2)), true[:, :2]))
    hole = np.array([[1.0, np.nan, 2.0, 2.0]])
    assert np.isnan(boundary_f1(hole, true))


def test_boundary_f1_alone_needs_no_extra(monkeypatch):
    for module in ("skimage", "skimage.feature"):
        monkeypatch.setitem(sys.modules, module, None)
    assert edge_errors(step(20), step(20), WHOLE, distances=False) == {"boundary_f1": 1}
    with pytest.raises(InputError, match=r"hrdepth\[metrics\]"):
        edge_errors(step(20), step(20), WHOLE)


def points(size, depths):
    truth = np.zeros(size, dtype=np.float32)
    for place, depth in depths.items():
        truth[place] = depth
    return truth


@pytest.mark.parametrize(("away", "near"), [((4, 6), True), ((5, 0), False), ((0, 7), False), ((4, 7), False)])
def test_the_neighbourhood_of_a_kitti_image_has_13_columns_and_9_rows(away, near):
    one, other = (100, 600), (100 + away[0], 600 + away[1])
    found = near_edges(points((375, 1242), {one: 10.0, other: 20.0}))
    assert found[one] == found[other] == near
    middle = (100 + away[0] // 2, 600 + away[1] // 2)  # unknown itself, with both near
    assert found[middle]


def test_the_neighbourhood_scales_with_the_image_width():
    # By the width: half of the columns and of the rows on one side, from 13 W / 1242 and 9 W / 1242.
    for width, across, down in ((1242, 6, 4), (1226, 6, 4), (640, 3, 2), (512, 2, 1), (191, 1, 1), (1936, 10, 7)):
        found = near_edges(points((40, width), {(20, 60): 10.0, (20, 61): 16.0}))
        rows, columns = np.nonzero(found)
        assert set(rows) == set(range(20 - down, 20 + down + 1))
        assert set(columns) == set(range(61 - across, 60 + across + 1))


def test_near_edges_need_a_ratio_above_a_half_more_and_known_depth():
    for depth, near in ((15.0, False), (15.001, True), (6.66, True), (6.67, False)):
        assert near_edges(points((9, 60), {(4, 30): 10.0, (4, 31): depth})).any() == near
    for unknown in (0.0, -30.0, np.nan, np.inf, -np.inf):
        assert not near_edges(points((9, 60), {(4, 30): 10.0, (4, 31): unknown})).any()
    corner = near_edges(points((9, 60), {(0, 0): 10.0, (0, 1): 20.0}))
    assert np.argwhere(corner).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert not near_edges(np.zeros((1, 1))).any()
    assert not near_edges(np.full((2, 3), 7)).any()
    with pytest.raises(InputError, match="must be"):
        near_edges(np.ones(5))


@pytest.mark.parametrize("size", [(30, 1242), (25, 700), (2, 2000), (7, 3)])
def test_near_edges_agree_with_filters_of_scipy(size):
    ndimage = pytest.importorskip("scipy.ndimage")
    random = np.random.default_rng(0)
    truth = np.where(random.random(size) < 0.06, np.exp(random.normal(2, 0.3, size)), 0.0)
    rows, columns = (min(range(3, 99, 2), key=lambda odd: abs(odd - n * size[1] / 1242)) for n in (9, 13))
    high = ndimage.maximum_filter(np.where(truth > 0, truth, -np.inf), (rows, columns), mode="constant", cval=-np.inf)
    low = ndimage.minimum_filter(np.where(truth > 0, truth, np.inf), (rows, columns), mode="constant", cval=np.inf)
    np.testing.assert_array_equal(near_edges(truth), high > 1.5 * low)


def test_errors_near_edges_agree_with_a_calculation_by_hand():
    truth = points((9, 60), {(4, 10): 10.0, (4, 11): 20.0, (4, 40): 5.0, (4, 50): 5.0})
    pixels = np.array([4, 4, 4]), np.array([10, 11, 40])
    found = near_edge_errors(truth, pixels, np.array([11.0, 16.0, 50.0]))
    assert found == {"near_edge_abs_rel": pytest.approx((0.1 + 0.2) / 2), "near_edge_points": 2}
    # The other depth of the edge counts, but is not compared, as where it lies outside the crop.
    found = near_edge_errors(truth, (np.array([4, 4]), np.array([11, 40])), np.array([16.0, 50.0]))
    assert found == {"near_edge_abs_rel": pytest.approx(0.2), "near_edge_points": 1}
    without = near_edge_errors(truth, (np.array([4]), np.array([40])), np.array([50.0]))
    assert np.isnan(without["near_edge_abs_rel"])
    assert without["near_edge_points"] == 0


def test_depth_is_dense_where_half_of_the_pixels_have_it():
    assert is_dense(np.array([[1.0, np.nan], [2.0, 0.0]]))
    assert not is_dense(np.array([[1.0, np.inf], [-2.0, 0.0]]))
