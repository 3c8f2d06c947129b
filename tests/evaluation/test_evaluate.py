"""Tests of evaluation/evaluate.py and evaluation/predictions.py.

Evaluation of whole sets, and the files that it writes.
"""

import csv
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.evaluation import (
    METRICS,
    constant_depth_baseline,
    depth_errors,
    evaluate_disparities,
    evaluate_network,
    mean_prediction_baseline,
)
from hrdepth.inference.predictor import blend_flipped
from hrdepth.truth import build_ground_truth

SIZE = (20, 60)
WHOLE = DepthProtocol(crop="none")


def folder_set(root):
    return build_ground_truth(GroundTruthConfig(kind="folder", root=str(root)))


@pytest.fixture
def depths():
    random = np.random.default_rng(0)
    return [random.uniform(2, 60, SIZE).astype(np.float32) for _ in range(3)]


@pytest.fixture
def root(tmp_path, depths):
    root = tmp_path / "data"
    for kind in ("depth", "image"):
        (root / kind).mkdir(parents=True)
    for name, depth in zip("abc", depths, strict=True):
        np.save(root / "depth" / f"{name}.npy", depth)
        # The image says how near things are, so that a "network" can read it.
        grey = Image.fromarray(np.rint(400 / depth).astype(np.uint8))
        grey.convert("RGB").save(root / "image" / f"{name}.png")
    return root


def brightness(image):
    assert image.mode == "RGB"
    return np.asarray(image.convert("L"), dtype=np.float32) / 255


def test_metrics_are_means_over_images_not_over_pixels(root, depths):
    depths[0][:, 5:] = 0
    np.save(root / "depth" / "a.npy", depths[0])
    disparities = [1 / np.full(SIZE, 10.0)] * 3
    evaluation = evaluate_disparities(disparities, folder_set(root), DepthProtocol(crop="none", scaling=1.0))
    by_hand = [depth_errors(depth[depth > 0], np.full((depth > 0).sum(), 10.0)) for depth in depths]
    for name in METRICS:
        assert evaluation.mean[name] == pytest.approx(np.mean([errors[name] for errors in by_hand]))
    assert [row.name for row in evaluation.rows] == ["a", "b", "c"]
    assert [row.valid_pixels for row in evaluation.rows] == [100, 1200, 1200]


def test_exact_predictions_in_list_order_have_no_error(root, depths):
    disparities = [factor / depth for factor, depth in zip((1, 2, 4), depths, strict=True)]
    evaluation = evaluate_disparities(disparities, folder_set(root), WHOLE)
    assert evaluation.mean["abs_rel"] < 1e-6
    assert evaluation.ratio_median == pytest.approx(2)
    assert evaluation.ratio_std == pytest.approx(np.std([0.5, 1, 2]))
    assert evaluate_disparities(disparities[::-1], folder_set(root), WHOLE).mean["abs_rel"] > 0.1


@pytest.mark.parametrize("scaling", ["median", "affine", 1.0])
def test_depth_in_place_of_disparity_is_noticed(root, depths, scaling, caplog):
    protocol = DepthProtocol(crop="none", scaling=scaling)
    for given in ([1 / depth for depth in depths], [np.full(SIZE, 1 / 3)] * 3):
        evaluate_disparities(given, folder_set(root), protocol)
    assert not caplog.text
    evaluate_disparities(depths, folder_set(root), protocol)
    assert "in 3 of 3 images the predictions fall where 1/true depth rises: are they depth?" in caplog.text


