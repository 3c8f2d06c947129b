"""Tests of evaluation/extras.py.

Alignment, and what else is measured of an image.
"""

import json
import sys

import numpy as np
import pytest

from hrdepth.cli import main
from hrdepth.config import DepthProtocol
from hrdepth.errors import InputError, require
from hrdepth.evaluation.depth import compare_depth
from hrdepth.evaluation.extras import Extras, aligned_depth, scale_and_shift
from hrdepth.truth import GroundTruth

WHOLE = DepthProtocol(crop="none")


def step(place, near=5.0, far=10.0, size=(20, 40)):
    depth = np.full(size, far)
    depth[:, :place] = near
    return depth


def measured(extras, truth, disparity, protocol=WHOLE):
    return extras(truth, compare_depth(truth.depth, disparity, protocol))


def test_alignment_recovers_scale_and_shift():
    depth = np.array([2.0, 5.0, 10.0, 40.0])
    disparity = (1 / depth - 0.3) / 4
    assert scale_and_shift(1 / depth, disparity) == pytest.approx((4, 0.3))
    np.testing.assert_allclose(aligned_depth(depth, disparity, WHOLE), depth)
    assert scale_and_shift(1 / depth, np.full(4, 0.1)) == (0.0, pytest.approx((1 / depth).mean()))
    noisy = disparity + np.array([0.01, -0.02, 0.01, 0.03])
    design = np.stack([noisy, np.ones(4)], axis=1)
    assert scale_and_shift(1 / depth, noisy) == pytest.approx(tuple(np.linalg.lstsq(design, 1 / depth)[0]))


def test_a_negative_aligned_disparity_becomes_the_maximum_depth():
    assert aligned_depth(np.array([1.0, 79.0, 79.0]), np.array([1.0, 0.2, 0.0]), WHOLE)[2] == 80


def test_shift_alignment_is_reported_beside_median_scaling():
    depth = np.random.default_rng(0).uniform(2, 60, (12, 20))
    found = measured(Extras(align=True, log10=True), GroundTruth("a", None, depth), 0.2 * (1 / depth) + 0.05)
    assert found["lsq_abs_rel"] == pytest.approx(0, abs=1e-9)
    assert found["lsq_delta1"] == 1
    assert found["log10"] > 0.01
    metres = DepthProtocol(crop="none", scaling=1.0)
    exact = measured(Extras(log10=True), GroundTruth("a", None, depth), 1 / (10 * depth), metres)
    clipped = np.minimum(10 * depth, 80)
    assert exact["log10"] == pytest.approx(np.abs(np.log10(clipped / depth)).mean())


def test_point_metrics_of_an_image_agree_with_a_calculation_by_hand():
    depth = np.full((4, 6), 10.0)
    truth = GroundTruth("a", None, depth, np.array([[5.0, 0, 3], [0, 5, 2], [0, 0, 1]]))
    found = measured(Extras(points=True), truth, 1 / depth)
    assert found == {"chamfer": pytest.approx(0, abs=1e-9), "f_score": 1}
    with pytest.raises(InputError, match="intrinsics"):
        measured(Extras(points=True), GroundTruth("a", None, depth), 1 / depth)
    with pytest.raises(InputError, match="points_threshold"):
        Extras(points_threshold=0.0)


def test_a_missing_extra_is_named():
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
    described = written["extras_protocol"]
    assert list(described) == ["lsq", "near_edges", "edges"]
    assert (
        described["edges"].items()
        >= {"weak_ratio": 1.1, "strong_ratio": 1.25, "farthest_px": 10, "smoothing_px": 1}.items()
    )
    assert "without the protocol's crop" in described["edges"]["in_words"]
    tables = printed.split("\n\n")  # a table that follows text without a blank line is text
    assert next(part for part in tables if "| measure |" in part).startswith("| measure |")
    assert "edges: of the whole image, whatever the crop" in printed
    assert (out / "per_image.csv").read_text().splitlines()[0].endswith("edge_completeness,boundary_f1")
    assert main([*given, "--format", "latex"]) == 0
    assert r"\begin{tabular}{lrrrrrrr}" in capsys.readouterr().out
    assert main([*given, "--points"]) == 2
    assert "intrinsics" in capsys.readouterr().err
    assert main([*given, "--bootstrap", "-1"]) == 2


def test_an_image_without_edges_has_no_edge_error(tmp_path, capsys, recwarn):
    (tmp_path / "data" / "depth").mkdir(parents=True)
    np.save(tmp_path / "data" / "depth" / "a.npy", np.full((20, 40), 5.0, dtype=np.float32))
    np.save(tmp_path / "disparities.npy", np.full((1, 20, 40), 0.1))
    given = ["--disparities", str(tmp_path / "disparities.npy"), "--data.kind", "folder"]
    given += ["--data.root", str(tmp_path / "data"), "--edges", "--bootstrap", "40", "--format", "markdown"]
    assert main(["evaluate", *given, "--out", str(tmp_path / "out")]) == 0
    assert "| boundary F1 | – | 0 |" in capsys.readouterr().out
    assert not [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)]
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["extras"]["boundary_f1"] is None
    assert written["intervals"]["boundary_f1"] == [None, None]


