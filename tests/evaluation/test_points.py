"""Tests of evaluation/points.py.

Point clouds, against cases worked out by hand.
"""

import numpy as np
import pytest

from hrdepth.errors import InputError
from hrdepth.evaluation.points import cloud_distances, points_of


def test_point_distances_agree_with_a_calculation_by_hand():
    matrix = np.array([[2.0, 0, 1], [0, 4.0, 3], [0, 0, 1]])
    np.testing.assert_allclose(points_of(np.array([3]), np.array([1]), np.array([5.0]), matrix), [[5.0, -2.5, 5.0]])
    true = np.array([[0.0, 0, 0], [1, 0, 0]])
    assert cloud_distances(true, true, 0.1) == (0, 1)
    # Predicted to true: 0.05 and 0.3; back: 0.05 and 0.3.
    assert cloud_distances(true, true + np.array([[0, 0.05, 0], [0, 0, 0.3]]), 0.1) == (pytest.approx(0.35), 0.5)
    # A third point far away: P = 2/3, R = 1.
    chamfer, score = cloud_distances(true, np.array([[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]), 0.1)
    assert (chamfer, score) == (pytest.approx(1), pytest.approx(0.8))
    assert cloud_distances(true, true + 9, 0.1)[1] == 0
    for bad in (np.zeros((0, 3)), np.zeros((2, 2)), np.full((1, 3), np.nan)):
        with pytest.raises(InputError, match="points must be finite"):
            cloud_distances(true, bad, 0.1)
