"""Alignment, edges, points and intervals, against cases worked out by hand."""

import json
import warnings

import numpy as np
import pytest

from hrdepth.cli import main
from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError, require
from hrdepth.evaluation.depth import compare_depth
from hrdepth.evaluation.edges import boundary_f1, depth_edges, edge_distances, edge_errors
from hrdepth.evaluation.extras import Extras, aligned_depth, scale_and_shift
from hrdepth.evaluation.points import cloud_distances, points_of
from hrdepth.evaluation.results import bootstrap_intervals
from hrdepth.truth import GroundTruth

WHOLE = DepthProtocol(crop="none")


def measured(extras, truth, disparity, protocol=WHOLE):
    return extras(truth, compare_depth(truth.depth, disparity, protocol))


def test_scale_and_shift_are_found():
    depth = np.array([2.0, 5.0, 10.0, 40.0])
    disparity = (1 / depth - 0.3) / 4
    assert scale_and_shift(1 / depth, disparity) == pytest.approx((4, 0.3))
    np.testing.assert_allclose(aligned_depth(depth, disparity, WHOLE), depth)
    assert scale_and_shift(1 / depth, np.full(4, 0.1)) == (0.0, pytest.approx((1 / depth).mean()))
    noisy = disparity + np.array([0.01, -0.02, 0.01, 0.03])
    design = np.stack([noisy, np.ones(4)], axis=1)
    assert scale_and_shift(1 / depth, noisy) == pytest.approx(tuple(np.linalg.lstsq(design, 1 / depth)[0]))


def test_a_disparity_that_comes_out_negative_is_as_far_as_the_range():
    assert aligned_depth(np.array([1.0, 79.0, 79.0]), np.array([1.0, 0.2, 0.0]), WHOLE)[2] == 80


def test_shift_beside_median_scaling():
    depth = np.random.default_rng(0).uniform(2, 60, (12, 20))
    found = measured(Extras(align=True, log10=True), GroundTruth("a", None, depth), 0.2 * (1 / depth) + 0.05)
    assert found["lsq_abs_rel"] == pytest.approx(0, abs=1e-9)
    assert found["lsq_delta1"] == 1
    assert found["log10"] > 0.01
    metres = DepthProtocol(crop="none", scaling=1.0)
    exact = measured(Extras(log10=True), GroundTruth("a", None, depth), 1 / (10 * depth), metres)
    clipped = np.minimum(10 * depth, 80)
    assert exact["log10"] == pytest.approx(np.abs(np.log10(clipped / depth)).mean())


def column(place, size=(20, 40)):
    edges = np.zeros(size, dtype=bool)
    edges[:, place] = True
    return edges


def test_distances_of_edges():
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


def test_edges_of_depth():
    edges = depth_edges(step(20))
    assert set(np.nonzero(edges)[1]) <= {19, 20}
    assert edges[5:15].any(axis=1).all()
    assert not depth_edges(step(20, 9.5)).any()  # a jump of 5 %
    np.testing.assert_array_equal(depth_edges(step(20) * 7), edges)


def test_edge_errors_of_a_image():
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


def test_boundaries_by_hand():
    true = np.array([[1.0, 2.0, 2.0, 2.0]])
    assert boundary_f1(true, 3 * true) == 1
    # One right, one too many: precision 1/2, recall 1.
    assert boundary_f1(true, np.array([[1.0, 2.0, 2.0, 4.0]])) == pytest.approx(2 / 3)
    # The other side is in front.
    assert boundary_f1(true, np.array([[2.0, 1.0, 1.0, 1.0]])) == 0
    assert np.isnan(boundary_f1(np.ones((1, 2)), true[:, :2]))
    hole = np.array([[1.0, np.nan, 2.0, 2.0]])
    assert np.isnan(boundary_f1(hole, true))


def test_points():
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


def test_points_of_a_image():
    depth = np.full((4, 6), 10.0)
    truth = GroundTruth("a", None, depth, np.array([[5.0, 0, 3], [0, 5, 2], [0, 0, 1]]))
    found = measured(Extras(points=True), truth, 1 / depth)
    assert found == {"chamfer": pytest.approx(0, abs=1e-9), "f_score": 1}
    with pytest.raises(InputError, match="intrinsics"):
        measured(Extras(points=True), GroundTruth("a", None, depth), 1 / depth)
    with pytest.raises(InputError, match="points_threshold"):
        Extras(points_threshold=0.0)


