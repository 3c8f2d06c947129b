"""Tests of evaluation/results.py.

Intervals of means over images.
"""

import warnings

import numpy as np
import pytest

from hrdepth.errors import InputError
from hrdepth.evaluation.results import bootstrap_intervals


def test_bootstrap_intervals_agree_with_the_normal_ones():
    random = np.random.default_rng(0)
    values = np.stack([random.normal(3, 1, 400), np.full(400, 2.0), np.full(400, np.nan)], axis=1)
    values[:100, 1] = np.nan
    found = bootstrap_intervals(values[:, :2], 2000)
    mean, error = values[:, 0].mean(), values[:, 0].std() / 20
    np.testing.assert_allclose(found[0], [mean - 1.96 * error, mean + 1.96 * error], atol=0.2 * error)
    np.testing.assert_allclose(found[1], [2, 2])
    np.testing.assert_array_equal(found, bootstrap_intervals(values[:, :2], 2000))
    narrower = bootstrap_intervals(values[:, :1], 2000, level=0.5)
    assert found[0, 0] < narrower[0, 0] < narrower[0, 1] < found[0, 1]
    for settings in ((0, 0.95), (10, 1.0)):
        with pytest.raises(InputError, match=r"resample|level"):
            bootstrap_intervals(values[:, :1], settings[0], level=settings[1])


def test_a_metric_that_no_image_has_is_not_reported():
    values = np.array([[1.0, np.nan], [2.0, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bootstrap_intervals(values, 50)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def test_bootstrap_intervals_agree_with_scipys():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    values = np.random.default_rng(3).gamma(2.0, size=(60, 1))
    found = bootstrap_intervals(values, 4000)[0]
    expected = stats.bootstrap(
        (values[:, 0],), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    np.testing.assert_allclose(found, expected, rtol=0.01)