@pytest.mark.parametrize("kind", ["npy", "npz", "channel", "array", "generator"])
def test_predictions_may_be_an_array_a_generator_or_a_file(tmp_path, root, depths, kind):
    array = np.stack([1 / depth for depth in depths])
    given = {"array": array, "generator": iter(array)}.get(kind, tmp_path / f"preds.{kind}")
    if kind == "npy":
        np.save(given, array)
    elif kind == "npz":
        np.savez(given, array)
    elif kind == "channel":
        given = tmp_path / "preds.npy"
        np.save(given, array[:, None])
    assert evaluate_disparities(given, folder_set(root), WHOLE).mean["abs_rel"] < 1e-6


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.ones((2, 4, 4)), "2 predictions for 3 images"),
        (np.ones((4, 4, 4)), "4 predictions for 3 images"),
        (np.ones((3, 4)), r"\(N,h,w\)"),
        (np.ones((3, 2, 4, 4)), r"\(N,h,w\)"),
        (np.ones((3, 4, 4), dtype=int), r"\(N,h,w\)"),
        (np.array([None] * 3), "plain numbers"),
        (-np.ones((3, 4, 4)), "number 0 .a.: .*negative"),
        (np.stack([np.ones((4, 4)), np.ones((4, 4)), np.full((4, 4), np.nan)]), "number 2 .c.: .*not finite"),
    ],
)
def test_bad_predictions_are_refused(tmp_path, root, array, hint):
    path = tmp_path / "preds.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=hint) as error:
        evaluate_disparities(path, folder_set(root), WHOLE)
    assert str(path) in str(error.value)


def test_the_number_of_predictions_must_match_the_list(root):
    for count, hint in ((2, "2 predictions for 3"), (4, "more than 3 predictions for 3")):
        with pytest.raises(InputError, match=hint):
            evaluate_disparities((np.ones((4, 4)) for _ in range(count)), folder_set(root), WHOLE)


def test_unreadable_prediction_files_are_named(tmp_path, root):
    truths = folder_set(root)
    with pytest.raises(InputError, match="does not exist"):
        evaluate_disparities(tmp_path / "none.npy", truths)
    (tmp_path / "text.npy").write_text("0.1 0.2")
    with pytest.raises(InputError, match="plain numbers"):
        evaluate_disparities(tmp_path / "text.npy", truths)
    np.savez(tmp_path / "two.npz", a=np.ones((3, 2, 2)), b=np.ones((3, 2, 2)))
    with pytest.raises(InputError, match="one array, but holds a, b"):
        evaluate_disparities(tmp_path / "two.npz", truths)
    np.save(tmp_path / "cut.npy", np.ones((3, 9, 9)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-100])
    with pytest.raises(InputError, match="plain numbers"):
        evaluate_disparities(tmp_path / "cut.npy", truths)


def test_an_archive_of_something_else_than_an_array_is_refused(tmp_path, root):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "none")
    with pytest.raises(InputError, match=r"a\.npz.* must be float disparities"):
        evaluate_disparities(tmp_path / "a.npz", folder_set(root))


def test_a_network_is_evaluated_over_a_set(root):
    evaluation = evaluate_network(brightness, folder_set(root), WHOLE, progress=True)
    assert evaluation.mean["abs_rel"] < 0.05  # the image's 8 bits
    assert len(evaluation.rows) == 3


