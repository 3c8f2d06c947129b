"""Tests of camera.py, from the weights file to the commands.

Depth in one canonical focal length from the weights file on: checkpoint, prediction, files, evaluation, commands.
"""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file

import fake_datasets
from hrdepth.camera import MOST_PIXELS, DepthScale, aspect_size
from hrdepth.cli import main
from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.evaluation import evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.truth import build_ground_truth
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK
from weights_files import save

CANONICAL = 0.5
TRAINED = (160, 512)
# A focal length of 0.75 image widths: things are half as far again as the canonical camera would have them.
K = [[72.0, 0, 48], [0, 72, 32], [0, 0, 1]]
WHITE = np.full((64, 96, 3), 255, np.uint8)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(
        path, build_network(NETWORK), NETWORK, size=(64, 96), metres_per_unit=2.0, canonical_focal=CANONICAL
    )
    return path


@pytest.fixture
def drive(tmp_path):
    """A drive whose camera is that of K, given for images of twice the size."""
    root = fake_datasets.drive(tmp_path / "data")
    camera = {"width": 192, "height": 128, "fx": 144.0, "fy": 144.0, "cx": 96.0, "cy": 64.0}
    (root / "drive" / "camera.yaml").write_text(yaml.safe_dump(camera))
    return root


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.1, float("inf")), (float("nan"), 100), (0.1, float("nan")), (0, 100), (-1, 100), (5, 5), (9, 1)],
)
def test_ranges_of_depth_that_are_empty_not_positive_or_not_finite_are_refused(low, high):
    with pytest.raises(InputError, match="the depth range .* is empty, not positive or not finite"):
        DepthScale(min_depth=low, max_depth=high)