def laser(depth):
    """Leave depth in four columns, of which two lie side by side."""
    return np.where(np.isin(np.arange(depth.shape[1]), (5, 19, 20, 30)), depth, 0.0)


def evaluated(tmp_path, depths, *options):
    """Write depths, evaluate predictions that are twice as far, and return metrics.json and per_image.csv's lines."""
    (tmp_path / "data" / "depth").mkdir(parents=True)
    for index, depth in enumerate(depths):
        np.save(tmp_path / "data" / "depth" / f"{index}.npy", depth.astype(np.float32))
    np.save(tmp_path / "disparities.npy", np.stack([0.5 / np.where(depth > 0, depth, 1.0) for depth in depths]))
    given = ["--disparities", str(tmp_path / "disparities.npy"), "--data.kind", "folder", "--data.root"]
    given += [str(tmp_path / "data"), "--protocol.crop", "none", "--format", "markdown"]
    assert main(["evaluate", *given, "--out", str(tmp_path / "out"), *options]) == 0
    lines = (tmp_path / "out" / "per_image.csv").read_text().splitlines()
    return json.loads((tmp_path / "out" / "metrics.json").read_text()), [line.split(",") for line in lines]


def test_near_edges_are_measured_without_an_option(tmp_path, capsys):
    sparse = laser(step(20))
    found, lines = evaluated(tmp_path, [sparse, np.where(sparse > 0, 6.0, 0.0)], "--protocol.scaling", "1.0")
    printed = capsys.readouterr().out
    assert found["extras"] == {"near_edge_abs_rel": pytest.approx(1), "near_edge_points": 20}
    assert [line[-2:] for line in lines] == [["near_edge_abs_rel", "near_edge_points"], ["1", "40"], ["nan", "0"]]
    assert "| Abs Rel near edges | 1.000 | 1 |" in printed
    assert "| points near edges | 20.0 | 2 |" in printed
    assert list(found["extras_protocol"]) == ["near_edges"]
    described = found["extras_protocol"]["near_edges"]
    values = {"columns": 13, "rows": 9, "width_px": 1242, "at_least": 3, "ratio": 1.5}
    assert described == {**values, "in_words": described["in_words"]}


def test_near_edges_are_those_of_the_crop_and_the_range():
    depth = step(20)
    depth[:, 30:] = 100.0  # beyond the range: near it the 10 m are at an edge, and it is not compared itself
    found = measured(Extras(near_edges=True), GroundTruth("a", None, depth), 1 / depth)
    assert found["near_edge_points"] == 20 * 3
    cropped = measured(Extras(near_edges=True), GroundTruth("a", None, depth), 1 / depth, DepthProtocol())
    assert cropped["near_edge_points"] == 11 * 3


def test_edges_of_dense_depth_are_measured_without_an_option(tmp_path, capsys):
    pytest.importorskip("skimage")
    sparse = laser(step(20))
    found, lines = evaluated(tmp_path, [sparse, step(20)], "--bootstrap", "40")
    printed = capsys.readouterr().out
    assert found["extras"]["boundary_f1"] == 1
    assert found["extras"]["edge_accuracy"] < 1
    assert list(found["extras_protocol"]) == ["near_edges", "edges"]
    assert lines[0][-3:] == ["edge_accuracy", "edge_completeness", "boundary_f1"]
    assert lines[1][-3:] == ["nan"] * 3
    assert lines[2][-1] == "1"
    assert "| boundary F1 | 1.000 [1.000, 1.000] | 1 |" in printed


def test_boundary_f1_of_dense_depth_is_measured_without_the_extra_metrics(tmp_path, capsys, monkeypatch):
    for module in ("skimage", "skimage.feature"):
        monkeypatch.setitem(sys.modules, module, None)
    found, _ = evaluated(tmp_path, [step(20), step(10)])
    assert list(found["extras"]) == ["near_edge_abs_rel", "near_edge_points", "boundary_f1"]
    assert found["extras"]["boundary_f1"] == 1
    printed = capsys.readouterr()
    assert "skimage" not in printed.out + printed.err
    assert "edges: of the whole image, whatever the crop" in printed.out
    given = ["evaluate", "--disparities", str(tmp_path / "disparities.npy"), "--data.kind", "folder", "--edges"]
    assert main([*given, "--data.root", str(tmp_path / "data")]) == 2
    assert "hrdepth[metrics]" in capsys.readouterr().err


def test_edges_that_are_asked_for_need_dense_depth():
    sparse = laser(step(20))
    assert measured(Extras(edges="dense"), GroundTruth("a", None, sparse), np.full((1, 1), 0.1)) == {}
    with pytest.raises(InputError, match="dense"):
        measured(Extras(edges=True), GroundTruth("a", None, sparse), np.full((1, 1), 0.1))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
def test_edges_of_tiny_images_are_unknown(size):
    found = measured(Extras(near_edges=True, edges="dense"), GroundTruth("a", None, np.full(size, 5.0)), np.ones(size))
    assert found.pop("near_edge_points") == 0
    assert np.isnan(list(found.values())).all()


def test_the_settings_of_point_metrics_are_recorded():
    assert Extras().describe() == {}
    described = Extras(points=True, log10=True, points_threshold=0.25).describe()
    assert list(described) == ["log10", "points"]
    assert (described["points"]["threshold_m"], described["points"]["most_pixels"]) == (0.25, 20000)