def test_intervals():
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


def test_no_image_has_it_and_nothing_is_said_of_it():
    values = np.array([[1.0, np.nan], [2.0, np.nan]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bootstrap_intervals(values, 50)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def test_an_extra_that_is_missing():
    with pytest.raises(InputError, match=r"edge metrics need no_such_thing; .*hrdepth\[metrics\]"):
        require("no_such_thing", "metrics", "edge metrics need")


def test_the_command_writes_the_extra_metrics(tmp_path, capsys):
    (tmp_path / "data" / "depth").mkdir(parents=True)
    depths = [step(20), step(10, 4.0)]
    for name, depth in zip("ab", depths, strict=True):
        np.save(tmp_path / "data" / "depth" / f"{name}.npy", depth.astype(np.float32))
    np.save(tmp_path / "disparities.npy", np.stack([1 / depth + 0.02 for depth in depths]))
    given = [
        "evaluate", "--disparities", str(tmp_path / "disparities.npy"), "--data.kind", "folder",
        "--data.root", str(tmp_path / "data"), "--protocol.crop", "none",
    ]  # fmt: skip
    out = tmp_path / "out"
    asked = ["--align", "lsq", "--edges", "--bootstrap", "200", "--format", "markdown", "--out", str(out)]
    assert main([*given, *asked]) == 0
    printed = capsys.readouterr().out
    assert "| least squares | 0.000 [0.000, 0.000] |" in printed
    assert "| boundary F1 | 1.000 [1.000, 1.000] | 2 |" in printed
    written = json.loads((out / "metrics.json").read_text())
    assert written["extras"]["edge_accuracy"] < 1  # a step lies between two pixels; either may be its edge
    low, high = written["intervals"]["abs_rel"]
    assert low <= written["metrics"]["abs_rel"] <= high
    assert written["intervals"]["resamples"] == 200
    said = written["extras_protocol"]
    assert list(said) == ["lsq", "edges"]
    assert (
        said["edges"].items() >= {"weak_ratio": 1.1, "strong_ratio": 1.25, "farthest_px": 10, "smoothing_px": 1}.items()
    )
    assert "without the protocol's crop" in said["edges"]["in_words"]
    tables = printed.split("\n\n")  # a table that follows text without a blank line is text
    assert next(part for part in tables if "| measure |" in part).startswith("| measure |")
    assert "edges: of the whole image, whatever the crop" in printed
    assert (out / "per_image.csv").read_text().splitlines()[0].endswith("edge_completeness,boundary_f1")
    assert main([*given, "--format", "latex"]) == 0
    assert r"\begin{tabular}{lrrrrrrr}" in capsys.readouterr().out
    assert main([*given, "--points"]) == 2
    assert "intrinsics" in capsys.readouterr().err
    assert main([*given, "--bootstrap", "-1"]) == 2


def test_edges_where_there_are_none(tmp_path, capsys, recwarn):
    (tmp_path / "data" / "depth").mkdir(parents=True)
    np.save(tmp_path / "data" / "depth" / "a.npy", np.full((20, 40), 5.0, dtype=np.float32))
    np.save(tmp_path / "disparities.npy", np.full((1, 20, 40), 0.1))
    given = ["--disparities", str(tmp_path / "disparities.npy"), "--data.kind", "folder"]
    given += ["--data.root", str(tmp_path / "data"), "--edges", "--bootstrap", "10", "--format", "markdown"]
    assert main(["evaluate", *given, "--out", str(tmp_path / "out")]) == 0
    assert "| boundary F1 | – | 0 |" in capsys.readouterr().out
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["extras"]["boundary_f1"] is None
    assert written["intervals"]["boundary_f1"] == [None, None]


def test_how_points_are_measured_is_said():
    assert Extras().describe() == {}
    said = Extras(points=True, log10=True, points_threshold=0.25).describe()
    assert list(said) == ["log10", "points"]
    assert (said["points"]["threshold_m"], said["points"]["most_pixels"]) == (0.25, 20000)
