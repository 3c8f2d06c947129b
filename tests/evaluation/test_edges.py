"""Tests of evaluation/edges.py.

Edges of depth, against cases worked out by hand.
"""

import numpy as np
import pytest

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation.edges import boundary_f1, depth_edges, edge_distances, edge_errors

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
