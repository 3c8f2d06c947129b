"""Tests of report/compare.py.

Images of results.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from hrdepth.cli import main
from hrdepth.config import DepthProtocol, GroundTruthConfig, NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.report.compare import draw_comparison, error_by_distance, error_histogram
from hrdepth.report.curves import learning_curves, read_log
from hrdepth.report.features import draw_features, first_level_maps
from hrdepth.report.frames import Sample, predict_sample
from hrdepth.truth import build_ground_truth
from hrdepth.weights.checkpoint import save_checkpoint

SIZE = (64, 96)


@pytest.fixture
def truths(tmp_path):
    """Three images with depth, as KITTI's 16-bit PNG."""
    random = np.random.default_rng(0)
    for name in ("image", "depth"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for index in range(3):
        Image.fromarray(random.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(tmp_path / f"data/image/{index}.png")
        depth = (random.uniform(2, 60, SIZE) * 256).astype(np.uint16) * (random.random(SIZE) < 0.1)
        Image.fromarray(depth.astype(np.uint16)).save(tmp_path / f"data/depth/{index}.png")
    return tmp_path / "data"


def weights(path, name="hrdepth", **options):
    torch.manual_seed(len(name))
    config = NetworkConfig(name, options)
    save_checkpoint(path, build_network(config), config, size=SIZE)
    return path


def log(folder):
    folder.mkdir()
    lines = ["step,train/loss,val/loss", *(f"{step},{1 / (step + 1)}," for step in range(12)), "11,,0.5"]
    (folder / "metrics.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.slow
def test_the_command_writes_every_image(tmp_path, truths, capsys):
    small = {"backbone": "test_efficientnet"}
    nets = [weights(tmp_path / "a.safetensors", **small), weights(tmp_path / "b.safetensors", "monodepth2", **small)]
    out = tmp_path / "out"
    command = ["compare", *map(str, nets), "--data.kind", "folder", "--data.root", str(truths), "--out", str(out)]
    more = ["--runs", str(log(tmp_path / "run")), "--formats", "[svg,png,pdf]", "--count", "2", "--dpi", "50"]
    assert main([*command, *more]) == 0
    assert "glyf" not in capsys.readouterr().err, "the makers of PDF keep quiet"
    names = {path.name for path in out.iterdir()}
    drawn = ("comparison", "distance", "histogram", "features", "curves")
    assert names == {"compare.json", *(f"{name}.{suffix}" for name in drawn for suffix in ("svg", "png", "pdf"))}
    text = (out / "comparison.svg").read_text()
    assert "error of a" in text  # letters, not outlines
    assert "after fusion" in (out / "features.svg").read_text()
    result = json.loads((out / "compare.json").read_text())
    assert list(result["pictures"]) == ["a", "b"]
    assert len(result["pictures"]["a"]) == 2
    assert result["provenance"]["weights"] == ["a.safetensors", "b.safetensors"]
    assert main(command) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--labels", "[one]"], "1 labels for 2"),
        (["--pictures", "[7]"], "0 to 2"),
        (["--runs", "[nowhere]"], "the log of the run"),
        (["--labels", "[same,same]"], "same name"),
        (["--count", "0"], "count 0 must lie between 1 and"),
        (["--dpi", "0"], "dpi 0 must lie between 1 and 2400"),
    ],
)
def test_the_command_refuses_invalid_input(tmp_path, truths, capsys, more, sentence):
    nets = [weights(tmp_path / f"{name}.safetensors", backbone="test_efficientnet") for name in "ab"]
    command = ["compare", *map(str, nets), "--data.kind", "folder", "--data.root", str(truths)]
    assert main([*command, "--out", str(tmp_path / "out"), *more]) == 2
    assert sentence in capsys.readouterr().err


def test_the_sample_is_in_metres(truths):
    truth = build_ground_truth(GroundTruthConfig("folder", str(truths)))[0]
    predictor = Predictor(lambda image: {0: torch.full((1, 1, *SIZE), 0.5)}, SIZE)
    sample = predict_sample(predictor, truth, DepthProtocol())
    known = ~np.isnan(sample.truth)
    # Median scaling: a constant prediction becomes the median of the truth.
    assert 1 / sample.scaled_disparity[known] == pytest.approx(np.median(sample.truth[known]), rel=1e-3)
    assert np.nanmean(sample.relative_error) == pytest.approx(sample.errors["abs_rel"], rel=1e-3)


def test_the_sample_shows_the_part_of_the_image_that_the_depth_is_of(truths):
    whole = Image.new("RGB", (SIZE[1], 2 * SIZE[0]), "blue")
    whole.paste("red", (0, 0, SIZE[1], SIZE[0]))
    whole.save(truths / "image" / "0.png")
    truth = build_ground_truth(GroundTruthConfig("folder", str(truths)))[0]
    seen = []

    def network(image):
        seen.append(image[0, :, 0, 0].tolist())
        return {0: torch.full((1, 1, *SIZE), 0.5)}

    sample = predict_sample(
        Predictor(network, SIZE), dataclasses.replace(truth, image_rows=(0.5, 1.0)), DepthProtocol()
    )
    assert seen == [[0, 0, 1]]
    assert (sample.image == (0, 0, 255)).all()


def test_the_sample_follows_the_camera_and_the_flipped_image(truths):
    truth = dataclasses.replace(
        build_ground_truth(GroundTruthConfig("folder", str(truths)))[0],
        intrinsics=np.array([[96.0, 0, 48], [0, 96.0, 32], [0, 0, 1]]),
    )
    # Nearer to the left: mirrored and blended it is the same everywhere but at the borders.
    ramp = torch.linspace(0.2, 0.1, SIZE[1]).expand(1, 1, *SIZE)
    predictor = Predictor(lambda image: {0: ramp}, SIZE, canonical_focal=0.5)
    plain = predict_sample(predictor, truth, DepthProtocol(scaling=1.0, crop="none"))
    # fx is the width, twice the canonical one: twice as far.
    own = 0.01 + 9.99 * ramp[0, 0].numpy()
    assert plain.scaled_disparity == pytest.approx(own / 2, rel=1e-5)
    blended = predict_sample(predictor, truth, DepthProtocol(scaling=1.0, crop="none", post_process=True))
    assert blended.scaled_disparity[:, 30:60] == pytest.approx(own.mean() / 2, rel=1e-5)


def sample(truth, prediction):
    truth, prediction = np.array([truth], np.float32), np.array([prediction], np.float32)
    return Sample("x", np.zeros((1, truth.shape[1], 3), np.uint8), 1 / prediction, truth, None)


def test_error_by_distance_is_the_mean_within_each_bin():
    figure = error_by_distance({"a": [sample([2, 4, 12, np.nan], [3, 4, 6, 5])]})
    values = figure.axes[0].patches[0].get_data().values
    assert values[0] == pytest.approx(0.25)
    assert values[2] == pytest.approx(0.5)
    assert np.isnan(values[1])


@pytest.mark.parametrize("draw", [error_by_distance, error_histogram])
def test_errors_without_any_true_depth_are_refused(draw):
    known, unknown = sample([2, np.nan], [3, 4]), sample([np.nan, np.nan], [3, 4])
    draw({"a": [unknown, known]})
    with pytest.raises(InputError, match="the images of 'a' have no true depth"):
        draw({"a": [unknown, unknown]})


def test_histogram_is_signed():
    figure = error_histogram({"a": [sample([10, 10, np.nan], [5, 40, 1])]})
    values = figure.axes[0].patches[0].get_data().values
    assert values[20] == values[-1] == 50  # half as far; four times as far stands at the end
    assert values.sum() == 100


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [("hrdepth", {}, 6), ("hrdepth", {"skip": "plain"}, 3), ("lite_hrdepth", {}, 6), ("monodepth2", {}, 3)],
)
def test_first_level_feature_maps_are_drawn(name, options, count):
    network = build_network(NetworkConfig(name, options)).eval()
    image = torch.rand(1, 3, *SIZE)
    maps = first_level_maps(network, image)
    assert len(maps) == count
    assert all(values.shape == (32, 48) for values in maps.values())
    with torch.inference_mode():
        first = network.encoder(network.normalise(image))[0]
    assert maps["encoder's map"] == pytest.approx((first[0] ** 2).mean(0).sqrt().numpy(), rel=1e-4)