def test_flip_post_processing_blends_both_predictions(root):
    def worse_at_the_left(image):
        disparity = brightness(image)
        disparity[:, : SIZE[1] // 20] *= 3
        return disparity

    plain, flipped = (
        evaluate_network(worse_at_the_left, folder_set(root), DepthProtocol(crop="none", post_process=flip))
        for flip in (False, True)
    )
    assert plain.mean["abs_rel"] > 0.05
    assert flipped.mean["abs_rel"] < plain.mean["abs_rel"] / 2

    image = Image.open(root / "image" / "a.png")
    mirrored = worse_at_the_left(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[:, ::-1]
    blend = blend_flipped(worse_at_the_left(image), mirrored)
    by_hand = evaluate_disparities([blend] * 3, folder_set(root), WHOLE).rows[0]
    assert flipped.rows[0].errors == pytest.approx(by_hand.errors)
    with pytest.raises(InputError, match="needs a network"):
        evaluate_disparities([blend] * 3, folder_set(root), DepthProtocol(post_process=True))


def test_network_errors_name_the_image(root):
    with pytest.raises(InputError, match=r"a\.png: .*not finite"):
        evaluate_network(lambda image: np.full((2, 2), np.nan), folder_set(root), WHOLE)
    (root / "image" / "b.png").unlink()
    with pytest.raises(InputError, match="image of 'b' is missing"):
        evaluate_network(brightness, folder_set(root), WHOLE)
    (root / "image" / "b.png").write_bytes((root / "image" / "a.png").read_bytes()[:-200])
    with pytest.raises(InputError, match=r"b\.png"):
        evaluate_network(brightness, folder_set(root), WHOLE)


def test_truth_of_a_turned_image_is_refused(tmp_path, root, depths):
    """An image that its EXIF data turn, and depth as the sensor lies."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in "abc":
        with Image.open(root / "image" / f"{name}.png") as image:
            image.save(root / "image" / f"{name}.png", exif=exif)
    height, width = SIZE
    with pytest.raises(InputError, match=rf"'a' has {width}x{height} pixels.*a\.png {height}x{width} .*turned"):
        evaluate_network(brightness, folder_set(root), WHOLE)
    with pytest.raises(InputError, match=rf"number 0 \(a\): .*'a' has {width}x{height} .*prediction {height}x{width}"):
        evaluate_disparities([1 / depth.T for depth in depths], folder_set(root), WHOLE)
    for name, depth in zip("abc", depths, strict=True):
        np.save(root / "depth" / f"{name}.npy", np.rot90(depth, -1))
    assert evaluate_network(brightness, folder_set(root), WHOLE).mean["abs_rel"] < 0.1


@pytest.mark.parametrize(("rows", "fits"), [(SIZE[0], True), (SIZE[0] - 2, False)])
def test_truth_of_a_part_of_the_image_is_refused(root, depths, rows, fits):
    for name, depth in zip("abc", depths, strict=True):
        np.save(root / "depth" / f"{name}.npy", depth[:rows])

    def evaluate(given):
        if given:
            return evaluate_disparities([1 / depth for depth in depths], folder_set(root), WHOLE)
        return evaluate_network(brightness, folder_set(root), WHOLE)

    for given in (False, True):
        if fits:
            evaluate(given)
        else:
            with pytest.raises(InputError, match="turned or cropped"):
                evaluate(given)


def test_images_without_truth_are_skipped_and_counted(tmp_path, root):
    np.save(root / "depth" / "b.npy", np.zeros(SIZE, np.float32))
    evaluation = constant_depth_baseline(folder_set(root), WHOLE)
    assert ([row.name for row in evaluation.rows], evaluation.skipped) == (["a", "c"], ("b",))
    assert np.isfinite(list(evaluation.mean.values())).all()
    evaluation.write(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["skipped"] == {
        "count": 1,
        "names": ["b"],
    }
    np.save(root / "depth" / "b.npy", np.full(SIZE, 90, np.float32))  # beyond the protocol: still none that is compared
    assert constant_depth_baseline(folder_set(root), WHOLE).truth_sha256 == evaluation.truth_sha256
    np.save(root / "depth" / "a.npy", np.load(root / "depth" / "a.npy") + np.float32(0.01))
    assert constant_depth_baseline(folder_set(root), WHOLE).truth_sha256 != evaluation.truth_sha256
    for name in "ac":
        np.save(root / "depth" / f"{name}.npy", np.full(SIZE, 500, np.float32))
    with pytest.raises(InputError, match="none of the 3 images"):
        constant_depth_baseline(folder_set(root), WHOLE)


def test_baselines_agree_with_a_calculation_by_hand(root, depths):
    truths = folder_set(root)
    fixed = DepthProtocol(crop="none", scaling=2.0)
    evaluation = constant_depth_baseline(truths, fixed, depth=5.0)
    by_hand = np.mean([np.mean(np.abs(depth - 10) / depth) for depth in depths])
    assert evaluation.mean["abs_rel"] == pytest.approx(by_hand, rel=1e-5)
    mean = np.mean([1 / depth for depth in depths], axis=0)
    repeated = evaluate_disparities([mean] * 3, truths, WHOLE)
    assert mean_prediction_baseline(mean, truths, WHOLE).mean == repeated.mean
    with pytest.raises(InputError, match="positive"):
        constant_depth_baseline(truths, depth=0)


def test_the_constant_depth_baseline_has_its_known_error_on_real_frames(shared):
    mini = shared / "kitti-mini"
    lidar = GroundTruthConfig(root=str(mini / "raw"), split=str(mini / "splits" / "raw_test.txt"))
    evaluation = constant_depth_baseline(build_ground_truth(lidar))
    assert len(evaluation.rows) == 25
    assert evaluation.mean["abs_rel"] == pytest.approx(0.341, abs=5e-4)
    evaluation = constant_depth_baseline(folder_set(mini / "singles"))
    assert len(evaluation.rows) == 8
    assert evaluation.mean["abs_rel"] == pytest.approx(0.500, abs=5e-4)


def test_result_files_contain_metrics_rows_and_provenance(tmp_path, root):
    evaluation = evaluate_network(brightness, folder_set(root), progress=False)
    out = tmp_path / "results" / "run"
    paths = evaluation.write(out, {"command": "hrdepth evaluate"})
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "per_image.csv"]
    assert set(paths) == set(out.iterdir())

    with (out / "per_image.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["name", *METRICS, "ratio", "valid_pixels"]
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    content = json.loads((out / "metrics.json").read_text())
    for name in METRICS:
        column = [float(row[name]) for row in rows]
        assert content["metrics"][name] == pytest.approx(np.mean(column), rel=1e-6)
    assert list(content["metrics"]) == list(METRICS)
    assert content["images"] == 3
    assert content["provenance"] == {"command": "hrdepth evaluate"}
    protocol = content["protocol"]
    assert {key: protocol[key] for key in ("crop", "scaling", "max_depth")} == {
        "crop": "garg",
        "scaling": "median",
        "max_depth": 80.0,
    }
    words = " ".join(protocol["in_words"].values())
    for message in ("disparity", "80 m", "0.40810811", "median", "mean over images"):
        assert message in words
    assert str(tmp_path) not in (out / "metrics.json").read_text()

    with pytest.raises(InputError, match="not empty"):
        evaluation.write(out)
    evaluation.write(out, overwrite=True)


def test_the_table_has_the_mean_and_the_scaling(root):
    evaluation = constant_depth_baseline(folder_set(root), DepthProtocol(crop="none", scaling=5.4))
    console = Console(width=120, record=True)
    with console.capture() as capture:
        console.print(evaluation.table().rich())
    text = capture.get()
    assert f"{evaluation.mean['abs_rel']:.3f}" in text
    assert "mean over 3 images" in text
    assert "depth x 5.4" in text


@pytest.mark.parametrize("processes", [False, True])
def test_several_workers_give_the_same_metrics(root, depths, processes):
    disparities = [1 / (depth + 3) for depth in depths]
    alone = evaluate_disparities(disparities, folder_set(root), WHOLE, workers=1)
    together = evaluate_disparities(disparities, folder_set(root), WHOLE, workers=2, processes=processes)
    assert together == alone
    with pytest.raises(InputError, match="number 1 .b.: .*negative"):
        evaluate_disparities([depths[0], -depths[1], depths[2]], folder_set(root), WHOLE, workers=2)
    with pytest.raises(InputError, match="0 workers"):
        evaluate_disparities(disparities, folder_set(root), WHOLE, workers=0)


def test_several_workers_give_the_same_metrics_for_a_network(root):
    alone = evaluate_network(brightness, folder_set(root), WHOLE, workers=1)
    assert evaluate_network(brightness, folder_set(root), WHOLE, workers=3) == alone
