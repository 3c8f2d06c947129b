"""Tests of evaluation/depth.py.

The seven metrics and the protocol around them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError
from hrdepth.evaluation import METRICS, depth_errors, evaluate_image, garg_crop
from hrdepth.evaluation.depth import compared_pixels, resize_disparity, sample_disparity, valid_pixels
from hrdepth.inference.predictor import blend_flipped

GOLDEN = Path(__file__).parents[1] / "golden"
WHOLE = DepthProtocol(crop="none")


def test_metrics_agree_with_a_calculation_by_hand():
    errors = depth_errors([2.0, 4.0, 10.0], [2.0, 5.0, 5.0])
    assert tuple(errors) == METRICS
    expected = {
        "abs_rel": (0 + 1 / 4 + 5 / 10) / 3,
        "sq_rel": (0 + 1 / 4 + 25 / 10) / 3,
        "rmse": np.sqrt(26 / 3),
        "rmse_log": np.sqrt((np.log(4 / 5) ** 2 + np.log(2) ** 2) / 3),
        "delta1": 1 / 3,  # 5 / 4 is not below 1.25
        "delta2": 2 / 3,
        "delta3": 2 / 3,
    }
    assert errors == pytest.approx(expected, rel=1e-12)
    assert all(type(value) is float for value in errors.values())


def test_a_perfect_prediction_has_no_error():
    depth = np.random.default_rng(0).uniform(1, 80, 100).astype(np.float32)
    assert list(depth_errors(depth, depth).values()) == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("true", "predicted", "hint"),
    [
        ([], [], "no pixels"),
        ([1.0, 2.0], [1.0], "shape"),
        ([0.0], [1.0], "true depth"),
        ([1.0], [0.0], "predicted depth"),
        ([1.0], [-1.0], "predicted depth"),
        ([np.nan], [1.0], "true depth"),
        ([1.0], [np.inf], "predicted depth"),
    ],
)
def test_invalid_pixels_are_refused(true, predicted, hint):
    with pytest.raises(InputError, match=hint):
        depth_errors(true, predicted)


def test_masked_arrays_are_refused():
    """Their mask would be ignored."""
    with pytest.raises(InputError, match="masked arrays are not compared"):
        depth_errors(np.ma.array([1.0, 2.0], mask=[0, 1]), [1.0, 9.0])


@pytest.mark.parametrize("kind", [np.complex128, "datetime64[s]", np.bool_, object, "U3"])
def test_arrays_that_hold_no_depth_are_refused(kind):
    other = np.ones(2, dtype=np.int64).astype(kind)
    with pytest.raises(InputError, match="true depth must be numbers in metres, not"):
        depth_errors(other, [1.0, 2.0])
    with pytest.raises(InputError, match="predicted depth must be numbers in metres, not"):
        depth_errors([1, 2], other)


def test_the_garg_crop_covers_the_published_pixels():
    crop = garg_crop((375, 1242))
    rows, columns = np.nonzero(crop)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (153, 371, 44, 1197)
    assert crop.sum() == (371 - 153) * (1197 - 44)


def reference(shared):
    with np.load(shared / "parity" / "eigen_metrics.npz") as archive:
        return dict(archive)


def sparse_depth(arrays, index):
    depth = np.zeros(arrays[f"gt{index}_shape"], np.float32)
    depth[tuple(arrays[f"gt{index}_yx"])] = arrays[f"gt{index}_depth"]
    return depth


def test_metrics_agree_with_the_reference(shared):
    arrays = reference(shared)
    results = [evaluate_image(sparse_depth(arrays, i), arrays[f"disp{i}"]) for i in range(4)]
    measured = np.array([[result.errors[name] for name in METRICS] for result in results])
    np.testing.assert_allclose(measured, arrays["per_image_metrics"], rtol=1e-6)
    np.testing.assert_allclose(measured.mean(axis=0), arrays["mean_metrics"], rtol=1e-6)
    np.testing.assert_allclose([result.ratio for result in results], arrays["ratios"], rtol=1e-6)
    assert min(result.valid_pixels for result in results) > 10000


def made_image(index):
    """Sparse true depth of 1 to 90 m at KITTI's size, and a smooth scaled disparity; the same on every machine."""
    random = np.random.RandomState(index)
    truth = np.where(random.uniform(size=(375, 1242)) < 0.05, random.uniform(1, 90, (375, 1242)), 0)
    y, x = np.mgrid[:40, :128] / 20
    return truth.astype(np.float32), (0.5 + 0.4 * np.sin(y + random.uniform() * x)).astype(np.float32)


def test_metrics_are_those_recorded_when_they_agreed_with_the_reference():
    """The reference's own images are too large for the repository.

    `test_metrics_agree_with_the_reference` compares with them where they are available.
    """
    recorded = json.loads((GOLDEN / "recorded.json").read_text())["eigen_metrics"]
    results = [evaluate_image(*made_image(index)) for index in range(2)]
    for result, expected in zip(results, recorded, strict=True):
        assert {**result.errors, "ratio": result.ratio} == pytest.approx(expected, rel=1e-6)


def test_the_flip_blend_agrees_with_rows_of_the_references():
    with np.load(GOLDEN / "reference.npz") as arrays:
        blend = blend_flipped(arrays["flip_left"], arrays["flip_right"])
        np.testing.assert_allclose(blend, arrays["flip_blend"], rtol=1e-6)


def test_the_flip_blend_agrees_with_the_reference(shared):
    arrays = reference(shared)
    blend = blend_flipped(arrays["flip_left"], arrays["flip_right"])
    np.testing.assert_allclose(blend, arrays["flip_blend"], rtol=1e-6)
    assert np.abs(blend - blend_flipped(arrays["flip_right"], arrays["flip_left"])).max() > 1e-3