@pytest.mark.parametrize("name", ["metres_per_unit", "canonical_focal"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5, 0, "5.4"])
def test_units_that_are_no_positive_numbers_are_refused(weights, tmp_path, name, value):
    with pytest.raises(InputError, match=f"{name} is .*must be a positive number"):
        DepthScale(**{name: value})
    with safe_open(weights, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    save_file(tensors, tmp_path / "bad.safetensors", metadata | {name: json.dumps(value)})
    with pytest.raises(InputError, match=rf"bad\.safetensors.*{name}"):
        read_checkpoint(tmp_path / "bad.safetensors")


def test_the_weights_file_stores_the_canonical_focal_length(weights, tmp_path):
    assert read_checkpoint(weights).scale.canonical_focal == CANONICAL
    with safe_open(weights, framework="pt") as file:
        sentence = json.loads(file.metadata()["scale"])
    assert sentence == "metres = 2 x predicted depth, predicted depth being fx / (0.5 x width) times the network's"
    save_checkpoint(tmp_path / "plain.safetensors", build_network(NETWORK), NETWORK, size=(64, 96))
    assert read_checkpoint(tmp_path / "plain.safetensors").scale.canonical_focal is None


def test_a_prediction_uses_the_given_or_the_canonical_camera(weights):
    predict = Predictor.from_file(weights, device="cpu")
    canonical, own = predict(WHITE), predict(WHITE, K)
    np.testing.assert_allclose(canonical.depth, 1 / (0.01 + 9.99 * canonical.disparity), rtol=1e-5)
    np.testing.assert_allclose(own.depth, 1.5 * canonical.depth, rtol=1e-5)
    np.testing.assert_allclose(own.depth_metres, 3 * canonical.depth, rtol=1e-5)
    np.testing.assert_allclose(own.scaled_disparity * own.depth, 1, rtol=1e-5)
    np.testing.assert_array_equal(own.disparity, canonical.disparity)
    assert own.scale == "metres = depth x 2"
    assert canonical.scale == "metres = depth x 2, for a camera with fx = 0.5 x width; give intrinsics for another"
    # Without a canonical focal length intrinsics change nothing.
    assert Predictor(predict.network, (64, 96), device="cpu").scale == predict.scale  # which the network carries
    plain = Predictor(lambda image: {0: torch.from_numpy(predict.network(image.numpy()))}, (64, 96), device="cpu")
    np.testing.assert_array_equal(plain(WHITE, K).depth, plain(WHITE).depth)


@pytest.mark.parametrize("focal", [0.0, -72.0])
def test_intrinsics_need_a_focal_length(weights, focal):
    with pytest.raises(InputError, match="focal lengths fx = .* cannot be pixels"):
        Predictor.from_file(weights, device="cpu")(WHITE, [[focal, 0, 48], [0, 72, 32], [0, 0, 1]])


def test_the_predict_command_takes_intrinsics(weights, drive, tmp_path, capsys):
    image = drive / "drive" / "left" / "000001.png"
    plain = ["predict", str(image), "--weights", str(weights), "--device", "cpu", "--out"]
    assert main([*plain, str(tmp_path / "a")]) == 0
    assert main([*plain, str(tmp_path / "b"), "--intrinsics", "[72, 72, 48, 32]"]) == 0
    a, b = (np.load(tmp_path / name / "000001.npz") for name in "ab")
    np.testing.assert_allclose(b["depth"], 1.5 * a["depth"], rtol=1e-5)
    assert (float(b["canonical_focal"]), b["intrinsics"].tolist()) == (CANONICAL, K)
    assert "intrinsics" not in a
    done = [json.loads((tmp_path / name / "predict.json").read_text()) for name in "ab"]
    assert [about["network"]["canonical_focal"] for about in done] == [CANONICAL, CANONICAL]
    assert [about["intrinsics"] for about in done] == [None, K]
    assert [about["units"]["depth"].endswith("x fx / (canonical_focal x width)") for about in done] == [False, True]
    assert main([*plain, str(tmp_path / "c"), "--intrinsics", "[0, 72, 48, 32]"]) == 2
    assert "cannot be pixels" in capsys.readouterr().err


def test_a_fixed_factor_applies_to_the_data_sets_camera(drive):
    truths = build_ground_truth(GroundTruthConfig(kind="drive", root=str(drive)))
    np.testing.assert_allclose(truths[0].intrinsics, K)

    def guess(image):
        return np.full((8, 12), 0.1, np.float32)

    def evaluate(scaling, focal, *, post_process=False):
        protocol = DepthProtocol(crop="none", scaling=scaling, post_process=post_process)
        return evaluate_network(guess, truths, protocol, canonical_focal=focal, progress=False).mean["abs_rel"]

    assert evaluate(1.0, CANONICAL) == pytest.approx(evaluate(1.5, None))
    assert evaluate(1.0, CANONICAL) != pytest.approx(evaluate(1.0, None), rel=0.01)
    assert evaluate(1.0, CANONICAL, post_process=True) == pytest.approx(evaluate(1.0, CANONICAL))
    assert evaluate("median", CANONICAL) == pytest.approx(evaluate("median", None))


def test_truth_without_a_camera_uses_the_canonical_one(drive):
    (drive / "drive" / "camera.yaml").unlink()
    truths = build_ground_truth(GroundTruthConfig(kind="drive", root=str(drive)))
    assert truths[0].intrinsics is None
    protocol = DepthProtocol(crop="none", scaling=1.0)
    errors = [
        evaluate_network(lambda _: np.full((8, 12), 0.1), truths, protocol, canonical_focal=f, progress=False).mean
        for f in (CANONICAL, None)
    ]
    assert errors[0] == errors[1]


def test_the_evaluate_command_uses_the_weights_canonical_camera(weights, drive, tmp_path):
    """Depth exact for K is exact by a factor of 1; taken as the canonical camera's it would be a third too small."""
    truth = ["--data.kind", "drive", "--data.root", str(drive), "--protocol.crop", "none", "--device", "cpu"]
    command = ["evaluate", "--weights", str(weights), *truth, "--protocol.scaling"]
    assert main([*command, "10", "--out", str(tmp_path / "a")]) == 0
    checkpoint = read_checkpoint(weights)
    checkpoint.network.scale = DepthScale()
    save_checkpoint(weights, checkpoint.network, NETWORK, size=(64, 96))
    assert main([*command, "15", "--out", str(tmp_path / "b")]) == 0
    a, b = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in "ab")
    assert a["metrics"] == pytest.approx(b["metrics"], rel=1e-5)
    assert [about["provenance"]["canonical_focal"] for about in (a, b)] == [CANONICAL, None]