def test_maps_of_other_shapes_cover_the_image():
    image = np.zeros((60, 180, 3), np.uint8)
    maps = {"small": {"map": np.zeros((32, 96), np.float32)}, "wide": {"map": np.zeros((20, 64), np.float32)}}
    figure = draw_features(image, maps)
    assert {tuple(axis.images[0].get_extent()) for axis in figure.axes} == {(-0.5, 179.5, 59.5, -0.5)}


def test_long_names_stay_within_their_columns():
    """The labels of two networks with their options neither meet nor take the images' room."""
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (60, 180, 3), dtype=np.uint8)
    truth = random.uniform(2, 40, (60, 180))
    names = ["monodepth2 (backbone: tf_efficientnet_lite0), 384x128", "hrdepth (widths: [32, 64, 128, 256]), 384x128"]
    maps = {name: {"encoder's map": random.random((30, 90), np.float32)} for name in names}
    figure = draw_features(image, maps)
    figure.canvas.draw()
    left, right = (axis.title.get_window_extent() for axis in figure.axes[:2])
    assert left.x1 < right.x0
    rows = {name: [Sample("street 1 l", image, 1 / truth, truth, {})] * 4 for name in names}
    figure = draw_comparison(rows)
    figure.canvas.draw()
    assert figure.axes[0].get_window_extent().width > figure.bbox.width / 8


def test_other_networks_have_no_such_maps():
    with pytest.raises(InputError, match="HR-Depth or Monodepth2"):
        first_level_maps(torch.nn.Conv2d(3, 1, 1), torch.rand(1, 3, 8, 8))


def test_the_curves_show_the_log(tmp_path):
    run = log(tmp_path / "run")
    steps, values = read_log(run, "val/loss")
    assert (steps.tolist(), values.tolist()) == ([11], [0.5])
    assert len(learning_curves([run]).axes[0].lines) == 2
    with pytest.raises(InputError, match="no column"):
        read_log(run, "nothing")