def test_median_scaling_ignores_the_predictions_unit():
    random = np.random.default_rng(0)
    truth = random.uniform(2, 60, (40, 100))
    disparity = 1 / (truth * random.uniform(0.8, 1.2, truth.shape))
    one, other = (evaluate_image(truth, disparity * factor, WHOLE) for factor in (1, 7))
    assert one.errors == pytest.approx(other.errors)
    assert other.ratio == pytest.approx(7 * one.ratio)
    assert one.valid_pixels == truth.size


def test_a_fixed_factor_scales_the_prediction():
    truth = np.full((4, 4), 10.8)
    protocol = DepthProtocol(crop="none", scaling=5.4)
    result = evaluate_image(truth, np.full((2, 2), 0.5), protocol)
    assert (result.ratio, result.errors["abs_rel"]) == (5.4, pytest.approx(0))
    assert evaluate_image(truth, np.full((2, 2), 1.0), protocol).errors["abs_rel"] == pytest.approx(0.5)


def test_the_median_is_taken_before_clamping():
    truth = np.array([[10.0, 20.0, 70.0]])
    prediction = np.array([[10.0, 20.0, 500.0]])
    result = evaluate_image(truth, 1 / prediction, WHOLE)
    assert result.ratio == 1
    assert result.errors["abs_rel"] == pytest.approx(10 / 70 / 3)  # 500 counts as 80


def test_disparity_and_not_depth_is_resized():
    # Between disparities 1 and 1/3 lies 2/3, a depth of 1.5; between the depths 1 and 3 would lie 2.
    truth = np.array([[1.0, 1.2, 2.0, 3.0]])
    result = evaluate_image(truth, np.array([[1.0, 1 / 3]]), DepthProtocol(crop="none", scaling=1.0))
    # Bilinear without aligned corners: 1, 5/6, 1/2, 1/3.
    assert result.errors["abs_rel"] == pytest.approx(0, abs=1e-12)


def test_only_valid_pixels_count():
    truth = np.zeros((100, 200), np.float32)
    truth[60, 100], truth[61, 100] = 10, 20
    truth[0, 100] = 5  # outside the crop
    truth[62, 100], truth[63, 100], truth[64, 100] = 80, np.nan, -1  # no truth
    assert evaluate_image(truth, np.ones((5, 5))).valid_pixels == 2
    assert evaluate_image(truth, np.ones((5, 5)), WHOLE).valid_pixels == 3
    truth[60:62, 100] = 0
    assert evaluate_image(truth, np.ones((5, 5))) is None


def test_zero_disparity_is_infinitely_far():
    truth = np.array([[10.0, 20.0, 40.0]])
    result = evaluate_image(truth, np.array([[0.1, 0.05, 0.0]]), WHOLE)
    assert result.errors["abs_rel"] == pytest.approx(1 / 3)  # 80 instead of 40
    with pytest.raises(InputError, match="0 in most"):
        evaluate_image(truth, np.zeros((1, 3)), WHOLE)


@pytest.mark.parametrize(
    ("disparity", "hint"),
    [
        (np.ones(3), r"\(h,w\)"),
        (np.ones((1, 2, 2)), r"\(h,w\)"),
        (np.empty((0, 3)), r"\(h,w\)"),
        (np.array([[np.nan, 1.0]]), "not finite"),
        (np.array([[np.inf, 1.0]]), "not finite"),
        (np.array([[-0.1, 1.0]]), "negative"),
    ],
)
def test_invalid_disparities_are_refused(disparity, hint):
    with pytest.raises(InputError, match=hint):
        evaluate_image(np.ones((4, 4)), disparity, WHOLE)


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"min_depth": 0.0}, "range"),
        ({"max_depth": 1e-4}, "range"),
        ({"max_depth": float("inf")}, "range"),
        ({"crop": "eigen"}, "crop"),
        ({"scaling": "mean"}, "scaling"),
        ({"scaling": 0.0}, "positive"),
        ({"scaling": float("nan")}, "positive"),
    ],
)
def test_invalid_protocols_are_refused(settings, hint):
    with pytest.raises(InputError, match=hint):
        DepthProtocol(**settings)


@pytest.mark.parametrize("size", [(192, 640), (20, 31), (375, 1242), (400, 1300), (1, 1), (1, 7)])
def test_sampling_at_pixels_equals_resizing(size):
    random = np.random.default_rng(0)
    truth = np.where(random.random((375, 1242)) < 0.05, random.uniform(0.5, 90, (375, 1242)), 0).astype(np.float32)
    disparity = random.uniform(0.01, 1, size)
    protocol = DepthProtocol()
    pixels = compared_pixels(truth, protocol)
    mask = (truth > protocol.min_depth) & (truth < 80) & garg_crop(truth.shape)
    np.testing.assert_array_equal(valid_pixels(truth, protocol), mask)
    np.testing.assert_array_equal(np.argwhere(mask), np.stack([pixels.rows, pixels.columns], axis=1))
    np.testing.assert_array_equal(pixels.depth, truth[mask])
    tensor = torch.tensor(disparity)[None, None]
    expected = F.interpolate(tensor, truth.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    np.testing.assert_allclose(sample_disparity(disparity, pixels), expected[mask], rtol=1e-10)
    np.testing.assert_allclose(resize_disparity(disparity, truth.shape), expected, rtol=1e-10)


def test_pixels_without_true_depth_are_not_compared():
    truth = np.array([[np.nan, np.inf, -1.0, 0.0, 80.0, 1e-3, 5.0]])
    assert compared_pixels(truth, WHOLE).columns.tolist() == [6]
    assert compared_pixels(np.zeros((1, 1)), DepthProtocol()).depth.size == 0