def test_invalid_augmentation_is_refused_with_one_message(drive, tmp_path, capsys):
    part = json.dumps([{"dataset": "folder", "root": str(drive)}])
    run = ["train", "--train", part, "--validation", part, "--output", str(tmp_path / "run")]
    assert main([*run, "--augment.zoom", "0.5"]) == 2
    message = capsys.readouterr().err.strip()
    assert message == "hrdepth: augment.zoom 0.5 must lie between 1, the whole image, and 10"


@pytest.mark.parametrize("image", [(375, 1242), (370, 1224), (1080, 3456), (160, 512)])
def test_an_image_of_about_the_trained_aspect_gets_the_trained_size(image):
    assert aspect_size(image, TRAINED) == TRAINED
    assert aspect_size(image, (320, 1024)) == (320, 1024)


@pytest.mark.parametrize("image", [(1216, 1936), (480, 640), (1080, 1920), (1920, 1080), (3000, 4000), (300, 1600)])
@pytest.mark.parametrize("trained", [(160, 512), (192, 640), (384, 1280), (384, 384)])
def test_another_keeps_its_aspect_in_a_bounded_number_of_pixels(image, trained):
    height, width = aspect_size(image, trained)
    assert height % 32 == width % 32 == 0
    assert width / height == pytest.approx(image[1] / image[0], rel=0.17)  # half of 32 in the shorter side
    assert 0.8 <= height * width / (trained[0] * trained[1]) <= 1.2 * MOST_PIXELS


def test_the_width_is_the_trained_one_where_the_pixels_allow_it():
    assert aspect_size((1216, 1936), TRAINED) == (320, 512)
    assert aspect_size((256, 512), TRAINED) == (256, 512)


def test_lengths_are_multiples_of_the_stride_and_twice_it_at_least():
    assert aspect_size((100, 10000), TRAINED)[0] == 64
    assert aspect_size((10000, 100), (192, 640), stride=64)[1] == 128


def test_a_predictor_of_a_file_keeps_the_aspect_unless_it_is_given_a_size(tmp_path):
    weights = save(tmp_path / "net.safetensors")  # trained at 64x96
    square = np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8)
    kept = Predictor.from_file(weights, runtime="pytorch")
    fixed = Predictor.from_file(weights, runtime="pytorch", size=(64, 96))
    assert (kept.keep_aspect, fixed.keep_aspect, kept.size) == (True, False, (64, 96))
    assert (kept.input_size((120, 120)), fixed.input_size((120, 120))) == ((96, 96), (64, 96))
    squeezed, kitti = np.diag([120.0, 60.0, 1.0]), np.diag([120.0, 119.0, 1.0])
    assert kept.input_size((60, 60), squeezed) == kept.input_size((120, 60))  # its pixels are half as wide as high
    assert kept.input_size((60, 60), squeezed[[1, 0, 2]][:, [1, 0, 2]]) == kept.input_size((60, 120))
    assert kept.input_size((120, 120), kitti) == (96, 96)
    expected = Predictor.from_file(weights, runtime="pytorch", size=(96, 96))(square)
    np.testing.assert_array_equal(kept(square).disparity, expected.disparity)
    # Evaluation squashes the image, as published numbers are measured.
    np.testing.assert_array_equal(kept.scaled_disparity(square), fixed.scaled_disparity(square))
    assert kept.scaled_disparity(square).shape == (64, 96)
