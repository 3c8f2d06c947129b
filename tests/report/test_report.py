"""Tests of report/__init__.py, run_summary.py, render.py and run_metrics.py.

The report of a run: what is on the page, where its numbers come from, and that it needs nothing but itself.
"""

import json
import os
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml

from hrdepth.cli import main
from hrdepth.config import DatasetConfig, DepthProtocol, GroundTruthConfig, ReportConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.evaluate import constant_depth_baseline, evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.report.frames import plain_frames
from hrdepth.report.render import encode_cloud
from hrdepth.report.run_metrics import are_results_of, read_results
from hrdepth.report.run_summary import RunFolder
from hrdepth.truth import build_ground_truth

pytest.importorskip("jinja2", reason="needs jinja2 (extra report)")
from hrdepth.report import report

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "src" / "hrdepth" / "recipes"
PROTOCOL = DepthProtocol(crop="none")


class Addresses(HTMLParser):
    """Whatever a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset", "data")]


def truth_of(run):
    data = yaml.safe_load((run / "config.yaml").read_text())["validation"][0]
    return build_ground_truth(GroundTruthConfig("drive", root=data["root"]))


@pytest.fixture(scope="module")
def evaluation(run):
    return evaluate_network(Predictor.from_file(run / "best.safetensors").scaled_disparity, truth_of(run), PROTOCOL)


@pytest.fixture(scope="module")
def beside(run):
    return {"constant depth": constant_depth_baseline(truth_of(run), PROTOCOL)}


@pytest.fixture(scope="module")
def page(run, beside, tmp_path_factory):
    """The page of the run, as text."""
    out = tmp_path_factory.mktemp("page") / "page.html"
    return report(ReportConfig(str(run), out=str(out), protocol=PROTOCOL, points=500), beside).read_text()


def test_the_page_shows_the_measured_metrics(config, run, evaluation, beside, page):
    expected = evaluation
    low, high = expected.intervals(config.bootstrap)["abs_rel"]
    assert re.search(rf"this run</th>\s*<td>{expected.mean['abs_rel']:.3f}<small>{low:.3f} to\s+{high:.3f}", page)
    assert f"<td>{beside['constant depth'].mean['rmse']:.3f}" in page
    ranked = sorted(expected.rows, key=lambda row: row.errors["abs_rel"])
    for label, row in (("Best", ranked[0]), ("Median", ranked[len(ranked) // 2]), ("Worst", ranked[-1])):
        assert re.search(rf"{label}: Abs Rel {row.errors['abs_rel']:.3f}\s*<small>{row.name}", page)
    assert "41 samples" in page  # run.json
    assert "validation loss" in page
    assert "corresponds to no row of the paper" in page
    assert str(run.parent) not in page


def test_the_page_refers_to_no_other_file_or_address(page):
    found = Addresses(page).found
    assert len(found) >= 3 * 4
    assert all(address.startswith(("data:image/", "#")) for address in found)
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", page)


def test_results_of_evaluate_are_used(config, evaluation, tmp_path):
    made = evaluation
    made.write(tmp_path / "results")
    page = report(replace(config, results=str(tmp_path / "results"), bootstrap=0)).read_text()
    assert f"<td>{made.mean['sq_rel']:.3f}</td>" in page
    assert "Worst: Abs Rel" in page, "the frames are still found in the data"
    # Of another set: the numbers alone, and images without errors.
    text = (tmp_path / "results" / "per_image.csv").read_text()
    (tmp_path / "results" / "per_image.csv").write_text(text.replace("drive ", "other "))
    assert "Validation frames" in report(replace(config, results=str(tmp_path / "results"), overwrite=True)).read_text()


def test_results_in_the_run_are_used_only_for_the_same_weights_and_protocol(config, run, caplog):
    stored, best = run / "stored", run / "best.safetensors"
    constant = constant_depth_baseline(truth_of(run), PROTOCOL)
    cell = f"<td>{constant.mean['sq_rel']:.3f}</td>"
    config = replace(config, bootstrap=0, points=100, overwrite=True)
    try:
        constant.write(stored, {"weights": best.name, "weights_sha256": file_sha256(best)})
        assert cell in report(replace(config, protocol=DepthProtocol())).read_text()
        assert cell not in report(config).read_text(), "another protocol was asked for"
        constant.write(stored, {"weights": best.name, "weights_sha256": "0"}, overwrite=True)
        assert cell not in report(replace(config, protocol=DepthProtocol())).read_text()
        assert "may not be of" in caplog.text
    finally:
        shutil.rmtree(stored)


def test_results_without_a_hash_are_known_by_name_place_and_age(tmp_path):
    weights, result = tmp_path / "best.safetensors", tmp_path / "metrics.json"
    weights.write_bytes(b"1")
    result.write_text(json.dumps({"frames": 9, "provenance": {"weights": weights.name}}))
    assert not are_results_of(tmp_path, weights), "those of a trajectory"
    result.write_text(json.dumps({"metrics": {}, "provenance": {"weights": weights.name}}))
    os.utime(weights, (1, 1))
    assert are_results_of(tmp_path, weights)
    assert not are_results_of(tmp_path, tmp_path / "last.safetensors")
    assert not are_results_of(tmp_path, tmp_path / "other" / weights.name)
    os.utime(result, (0, 0))
    assert not are_results_of(tmp_path, weights), "the weights were written later"
    for damaged in ("[1", "{}"):
        result.write_text(damaged)
        assert not are_results_of(tmp_path, weights)


def test_failed_images_are_read_with_the_results(evaluation, tmp_path):
    replace(evaluation, failed=("image 0: it is damaged",)).write(tmp_path / "results")
    assert read_results(tmp_path / "results")[0].failed == ("image 0: it is damaged",)


def test_exported_weights_are_shown_without_their_number_of_parameters(config):
    exported = str(ROOT / "src" / "hrdepth" / "weights" / "street.onnx")
    page = report(replace(config, weights=exported, bootstrap=0, points=100)).read_text()
    assert "Weights: street.onnx" in page
    assert "<span>parameters" not in page


def test_validation_frames_have_the_camera_of_their_recording(run):
    predictor = Predictor.from_file(run / "best.safetensors")
    [known] = RunFolder.read(run).validation
    focal = truth_of(run)[0].intrinsics[0, 0]
    plain = Predictor(predictor.network, (64, 96), canonical_focal=2 * focal / 96)
    [*_, shown] = plain_frames(plain, [known])
    assert (shown.intrinsics[0, 0], shown.assumed, shown.unit) == (focal, False, "metres")
    unknown = DatasetConfig("images", str(Path(known.root) / "drive" / "left"))
    guessed = plain_frames(plain, [unknown])[-1]
    assert (guessed.intrinsics[0, 0], guessed.assumed) == (2 * focal, True), "that of the canonical camera"
    canonical = plain(Path(known.root) / "drive" / "left" / "000005.png")
    assert canonical.best_depth == pytest.approx(2 * shown.depth, rel=1e-4)


def test_several_results_are_shown(config, tmp_path):
    metrics = dict(zip(("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3"), range(7), strict=True))
    (tmp_path / "metrics.json").write_text(json.dumps({"results": {"streets": {"pictures": 8, "network": metrics}}}))
    page = report(replace(config, results=str(tmp_path))).read_text()
    assert "8 images: streets" in page
    assert "<td>6.000</td>" in page


def test_a_report_without_true_depth_has_no_metrics(config, run, tmp_path):
    data = yaml.safe_load((run / "config.yaml").read_text())["validation"][0]
    hidden = Path(data["root"]) / "drive" / "depth"
    hidden.rename(tmp_path / "depth")
    try:
        page = report(config).read_text()
    finally:
        (tmp_path / "depth").rename(hidden)
    assert "nothing measured" in page
    assert "Image 2" in page
    assert 'id="cloud"' in page
    assert "points, in metres, of the second" in page
    assert "The camera is not known" not in page


def test_the_guards_message_is_on_the_page(config, run):
    (run / "stopped.json").write_text(json.dumps({"message": "training stopped at step 40: <NaN>", "step": 40}))
    try:
        page = report(config).read_text()
    finally:
        (run / "stopped.json").unlink()
    assert "training stopped at step 40: &lt;NaN&gt;" in page


def test_the_command_writes_beside_the_run_and_not_twice(run, capsys):
    command = ["report", str(run), "--protocol.crop", "none", "--points", "200", "--bootstrap", "40"]
    assert main(command) == 0
    assert (run / "report.html").is_file()
    assert str(run / "report.html") in capsys.readouterr().out
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    (run / "report.html").unlink()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"run": "nowhere"}, "does not exist"),
        ({"weights": "none.safetensors"}, "none.safetensors does not exist"),
        ({"results": "."}, "holds no metrics.json"),
        ({"data": GroundTruthConfig("drive", root="nowhere")}, "nowhere does not exist"),
        ({"points": 0}, "points 0"),
    ],
)
def test_bad_input_is_refused_with_a_message(config, change, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        report(replace(config, **change))
    assert not Path(config.out).exists()


@pytest.mark.parametrize("content", ["[1", "{}", '{"metrics": {"abs_rel": 1}, "images": 1, "ground_truth": ""}'])
def test_damaged_results_are_refused_with_a_message(config, tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(InputError, match="damaged"):
        report(replace(config, results=str(tmp_path)))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config\.yaml is missing"):
        RunFolder.read(tmp_path)


def test_points_survive_their_encoding():
    import base64

    depth = np.full((8, 12), 5.0, dtype=np.float32)
    image = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
    matrix = np.array([[10.0, 0, 5.5], [0, 10.0, 3.5], [0, 0, 1]])
    cloud = encode_cloud(depth, image, matrix, 10_000, "m", assumed=False)
    steps = np.frombuffer(base64.b64decode(cloud.positions), "<u2").reshape(-1, 3)
    low, high = np.array(cloud.low), np.array(cloud.high)
    points = low + steps / 65535 * (high - low)
    assert cloud.count == 96
    np.testing.assert_allclose(points[0], [-5.5 * 0.5, -3.5 * 0.5, 5.0], atol=1e-3)
    assert base64.b64decode(cloud.colours) == image.tobytes()
